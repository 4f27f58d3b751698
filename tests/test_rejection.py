"""Calibration, gate and threshold, and what of them an export carries."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from conftest import colour_net, make_unknown
from PIL import Image

from src import evaluate
from src.data.folders import DataError, find_unknown, load_pictures, split_unknown
from src.evaluation.calibration import GATE_POWER, calibrate, fit_gate
from src.evaluation.predictions import extract_features, predict_export
from src.export import export_run
from src.inference.exporter import export
from src.models.scratch import LandmarkNet, NetSettings
from src.training.loop import fit
from src.training.recipes import TrainSettings


@pytest.fixture
def unknown(tmp_path):
    return make_unknown(tmp_path / "not_landmarks")


@pytest.fixture
def loaded(data_set, tmp_path):
    gray = ([0.5, 0.5, 0.5], [0.25, 0.25, 0.25])
    return partial(load_pictures, data_set, sizes=(32,), normalise=gray, workers=0, cache=tmp_path / "cache")


@pytest.fixture
def pictures(loaded):
    return loaded()


def test_the_gate_tells_two_kinds_of_features_apart_whatever_their_scale():
    rng = np.random.default_rng(0)
    scale, shift = np.array([1e3, 1.0, 1e-3]), np.array([5e3, 0.0, 2.0])
    places = rng.normal((2, 0, 0), size=(300, 3)) * scale + shift
    unknown = rng.normal((-2, 0, 0), size=(30, 3)) * scale + shift
    gate = fit_gate(places.astype(np.float32), unknown.astype(np.float32))
    odds = [gate(torch.tensor(side, dtype=torch.float32)) for side in (places, unknown)]
    assert (odds[0] > 0).float().mean() > 0.95
    assert (odds[1] < 0).float().mean() > 0.9
    assert not any(p.requires_grad for p in gate.parameters())


def test_features_are_those_before_the_head_and_leave_the_mode(pictures):
    network = colour_net(2).train()
    features = extract_features(network, pictures.valid)
    assert features.shape == (len(pictures.valid.dataset), 3)
    assert network.training
    expected = network.features(pictures.valid.dataset[0][0][None]).numpy()[0]
    assert features[0] == pytest.approx(expected, abs=1e-5)


def test_unknown_photos_are_rejected_though_the_probability_is_large(pictures, unknown, tmp_path):
    network = colour_net(2)
    plain, _ = calibrate(network, pictures)
    assert plain.gate is None
    calibration, validated = calibrate(network, pictures, unknown)
    answered = validated.answered(calibration.threshold)
    assert answered.mean() >= 0.95
    predictor = export(network, pictures, tmp_path / "e.pt", calibration)
    assert predictor.info["rejects"].startswith("unknown photos")
    unseen = predict_export(predictor, split_unknown(unknown)[1])
    assert unseen.confidence.min() > 0.5  # dark red is red enough for the network
    assert not unseen.answered(calibration.threshold).any()
    answer = predictor.predict([Image.open(unseen.paths[0])])[0]
    assert not answer.recognised
    assert answer.guesses[0].probability == pytest.approx(answer.known)


@pytest.mark.parametrize("trained_with_unknown", [False, True])
def test_what_the_export_counts_as_known_is_what_was_calibrated(
    loaded, unknown, tmp_path, trained_with_unknown
):
    network, pictures = colour_net(2), loaded(unknown=unknown if trained_with_unknown else None)
    calibration, validated = calibrate(network, pictures, unknown)
    assert calibration.gate_power == (GATE_POWER if trained_with_unknown else 1)
    features = torch.from_numpy(extract_features(network, pictures.valid))
    shown = calibration.gate(features).sigmoid()[:, 0].numpy() ** calibration.gate_power
    assert validated.known == pytest.approx(shown * validated.confidence, abs=1e-6)
    predictor = export(network, pictures, tmp_path / "e.pt", calibration)
    valid = pictures.valid.dataset
    again = predict_export(predictor, valid.paths, valid.labels)
    assert again.known == pytest.approx(validated.known, abs=1e-3)
    assert again.probabilities == pytest.approx(validated.probabilities, abs=1e-3)


@pytest.mark.parametrize("trained_with_unknown", [False, True])
def test_a_run_is_exported_with_the_photos_that_it_trained_with(
    loaded, data_set, unknown, tmp_path, monkeypatch, trained_with_unknown
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    torch.manual_seed(0)
    network = LandmarkNet(3, NetSettings(widths=(8,), depths=(1,)))
    pictures = loaded(unknown=unknown if trained_with_unknown else None)
    fit(network, pictures, TrainSettings(epochs=1, sizes=(32,), eval_size=32), tmp_path / "run")
    predictor = export_run(tmp_path / "run", data_set, tmp_path / "e.pt", unknown=unknown)
    assert predictor.model.gate_power == (GATE_POWER if trained_with_unknown else 1)
    assert predictor.info["fingerprint"] == pictures.fingerprint


def test_a_network_is_calibrated_on_the_device_where_it_is(pictures, unknown):
    class Elsewhere(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(2, device="meta"))

        def features(self, x):
            assert x.device == self.weight.device
            return torch.zeros(len(x), 3)

        def forward(self, x):
            return self.features(x)

    calibration, validated = calibrate(Elsewhere(), pictures, unknown)
    assert calibration.gate is not None
    assert len(validated) == len(pictures.valid.dataset)


@pytest.mark.parametrize("trained_with_unknown", [False, True])
def test_an_export_says_which_photos_must_not_judge_it(
    loaded, data_set, unknown, tmp_path, capsys, trained_with_unknown
):
    network, pictures = colour_net(2), loaded(unknown=unknown if trained_with_unknown else None)
    # a network that trained with them has met them even where the gate is fitted without
    calibration, _ = calibrate(network, pictures, None if trained_with_unknown else unknown)
    export(network, pictures, tmp_path / "e.pt", calibration)
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for number, photo in enumerate(sorted(unknown.iterdir(), reverse=True)):
        photo.rename(renamed / f"{number}.jpg")
    out = tmp_path / "out"
    arguments = ["--data", str(data_set), "--unknown", str(renamed), "--out", str(out)]
    assert evaluate.main([str(tmp_path / "e.pt"), *arguments]) == 0
    assert json.loads((out / "figures.json").read_text())["n_unknown"] == 10
    assert f"10 of 20 photos in {renamed} were learnt from" in capsys.readouterr().out


def test_half_of_the_unknown_photos_is_kept_for_the_test(unknown, tmp_path):
    learn, measure = split_unknown(unknown)
    assert not set(learn) & set(measure)
    assert len(learn) == len(measure) == 10
    assert split_unknown(unknown) == (learn, measure)
    (tmp_path / "one").mkdir()
    learn[0].rename(tmp_path / "one" / "alone.jpg")
    with pytest.raises(DataError, match="single picture"):
        split_unknown(tmp_path / "one")


def test_unknown_photos_are_found_beside_the_data_set(data_set, tmp_path):
    assert find_unknown(None, data_set) is None
    beside = make_unknown(tmp_path / "not_landmarks")
    assert find_unknown(None, data_set) == beside
    assert find_unknown("elsewhere", data_set).name == "elsewhere"


def test_the_heat_is_where_the_class_is_seen(pictures, tmp_path):
    predictor = export(colour_net(2), pictures, tmp_path / "e.pt")
    photo = torch.full((1, 3, 64, 64), 40, dtype=torch.uint8)
    photo[:, 1, :32, 32:] = 250  # green, top right
    heat = predictor.model.heat(photo)
    assert heat.shape == (1, 32, 32)
    assert heat.max() == 1 and heat.min() == 0
    assert heat[0, :15, 17:].min() > 0.9
    assert heat[0, 17:].max() < 0.1 and heat[0, :, :15].max() < 0.1
