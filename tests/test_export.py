"""The export: one file that answers like the network it came from, for pictures of any size."""

import dataclasses
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import encode, quarters
from PIL import Image

from src.data.folders import load_pictures
from src.export import export_run, main
from src.inference.exporter import Calibration, ExportError, add_info, carried_files, export
from src.inference.predictor import SUMS, Predictor, to_tensor
from src.models.open_set import LargestProbability
from src.models.scratch import LandmarkNet, NetSettings
from src.models.tta import TTA, Views, unsure
from src.training.loop import fit
from src.training.recipes import TrainSettings

# what a folder does that has an export, the files that it carries, and nothing else
ALONE = """
import sys
from importlib import import_module
from pathlib import Path

from src.app.page import LandmarkApp
from src.inference.predictor import Predictor
from src.inference.report import answer_report, final_answers, read_report

predictor = Predictor.load("e.pt")
report = read_report(Path("photo.jpg").read_bytes(), "photo.jpg", short_side=64, thumbnail_side=32)
report = answer_report(report, predictor)
assert len(final_answers([report], predictor.known_threshold, 3)[0].answer.guesses) == 3
LandmarkApp(predictor)
carried = [import_module(name) for name in sys.argv[1:]]
assert all(Path(module.__file__).is_relative_to(Path.cwd()) for module in carried)
heavy = {"pandas", "sklearn", "matplotlib", "torchvision"} & sys.modules.keys()
assert not heavy, heavy
"""
NET = NetSettings(widths=(8, 16), depths=(1, 1))


@pytest.fixture
def pictures(data_set, tmp_path):
    return load_pictures(data_set, sizes=(32,), workers=0, cache=tmp_path / "cache")


@pytest.fixture
def network():
    torch.manual_seed(0)
    return LandmarkNet(3, NET).eval()


@pytest.mark.parametrize("size", [(40, 60), (60, 40), (32, 32), (333, 100), (48, 1000)])
def test_network_export_and_reloaded_export_agree(pictures, network, tmp_path, size):
    calibration = Calibration(temperature=1.5, score=LargestProbability(1.5))
    exported = export(network, pictures, tmp_path / "e.pt", calibration)
    reloaded = Predictor.load(tmp_path / "e.pt")
    x = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    with torch.inference_mode():
        seen = torch.stack([pictures.valid.dataset.transform(picture) for picture in x])
        expected = (network(seen) / 1.5).softmax(1)
        for answer in (exported.model(x), reloaded.model(x), reloaded.model(x / 255)):
            assert torch.allclose(answer, expected, atol=1e-5)
        probabilities, known = reloaded.model.predict(x)
        alone = torch.cat([reloaded.model(picture[None]) for picture in x])
    assert torch.allclose(known, probabilities.max(1).values)
    assert torch.allclose(alone, probabilities, atol=1e-5)


@pytest.mark.parametrize(("side", "background"), [(0, False), (16, False), (0, True), (16, True)])
def test_an_export_averages_with_further_views_where_it_is_unsure(
    pictures, network, tmp_path, side, background
):
    x = torch.randint(0, 256, (6, 3, 50, 40), dtype=torch.uint8)
    with torch.inference_mode():
        seen = torch.stack([pictures.valid.dataset.transform(picture) for picture in x])
        logits = network(seen)
        shares = torch.cat([logits, torch.zeros(6, int(background))], 1).softmax(1)
        ranks = shares[:, :3].amax(1).sort().values
        again = ranks[:2].mean().item(), ranks[3:5].mean().item()
        rows = unsure(logits, again, background)
        augmented = TTA(network, Views(again, side, background))
        exported = export(augmented, pictures, tmp_path / "e.pt")
        expected = augmented(seen).softmax(1)
        alone = torch.cat([exported.model(picture[None]) for picture in x])
        assert torch.allclose(exported.model(x), expected, atol=1e-5)
        assert torch.allclose(alone, expected, atol=1e-5)
        changed = (expected - network(seen).softmax(1)).abs().amax(1) > 1e-4
        assert torch.nonzero(changed)[:, 0].tolist() == rows.tolist() and len(rows) == 3
        heat = exported.model.heat(x)
        assert torch.allclose(
            torch.cat([exported.model.heat(picture[None]) for picture in x]), heat, atol=1e-4
        )
    info = Predictor.load(tmp_path / "e.pt").info["architecture"]
    assert info["views"] == {"again": list(again), "side": side, "background": background}


@pytest.mark.parametrize("shape", [(3, 40, 40), (1, 4, 40, 40), (1, 3, 31, 40), (1, 3, 40, 8)])
def test_wrong_shapes_are_errors(pictures, network, tmp_path, shape):
    predictor = export(network, pictures, tmp_path / "e.pt")
    with pytest.raises(Exception, match="must be a batch"):
        predictor.model(torch.zeros(shape))


def test_model_json_says_what_the_file_is(pictures, network, tmp_path):
    predictor = export(network, pictures, tmp_path / "e.pt", Calibration(threshold=0.7), info={"extra": [1]})
    again = add_info(tmp_path / "e.pt", {"test": {"accuracy": 0.5}})
    x = torch.rand(1, 3, 50, 40)
    assert torch.equal(predictor.model(x), again.model(x))
    info = again.info
    assert info["architecture"] == json.loads(json.dumps(network.architecture))
    assert [c["class_name"] for c in info["classes"]] == again.class_names == pictures.class_names
    assert info["fingerprint"] == pictures.fingerprint
    assert (info["known_threshold"], info["extra"], info["test"]) == (0.7, [1], {"accuracy": 0.5})
    assert info["parameters"] == sum(p.numel() for p in network.parameters())
    assert {"versions", "licences", "temperature"} <= info.keys()


def test_answers_for_people(pictures, network, tmp_path):
    predictor = export(network, pictures, tmp_path / "e.pt", Calibration(threshold=0.0))
    photo = Image.fromarray(np.full((50, 70, 4), 90, np.uint8), "RGBA")
    answer = predictor.predict([photo])[0]
    assert len(answer.guesses) == 3  # five, or as many as there are
    probabilities = [guess.probability for guess in answer.guesses]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=1e-5)
    assert {g.landmark.name for g in answer.guesses} == {"Alpha", "Beta", "Gamma"}
    assert answer.recognised
    predictor.info["known_threshold"] = 1.01
    assert not predictor.predict([photo])[0].recognised
    assert to_tensor(photo).shape == (3, 50, 70)


def test_an_export_that_answers_differently_never_replaces_the_old_one(pictures, network, tmp_path):
    path = tmp_path / "e.pt"
    export(network, pictures, path)
    before = path.read_bytes()
    shifted = dataclasses.replace(pictures, mean=[0.1, 0.9, 0.1], std=[0.1, 0.1, 0.1])
    with pytest.raises(ExportError, match="differently"):
        export(network, shifted, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if "e.pt" in p.name] == ["e.pt"]


def test_an_export_that_is_otherwise_sure_than_its_network_is_not_written(pictures, network, tmp_path):
    class Fickle(torch.nn.Module):
        def forward(self, features: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
            return torch.full([len(logits)], 0.2 if torch.jit.is_scripting() else 0.3)

    with pytest.raises(ExportError, match=r"differently.* \(by 0\.100\)"):
        export(network, pictures, tmp_path / "e.pt", Calibration(score=Fickle()))
    assert not (tmp_path / "e.pt").exists()


def test_the_file_carries_what_the_app_needs(pictures, network, tmp_path):
    export(network, pictures, tmp_path / "e.pt")
    with zipfile.ZipFile(tmp_path / "e.pt") as file:
        names = {name.split("/extra/")[1] for name in file.namelist() if "/extra/" in name}
        assert names == {"model.json", *(f"src/{name}" for name in carried_files())}
        (tmp_path / "src").mkdir()
        for name in carried_files():
            entry = next(n for n in file.namelist() if n.endswith(f"extra/src/{name}"))
            (tmp_path / "src" / name).parent.mkdir(exist_ok=True)
            (tmp_path / "src" / name).write_bytes(file.read(entry))
    (tmp_path / "photo.jpg").write_bytes(encode(quarters()))
    (tmp_path / "script.py").write_text(ALONE)
    environment = {"PATH": "", "HOME": str(tmp_path)}  # no PYTHONPATH to this repository
    modules = [name.removesuffix(".py").replace("/", ".") for name in carried_files() if name.endswith(".py")]
    command = [sys.executable, "script.py", *(f"src.{name}" for name in modules)]
    subprocess.run(command, cwd=tmp_path, check=True, env=environment)


def test_the_file_carries_nothing_that_trains_or_exports():
    folders = {name.split("/")[0] for name in carried_files()}
    assert {"__init__.py", "app", "files.py", "inference", "landmarks", "library", "photos"} == folders
    assert {"inference/predictor.py", "app/app.css", "landmarks/landmarks.csv"} <= set(carried_files())
    assert "inference/exporter.py" not in carried_files()


@pytest.mark.parametrize("content", [None, b"", b"no zip", "pickle", "torchscript"])
def test_what_is_no_export_is_refused(tmp_path, content):
    path = tmp_path / "x.pt"
    if content == "pickle":
        torch.save({"weights": 1}, path)
    elif content == "torchscript":
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(FileNotFoundError if content is None else ValueError, match=r"x\.pt is not"):
        Predictor.load(path)


def test_a_run_becomes_a_measured_export(data_set, pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings = TrainSettings(epochs=12, sizes=(32,), eval_size=32, batch_size=8, lr=1e-2, strong=False)
    pictures = load_pictures(data_set, sizes=(32,), batch_size=8, workers=0)
    fit(LandmarkNet(3, NET), pictures, settings, tmp_path / "run")
    predictor = export_run(tmp_path / "run", data_set, tmp_path / "e.pt")
    info = json.loads(json.dumps(predictor.info))
    assert info["test"]["n"] == 9
    assert info["test"]["accuracy"] > 0.8
    assert 0 < info["known_threshold"] <= 1
    assert info["trained"]["phases"]["train"]["epochs"] == 12
    assert main([str(tmp_path / "none"), str(tmp_path / "e.pt"), "--data", str(data_set)]) == 2
    assert "none" in capsys.readouterr().err


def test_the_command_takes_the_folders_given_or_those_beside_the_data_set(data_set, tmp_path, monkeypatch):
    (tmp_path / "ordinary").mkdir()
    asked = []

    def spy(run, root, path, *, unknown):
        asked.append(unknown)
        return SimpleNamespace(info={"test": {}})

    monkeypatch.setattr("src.export.export_run", spy)
    command = ["run", "e.pt", "--data", str(data_set)]
    assert main(command) == main([*command, "--unknown", "one", "--unknown", "two"]) == 0
    assert asked == [[tmp_path / "ordinary"], [Path("one"), Path("two")]]


def test_sums_beside_exports_follow_them_and_stop_what_was_changed(pictures, network, tmp_path):
    path, sums = tmp_path / "e.pt", tmp_path / SUMS
    sums.write_text(f"{'0' * 64}  other.pt\n")
    export(network, pictures, path)
    first = path.read_bytes()
    add_info(path, {"note": "changed by us"})
    assert first != path.read_bytes()
    done = subprocess.run(["sha256sum", path.name], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert sums.read_text() == f"{'0' * 64}  other.pt\n{done.stdout}"
    path.write_bytes(first)
    with pytest.raises(ValueError, match="not the file that SHA256SUMS beside it names"):
        Predictor.load(path)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_kill_between_export_and_sums_leaves_a_good_pair(pictures, network, tmp_path, monkeypatch, step):
    path = tmp_path / "e.pt"
    (tmp_path / SUMS).write_text("")
    export(network, pictures, path)
    replace, steps = os.replace, []

    def replace_until_killed(part, target):
        steps.append(target)
        if len(steps) == step:
            raise KeyboardInterrupt
        replace(part, target)

    monkeypatch.setattr("src.files.os.replace", replace_until_killed)
    with pytest.raises(KeyboardInterrupt):
        add_info(path, {"note": "new"})
    assert ("note" in Predictor.load(path).info) is (step == 3)
