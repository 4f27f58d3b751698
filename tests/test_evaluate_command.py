"""The whole command `src.evaluate`, with an export that goes by colour and a tiny data set."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from by_colour import COLOURS, write_export
from PIL import Image

from src import evaluate
from src.data.decoded import content_digest
from src.landmarks.table import COLUMNS

pytest_plugins = ("evaluate_fixtures",)

ROOT = Path(__file__).parents[1]


def test_the_command_writes_every_file(export, data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [str(export), "--data", str(data), "--unknown", str(tmp_path / "unknown")]
    assert evaluate.main(arguments) == 0
    out = tmp_path / "evaluation" / "by_colour"
    assert {path.name for path in out.iterdir()} == {
        "figures.json", "predictions.csv", "per_class.csv", "unknown.csv", "confusion.png",
        "reliability.png", "mistakes.png", "per_class.png", "rejection.png", "kinds.png", "unknown.png",
    }  # fmt: skip
    result = json.loads((out / "figures.json").read_text())
    assert result["accuracy"] == pytest.approx(14 / 15)
    assert result["answered_unknown"] == 0.0
    assert result["auroc_unknown"] == 1.0
    assert result["coverage"] == 1.0
    assert {"top5", "macro_f1", "ece", "accuracy_answered", "parameters", "milliseconds"} <= set(result)
    assert len(pd.read_csv(out / "predictions.csv")) == 15
    assert len(pd.read_csv(out / "unknown.csv")) == 2
    assert list(pd.read_csv(out / "per_class.csv").landmark) == ["Red", "Green", "Blue Tower"]
    kinds = {"unknown": {"photos": 1, "answered": 0.0}, "unknown/deep": {"photos": 1, "answered": 0.0}}
    assert result["by_kind"] == kinds
    assert result["precision_at"] == {share: pytest.approx(14 / 15) for share in ("1%", "5%", "10%", "30%")}
    printed = capsys.readouterr().out
    assert "93.3%" in printed
    assert "unknown/deep" in printed
    assert "learnt from" not in printed
    assert str(Path("evaluation/by_colour")) in printed


def test_the_command_measures_the_folder_it_is_told(export, data, tmp_path):
    for path in (data / "train").glob("*/[0-3].jpg"):
        path.unlink()
    out = tmp_path / "out"
    assert evaluate.main([str(export), "--data", str(data), "--split", "train", "--out", str(out)]) == 0
    result = json.loads((out / "figures.json").read_text())
    assert result["n"] == 3
    assert result["auroc_unknown"] is None
    assert not {"rejection.png", "kinds.png", "unknown.png"} & {path.name for path in out.iterdir()}


def test_what_an_export_does_not_know_may_be_left_out(export, data, tmp_path, capsys):
    shutil.copytree(data / "test" / "00.Red", data / "test" / "100.Lime")
    arguments = [str(export), "--data", str(data), "--out", str(tmp_path / "out")]
    assert evaluate.main(arguments) == 2
    assert "leave out what it does not know with --known-only" in capsys.readouterr().err
    assert evaluate.main([*arguments, "--known-only"]) == 0
    result = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert (result["n"], result["accuracy"]) == (15, pytest.approx(14 / 15))
    assert "5 photos of 1 landmarks that it does not know are left out" in capsys.readouterr().out
    for name in COLOURS:
        shutil.rmtree(data / "test" / name)
    assert evaluate.main([*arguments, "--known-only"]) == 2, "nothing is left to judge"


def test_further_photos_are_judged_by_themselves(export, data, tmp_path, capsys):
    further = tmp_path / "full_size"
    shutil.copytree(data / "test" / "02.Blue_Tower", further / "02.Blue_Tower")
    arguments = [str(export), "--data", str(data), "--out", str(tmp_path / "out"), "--also", str(further)]
    assert evaluate.main(arguments) == 0
    result = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert result["n"] == 15 and result["n_full_size"] == 5
    assert result["accuracy_full_size"] == pytest.approx(4 / 5)
    assert f"{further}: 80.0% of 5 photos" in capsys.readouterr().out
    shutil.copytree(further, tmp_path / "other" / "full_size")
    assert evaluate.main([*arguments, "--also", str(tmp_path / "other" / "full_size")]) == 2
    assert "Two folders of --also have one name" in capsys.readouterr().err


def test_a_class_folder_may_be_missing(export, data, tmp_path):
    for path in (data / "test" / "00.Red").iterdir():
        path.unlink()
    (data / "test" / "00.Red").rmdir()
    assert evaluate.main([str(export), "--data", str(data), "--out", str(tmp_path / "out")]) == 0
    result = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert result["accuracy"] == pytest.approx(9 / 10)


def write_table(path, class_name, name):
    cells = {"class": class_name, "name": name}
    rows = [",".join(COLUMNS), ",".join(cells.get(column, "") for column in COLUMNS)]
    path.write_text("\n".join(rows), "utf-8")


def test_tables_of_the_user_give_the_landmarks_their_names(export, data, tmp_path):
    write_table(tmp_path / "one.csv", "Red", "The Red Tower")
    write_table(tmp_path / "two.csv", "Green", "The Green Tower")
    arguments = [str(export), "--data", str(data), "--out", str(tmp_path / "out")]
    for table in ("one.csv", "two.csv"):
        arguments += ["--landmarks", str(tmp_path / table)]
    assert evaluate.main(arguments) == 0
    names = pd.read_csv(tmp_path / "out" / "per_class.csv").landmark
    assert list(names) == ["The Red Tower", "The Green Tower", "Blue Tower"]


@pytest.fixture
def unknown_folders(tmp_path):
    """Two folders of gray photos, ten in two kinds and five in one."""
    for folder, kind, count in (("first", "sky", 6), ("first", "sea", 4), ("second", "", 5)):
        (tmp_path / folder / kind).mkdir(parents=True)
        for number in range(count):
            shade = (10 * count + number,) * 3
            Image.new("RGB", (40, 50), shade).save(tmp_path / folder / kind / f"{number}.png")
    return tmp_path / "first", tmp_path / "second"


def measured(export, data, out, *folders):
    arguments = [str(export), "--data", str(data), "--out", str(out)]
    for folder in folders:
        arguments += ["--unknown", str(folder)]
    assert evaluate.main(arguments) == 0
    return json.loads((out / "figures.json").read_text())


def test_photos_that_the_network_learnt_from_do_not_judge_it(data, unknown_folders, tmp_path, capsys):
    first, second = unknown_folders
    learnt = sorted((first / "sky").iterdir())[:4]
    export = write_export(tmp_path / "e.pt", unknown_learnt=[content_digest(path) for path in learnt])
    shutil.copy(learnt[0], second / "a copy of another name.png")
    result = measured(export, data, tmp_path / "out", first, second)
    assert result["n_unknown"] == 6 + 5
    assert {kind: row["photos"] for kind, row in result["by_kind"].items()} == {
        "first/sea": 4, "first/sky": 2, "second": 5,
    }  # fmt: skip
    judged = set(pd.read_csv(tmp_path / "out" / "unknown.csv").path)
    assert not judged & {str(path) for path in learnt}
    printed = capsys.readouterr().out
    assert f"4 of 10 photos in {first} were learnt from" in printed
    assert f"1 of 6 photos in {second} were learnt from" in printed


def test_an_export_that_does_not_say_what_it_learnt_from_is_judged_by_all(
    data, unknown_folders, tmp_path, capsys
):
    first, second = unknown_folders
    export = write_export(tmp_path / "e.pt", test={"n_unknown": 5})
    assert measured(export, data, tmp_path / "out", first, second)["n_unknown"] == 15
    printed = capsys.readouterr().out
    assert f"all of {first} are judged" in printed and f"all of {second} are judged" in printed
    assert "were learnt from" not in printed


@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_the_command_line_is_there_before_anything_heavy_is_loaded(command):
    script = f"import sys, src.{command}; assert not {{'torch', 'pandas', 'PIL'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def wrong_class(data, export):
    (data / "test" / "01.Green").rename(data / "test" / "01.Lime")


def broken_picture(data, export):
    (data / "test" / "01.Green" / "2.jpg").write_bytes(b"rubbish")


def tiny_picture(data, export):
    Image.new("RGB", (20, 40)).save(data / "test" / "01.Green" / "2.jpg")


def no_test_folder(data, export):
    (data / "test").rename(data / "tests")


def no_export(data, export):
    export.unlink()


def broken_export(data, export):
    export.write_bytes(b"rubbish")


def no_unknown_photos(data, export):
    for path in (data.parent / "unknown").rglob("*.*"):
        path.unlink()


def only_learnt_photos(data, export):
    photos = [path for path in (data.parent / "unknown").rglob("*.*") if path.suffix != ".txt"]
    write_export(export, unknown_learnt=[content_digest(path) for path in photos])


def no_such_table(data, export):
    (data.parent / "more.csv").unlink()


def table_of_other_classes(data, export):
    write_table(data.parent / "more.csv", "Lime", "Green Lime")


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (wrong_class, "01.Lime"),
        (broken_picture, str(Path("01.Green", "2.jpg"))),
        (tiny_picture, str(Path("01.Green", "2.jpg"))),
        (no_test_folder, "test"),
        (no_export, "by_colour.pt"),
        (broken_export, "by_colour.pt"),
        (no_unknown_photos, "unknown"),
        (only_learnt_photos, "unknown"),
        (no_such_table, "more.csv"),
        (table_of_other_classes, "Lime"),
    ],
)
def test_wrong_input_is_one_sentence_and_writes_nothing(spoil, names, export, data, tmp_path, capsys):
    write_table(tmp_path / "more.csv", "Green", "Green Tower")
    spoil(data, export)
    out = tmp_path / "out"
    arguments = ["--data", str(data), "--unknown", str(tmp_path / "unknown"), "--out", str(out)]
    arguments += ["--landmarks", str(tmp_path / "more.csv")]
    assert evaluate.main([str(export), *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert names in error
    assert len(error.splitlines()) == 1
    assert not out.exists()
