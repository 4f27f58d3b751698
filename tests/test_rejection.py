"""Calibration, open-set score and threshold, and what of them an export carries."""

import json
from functools import partial

import fake_device
import numpy as np
import pytest
import torch
from conftest import colour_net, make_data_set, make_unknown
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from src import evaluate
from src.data.decoded import content_digest, read_array
from src.data.folders import load_pictures
from src.data.unknown import split_unknown
from src.evaluation import calibration as calibrating
from src.evaluation.calibration import calibrate
from src.evaluation.predictions import extract_features, predict_export
from src.export import export_runs
from src.inference.exporter import export
from src.inference.torchscript import load_script
from src.models.open_set import LargestProbability, OpenSetScore
from src.models.scratch import LandmarkNet, NetSettings
from src.models.tta import TTA
from src.training.loop import fit
from src.training.recipes import TrainSettings

GRAY = ([0.5, 0.5, 0.5], [0.25, 0.25, 0.25])


@pytest.fixture
def folder(tmp_path):
    return make_unknown(tmp_path / "not_landmarks")


@pytest.fixture
def unknown(folder):
    return split_unknown([folder])


@pytest.fixture
def loaded(data_set, tmp_path):
    return partial(load_pictures, data_set, sizes=(32,), normalise=GRAY, workers=0, cache=tmp_path / "cache")


@pytest.fixture
def pictures(loaded):
    return loaded()


@pytest.fixture
def exposed(loaded, unknown):
    """The pictures of a network that trained with unknown photos."""
    return loaded(unknown=unknown.learn)


def digests(photos):
    return sorted(content_digest(photo) for photo in photos)


def seen_by(network, pictures, photos):
    """Features and logits of photos."""
    see = pictures.valid.dataset.transform
    with torch.inference_mode():
        x = torch.stack([see(torch.tensor(read_array(photo)).permute(2, 0, 1)) for photo in photos])
        return network.features(x), network(x)


def test_features_are_those_before_the_head_and_leave_the_mode(pictures):
    network = colour_net(2).train()
    features = extract_features(network, pictures.valid)
    assert features.shape == (len(pictures.valid.dataset), 3)
    assert network.training
    expected = network.features(pictures.valid.dataset[0][0][None]).numpy()[0]
    assert features[0] == pytest.approx(expected, abs=1e-5)


def test_without_unknown_photos_known_is_the_calibrated_probability(pictures, unknown):
    network = colour_net(0.05)
    for choose in ((), unknown.choose):  # a network that has never met any says nothing of them
        calibration, validated = calibrate(network, pictures, choose)
        assert isinstance(calibration.score, LargestProbability)
        assert calibration.score.temperature == calibration.temperature != 1
        assert calibration.learnt == ()
        _, logits = seen_by(network, pictures, pictures.valid.dataset.paths)
        expected = (logits / calibration.temperature).softmax(1)
        assert validated.probabilities == pytest.approx(expected.numpy(), abs=1e-5)
        assert validated.known == pytest.approx(expected.amax(1).numpy(), abs=1e-5)


def test_a_network_that_met_unknown_photos_is_judged_by_an_open_set_score(exposed, unknown):
    calibration, validated = calibrate(colour_net(2), exposed, unknown.choose)
    assert isinstance(calibration.score, OpenSetScore)
    assert sorted(calibration.learnt) == digests(unknown.learn + unknown.choose)
    assert validated.answered(calibration.threshold).mean() >= 0.9


def test_without_photos_to_choose_by_there_is_no_open_set_score(exposed, unknown):
    calibration, _ = calibrate(colour_net(2), exposed)
    assert isinstance(calibration.score, LargestProbability)
    assert sorted(calibration.learnt) == digests(unknown.learn), "the network met them all the same"


def test_a_network_that_is_never_right_is_calibrated_too(exposed, unknown):
    network = colour_net(2)
    network.head.weight.data = network.head.weight.data.roll(1, 0)
    calibration, validated = calibrate(network, exposed, unknown.choose)
    assert not validated.correct.any()
    assert isinstance(calibration.score, LargestProbability)


def test_weights_are_those_of_a_library_and_known_is_that_of_a_set_of_which_half_are_landmarks(
    exposed, unknown
):
    network = colour_net(2)
    calibration, validated = calibrate(network, exposed, unknown.choose)
    photos, labels = exposed.valid.dataset.paths, np.array(exposed.valid.dataset.labels)
    valid, nothing = (seen_by(network, exposed, part) for part in (photos, unknown.choose))
    hidden = [part[validated.correct] for part in (*valid, torch.from_numpy(labels))]
    parts = [calibration.score.signs(*photos) for photos in (valid, nothing, hidden)]
    signs, (count, empty, others) = np.concatenate(parts), map(len, parts)
    # of ten photos one shows a landmark, and one shows another landmark
    weigh = np.repeat([1.0, 8 * count / empty, count / others], [count, empty, others])
    regression = make_pipeline(StandardScaler(), LogisticRegression())
    right = np.append(validated.correct, [False] * (empty + others))
    regression.fit(signs, right, logisticregression__sample_weight=weigh)
    in_library = regression.predict_proba(signs[: count + empty])[:, 1]
    odds = in_library / (1 - in_library) * 9  # of which landmarks are nine times as many
    found = [validated.known, calibration.score(*seen_by(network, exposed, unknown.choose))]
    assert np.concatenate(found) == pytest.approx(odds / (1 + odds), abs=1e-3)


@pytest.mark.parametrize("coverage", [0.5, 1.0])
def test_the_threshold_answers_the_share_that_is_asked_for(pictures, coverage):
    calibration, validated = calibrate(colour_net(0.05), pictures, coverage=coverage)
    assert len(set(validated.known)) == len(validated), "none are answered together"
    assert validated.answered(calibration.threshold).mean() == coverage


def test_some_training_pictures_of_every_class_and_all_unknown_ones_are_examples(
    exposed, unknown, monkeypatch
):
    monkeypatch.setattr(calibrating, "EXAMPLES", 5)
    network = colour_net(2)
    score = calibrate(network, exposed, unknown.choose)[0].score
    assert score.owners.bincount().tolist() == [5, 5, 5]
    train = exposed.train.dataset
    for label in range(3):
        photos = [path for path, its in zip(train.paths, train.labels, strict=True) if its == label]
        of_class = score.projected(seen_by(network, exposed, photos)[0])
        nearest = (score.examples[score.owners == label] @ of_class.T).amax(1)
        assert nearest.min() > 1 - 1e-5, "each is a training picture of its class"
    learnt = score.projected(seen_by(network, exposed, unknown.learn)[0])
    assert torch.allclose(score.unknown, learnt, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2])
def test_classes_and_unknown_photos_may_be_fewer_than_are_averaged(tmp_path, unknown, count):
    root = make_data_set(tmp_path / "few", train=count + 1)  # one of each class is kept for validation
    pictures = load_pictures(
        root, sizes=(32,), normalise=GRAY, workers=0, unknown=unknown.learn[:count], cache=tmp_path / "cache"
    )
    assert len(pictures.train.dataset) == 4 * count
    network = colour_net(2)
    calibration, validated = calibrate(network, pictures, unknown.choose)
    assert isinstance(calibration.score, OpenSetScore)
    known = calibration.score(*seen_by(network, pictures, unknown.judge))
    assert known.max() < validated.known.min()


def test_unknown_photos_are_rejected_though_the_probability_is_large(exposed, unknown, tmp_path):
    network = colour_net(2)
    calibration, _ = calibrate(network, exposed, unknown.choose)
    predictor = export(network, exposed, tmp_path / "e.pt", calibration)
    assert predictor.info["rejects"] == "unknown photos and unsure answers"
    unseen = predict_export(predictor, unknown.judge)
    assert unseen.confidence.min() > 0.5  # dark red is red enough for the network
    assert not unseen.answered(calibration.threshold).any()
    answer = predictor.predict([Image.open(unseen.paths[0])])[0]
    assert not answer.recognised
    assert answer.guesses[0].probability == pytest.approx(answer.known)


@pytest.mark.parametrize("trained_with_unknown", [False, True])
def test_what_the_export_counts_as_known_is_what_was_calibrated(
    loaded, unknown, tmp_path, trained_with_unknown
):
    network, pictures = colour_net(2), loaded(unknown=unknown.learn if trained_with_unknown else ())
    calibration, validated = calibrate(network, pictures, unknown.choose)
    predictor = export(network, pictures, tmp_path / "e.pt", calibration)
    valid = pictures.valid.dataset
    again = predict_export(predictor, valid.paths, valid.labels)
    assert again.known == pytest.approx(validated.known, abs=1e-3)
    assert again.probabilities == pytest.approx(validated.probabilities, abs=1e-3)
    assert predictor.info["unknown_learnt"] == sorted(calibration.learnt)
    assert predictor.info["rejects"].startswith("unknown photos") == trained_with_unknown
    with torch.inference_mode():
        seen = seen_by(network, pictures, unknown.judge)
        score = load_script(tmp_path / "e.pt").judged.score
        assert torch.allclose(score(*seen), calibration.score(*seen), atol=1e-5)


@pytest.mark.parametrize("trained_with_unknown", [False, True])
def test_a_run_is_exported_with_the_photos_that_it_trained_with(
    loaded, data_set, folder, unknown, tmp_path, monkeypatch, trained_with_unknown
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    torch.manual_seed(0)
    network = LandmarkNet(3, NetSettings(widths=(8,), depths=(1,)))
    pictures = loaded(unknown=unknown.learn if trained_with_unknown else ())
    fit(network, pictures, TrainSettings(epochs=1, sizes=(32,), eval_size=32), tmp_path / "run")
    predictor = export_runs([tmp_path / "run"], data_set, tmp_path / "e.pt", unknown=[folder])
    score = "OpenSetScore" if trained_with_unknown else "LargestProbability"
    assert load_script(tmp_path / "e.pt").judged.score.original_name == score
    info = predictor.info
    assert info["architecture"]["views"]["background"] is trained_with_unknown
    assert info["trained"]["background"] is trained_with_unknown
    assert info["fingerprint"] == pictures.fingerprint
    met = unknown.learn + unknown.choose if trained_with_unknown else []
    assert info["unknown_learnt"] == digests(met)
    judged = predict_export(predictor, unknown.judge)
    assert info["test"]["n_unknown"] == len(judged) == 4
    answered = judged.answered(info["known_threshold"]).mean()
    assert info["test"]["answered_unknown"] == pytest.approx(answered)


def test_a_network_is_calibrated_on_the_device_where_it_is(exposed, unknown):
    torch.manual_seed(0)
    network = LandmarkNet(3, NetSettings(widths=(8,), depths=(1,))).eval()
    expected, validated = calibrate(TTA(network), exposed, unknown.choose)
    with fake_device.accelerator():
        calibration, again = calibrate(TTA(network.to(fake_device.DEVICE)), exposed, unknown.choose)
    assert isinstance(calibration.score, OpenSetScore) and isinstance(expected.score, OpenSetScore)
    assert calibration.temperature == pytest.approx(expected.temperature)
    assert again.known == pytest.approx(validated.known, abs=1e-4)


@pytest.mark.parametrize(("trained_with_unknown", "judged"), [(False, 20), (True, 4)])
def test_an_export_says_which_photos_must_not_judge_it(
    loaded, data_set, folder, unknown, tmp_path, capsys, trained_with_unknown, judged
):
    network, pictures = colour_net(2), loaded(unknown=unknown.learn if trained_with_unknown else ())
    calibration, _ = calibrate(network, pictures, unknown.choose)
    export(network, pictures, tmp_path / "e.pt", calibration)
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for number, photo in enumerate(sorted(folder.iterdir(), reverse=True)):
        photo.rename(renamed / f"{number}.jpg")
    out = tmp_path / "out"
    arguments = ["--data", str(data_set), "--unknown", str(renamed), "--out", str(out)]
    assert evaluate.main([str(tmp_path / "e.pt"), *arguments]) == 0
    assert json.loads((out / "figures.json").read_text())["n_unknown"] == judged
    said = f"16 of 20 photos in {renamed} were learnt from" in capsys.readouterr().out
    assert said == trained_with_unknown


def test_the_heat_is_where_the_class_is_seen(pictures, tmp_path):
    export(colour_net(2), pictures, tmp_path / "e.pt")
    photo = torch.full((1, 3, 64, 64), 40, dtype=torch.uint8)
    photo[:, 1, :32, 32:] = 250  # green, top right
    heat = load_script(tmp_path / "e.pt").heat(photo)
    assert heat.shape == (1, 32, 32)
    assert heat.max() == 1 and heat.min() == 0
    assert heat[0, :15, 17:].min() > 0.9
    assert heat[0, 17:].max() < 0.1 and heat[0, :, :15].max() < 0.1
