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
from training_runs import NET, little_network, little_pictures

from src.data.folders import load_pictures
from src.export import export_runs, main
from src.inference.export_file import ANSWER, NETWORK, SUMS
from src.inference.exported import Parts
from src.inference.exporter import (
    Calibration,
    ExportError,
    _assert_same_answers,
    add_info,
    carried_files,
    export,
    upgrade,
)
from src.inference.onnx_runtime import OnnxRuntime
from src.inference.predictor import Predictor
from src.inference.torchscript import load_script, to_tensor
from src.models.open_set import LargestProbability
from src.models.scratch import LandmarkNet
from src.models.tta import TTA, Views, averaged, unsure
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
heavy = {"torch", "scipy", "pandas", "sklearn", "matplotlib", "torchvision"} & sys.modules.keys()
assert not heavy, heavy
"""

network, pictures = little_network, little_pictures


@pytest.mark.parametrize("size", [(40, 60), (60, 40), (32, 32), (333, 100), (48, 1000)])
def test_network_export_and_reloaded_export_agree(pictures, network, tmp_path, size):
    calibration = Calibration(temperature=1.5, score=LargestProbability(1.5))
    export(network, pictures, tmp_path / "e.pt", calibration)
    reloaded = load_script(tmp_path / "e.pt")
    x = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    with torch.inference_mode():
        seen = torch.stack([pictures.valid.dataset.transform(picture) for picture in x])
        expected = (network(seen) / 1.5).softmax(1)
        for answer in (reloaded(x), reloaded(x / 255)):
            assert torch.allclose(answer, expected, atol=1e-5)
        probabilities, known = reloaded.predict(x)
        alone = torch.cat([reloaded(picture[None]) for picture in x])
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
        export(augmented, pictures, tmp_path / "e.pt")
        exported = load_script(tmp_path / "e.pt")
        expected = augmented(seen).softmax(1)
        alone = torch.cat([exported(picture[None]) for picture in x])
        assert torch.allclose(exported(x), expected, atol=1e-5)
        assert torch.allclose(alone, expected, atol=1e-5)
        changed = (expected - network(seen).softmax(1)).abs().amax(1) > 1e-4
        assert torch.nonzero(changed)[:, 0].tolist() == rows.tolist() and len(rows) == 3
        heat = exported.heat(x)
        assert torch.allclose(torch.cat([exported.heat(picture[None]) for picture in x]), heat, atol=1e-4)
    info = Predictor.load(tmp_path / "e.pt").info["architecture"]
    assert info["views"] == {"again": list(again), "side": side, "background": background}


@pytest.mark.parametrize("shape", [(3, 40, 40), (1, 4, 40, 40), (1, 3, 31, 40), (1, 3, 40, 8)])
def test_wrong_shapes_are_errors(pictures, network, tmp_path, shape):
    export(network, pictures, tmp_path / "e.pt")
    with pytest.raises(Exception, match="must be a batch"):
        load_script(tmp_path / "e.pt")(torch.zeros(shape))


def test_model_json_says_what_the_file_is(pictures, network, tmp_path):
    predictor = export(network, pictures, tmp_path / "e.pt", Calibration(threshold=0.7), info={"extra": [1]})
    again = add_info(tmp_path / "e.pt", {"test": {"accuracy": 0.5}})
    assert again.scores(quarters())[0].tolist() == predictor.scores(quarters())[0].tolist()
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

    with pytest.raises(ExportError, match=r"in TorchScript answers differently.* \(by 0\.100\)"):
        export(network, pictures, tmp_path / "e.pt", Calibration(score=Fickle()))
    assert not (tmp_path / "e.pt").exists()


def test_the_file_carries_what_the_app_needs(pictures, network, tmp_path):
    export(network, pictures, tmp_path / "e.pt")
    with zipfile.ZipFile(tmp_path / "e.pt") as file:
        names = {name.split("/extra/")[1] for name in file.namelist() if "/extra/" in name}
        assert names == {"model.json", NETWORK, ANSWER, *(f"src/{name}" for name in carried_files())}
        (tmp_path / "src").mkdir()
        for name in carried_files():
            entry = next(n for n in file.namelist() if n.endswith(f"extra/src/{name}"))
            (tmp_path / "src" / name).parent.mkdir(exist_ok=True)
            (tmp_path / "src" / name).write_bytes(file.read(entry))
    (tmp_path / "photo.jpg").write_bytes(encode(quarters()))
    (tmp_path / "script.py").write_text(ALONE)
    environment = {"PATH": "", "HOME": str(tmp_path)}  # no PYTHONPATH to this repository
    carried = [name for name in carried_files() if name.endswith(".py") and "torchscript" not in name]
    modules = [name.removesuffix(".py").replace("/", ".") for name in carried]
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
    predictor = export_runs([tmp_path / "run"], data_set, tmp_path / "e.pt")
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

    def spy(runs, root, path, *, unknown):
        asked.append(unknown)
        return SimpleNamespace(info={"test": {}})

    monkeypatch.setattr("src.export.export_runs", spy)
    command = ["run", "e.pt", "--data", str(data_set)]
    assert main(command) == main([*command, "--unknown", "one", "--unknown", "two"]) == 0
    assert asked == [[tmp_path / "ordinary"], [Path("one"), Path("two")]]


class Earlier(torch.nn.Module):
    """An export as it was before there was an open-set score."""

    def __init__(self, parts, head, preprocess, again, power):
        super().__init__()
        self.network, self.preprocess, self.again = parts, preprocess, again
        self.class_names = torch.jit.Attribute(["0.Alpha", "1.Beta", "2.Gamma"], list[str])
        self.register_buffer("evidence", head.weight.detach().clone())
        self.gate, self.temperature, self.gate_power = torch.nn.Linear(head.in_features, 1), 1.5, power

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.predict(x)[0]

    @torch.jit.export
    def predict(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.preprocess(x)
        logits, features, _ = self.network(x)
        rows = unsure(logits, self.again, False)
        if len(rows) > 0:
            more, others, _ = self.network(x[rows].flip(3))
            logits, features = averaged(logits, rows, more), averaged(features, rows, others)
        probabilities = torch.softmax(logits / self.temperature, dim=1)
        shown = torch.sigmoid(self.gate(features))[:, 0] ** self.gate_power
        return probabilities, shown * probabilities.amax(1)


@pytest.fixture
def earlier(pictures, network, tmp_path):
    """A file as `Earlier` was saved; takes the change that is made to the module first."""

    def save(change=lambda model: None):
        export(network, pictures, tmp_path / "today.pt")
        info = Predictor.load(tmp_path / "today.pt").info
        traced = torch.jit.trace(Parts(network), torch.zeros(2, 3, pictures.size, pictures.size))
        model = Earlier(traced, network.head, pictures.preprocess, (0.2, 0.9), 0.5)
        change(model)
        about = {name: entry for name, entry in info.items() if name not in ("onnx", "views")}
        extra = {"model.json": json.dumps(about)}
        torch.jit.save(torch.jit.script(model.eval()), tmp_path / "old.pt", _extra_files=extra)
        return tmp_path / "old.pt"

    return save


def test_an_earlier_export_is_brought_up_to_date_without_training(earlier, tmp_path):
    old, new = earlier(), tmp_path / "new.pt"
    assert main(["--upgrade", str(old), str(new)]) == 0
    predictor = Predictor.load(new)
    assert isinstance(predictor.runtime, OnnxRuntime)
    assert predictor.info["fingerprint"] == Predictor.load(old).info["fingerprint"]
    for picture in (quarters(90, 60), Image.new("RGB", (40, 50), (20, 200, 90))):
        probabilities, known = load_script(old).predict(to_tensor(picture)[None])
        scores, also_known, _ = predictor.scores(picture)
        assert scores == pytest.approx(probabilities[0].detach().numpy(), abs=1e-4)
        assert also_known == pytest.approx(known.item(), abs=1e-4)
    before = new.read_bytes()
    upgrade(new, tmp_path / "twice.pt")
    assert Predictor.load(tmp_path / "twice.pt").scores(quarters())[1] == predictor.scores(quarters())[1]
    assert new.read_bytes() == before


def test_what_answers_otherwise_than_the_earlier_export_is_refused(earlier, tmp_path):
    script = load_script(earlier())
    with pytest.raises(ExportError, match="differently from the earlier one"):
        _assert_same_answers(tmp_path / "today.pt", script)


def test_exports_from_before_heat_maps_are_refused(earlier, tmp_path, capsys):
    old = earlier(lambda model: model.__delattr__("evidence"))
    assert main(["--upgrade", str(old), str(tmp_path / "new.pt")]) == 2
    assert "is from before exports had heat maps: train again" in capsys.readouterr().err
    assert not (tmp_path / "new.pt").exists()


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
