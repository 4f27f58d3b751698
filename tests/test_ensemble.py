"""Several networks as one: mean logits, one head, one export."""

import pytest
import torch
from conftest import make_unknown
from PIL import Image

from src.data.folders import load_pictures
from src.export import export_runs, main
from src.inference.predictor import Predictor
from src.landmarks.tags import model_name
from src.models.checkpoints import CheckpointError
from src.models.ensemble import Ensemble
from src.models.pretrained import build_transfer
from src.models.scratch import LandmarkNet, NetSettings
from src.training.loop import fit
from src.training.recipes import TrainSettings
from src.training.runs import restore_runs

WIDE, NARROW = NetSettings(widths=(8,), depths=(1,)), NetSettings(widths=(4, 6), depths=(1, 1))


@pytest.fixture
def networks():
    torch.manual_seed(0)
    return [LandmarkNet(3, settings).eval() for settings in (WIDE, NARROW)]


@pytest.fixture
def runs(data_set, networks, tmp_path):
    """Two runs on the same pictures, and a third whose validation pictures are others."""
    folder, settings = make_unknown(tmp_path / "ordinary"), TrainSettings(epochs=1, sizes=(32,), eval_size=32)
    found = []
    for number, network in enumerate([*networks, LandmarkNet(3, WIDE)]):
        pictures = load_pictures(
            data_set, sizes=(32,), workers=0, unknown=sorted(folder.iterdir()), split_seed=number // 2
        )
        found.append(tmp_path / f"run{number}")
        fit(network, pictures, settings, found[-1])
    return found


def test_logits_are_the_mean_and_features_stand_side_by_side(networks):
    x = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        mean = (networks[0](x) + networks[1](x)) / 2
        both = Ensemble(networks).eval()
        assert torch.allclose(both(x), mean, atol=1e-5)
        features, maps = both.features_and_maps(x)
        assert torch.equal(features, torch.cat([one.features(x) for one in networks], 1))
        assert maps.shape == (2, features.shape[1], *networks[0].features_and_maps(x)[1].shape[2:])
        assert torch.allclose(maps[:, :8].mean((2, 3)), features[:, :8], atol=1e-5)


def test_each_weight_is_there_once(networks):
    alone = sum(p.numel() for one in networks for p in one.parameters())
    assert sum(p.numel() for p in Ensemble(networks).parameters()) == alone - 3  # one bias for two


def test_its_name_tells_the_backbones():
    both = Ensemble([build_transfer(name, 3, weights=None) for name in ("resnet18", "squeezenet1_1")])
    info = {"architecture": both.architecture, "fingerprint": "0584d88050"}
    assert model_name(info) == "landmark-tagger ensemble resnet18 squeezenet1_1 0584d8"


def test_runs_become_one_export(data_set, runs, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    network, state = restore_runs(runs[:2])
    assert isinstance(network, Ensemble) and len(state["trained"]["others"]) == 1
    predictor = export_runs(runs[:2], data_set, tmp_path / "e.pt", unknown=[tmp_path / "ordinary"])
    assert [one["widths"] for one in predictor.info["architecture"]["networks"]] == [[8], [4, 6]]
    assert predictor.info["trained"]["others"][0]["phases"]["train"]["epochs"] == 1
    photo = Image.new("RGB", (40, 50), (200, 40, 40))
    scores = Predictor.load(tmp_path / "e.pt").scores(photo)
    assert scores.features.shape == (network.head.in_features,)
    assert predictor.space().center.shape == scores.features.shape


def test_runs_of_other_pictures_are_no_ensemble(data_set, runs, tmp_path, capsys):
    with pytest.raises(CheckpointError, match="not trained on the same pictures"):
        restore_runs([runs[0], runs[2]])
    given = [str(runs[0]), str(runs[2]), str(tmp_path / "e.pt"), "--data", str(data_set)]
    assert main(given) == 2
    assert "cannot be an ensemble" in capsys.readouterr().err
    assert not (tmp_path / "e.pt").exists()


def test_only_one_export_is_upgraded(capsys):
    with pytest.raises(SystemExit):
        main(["--upgrade", "a.pt", "b.pt", "c.pt"])
    assert "one export" in capsys.readouterr().err
