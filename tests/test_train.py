"""Training runs: what they learn and leave, the same again from the same seed and after a kill."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fake_device
import pytest
import torch
from conftest import make_unknown
from training_runs import NET, QUICK, train

from src.data.decoded import read_array
from src.data.folders import load_pictures
from src.data.unknown import split_unknown
from src.evaluation.calibration import calibrate
from src.models.checkpoints import CheckpointError, load_checkpoint, restore
from src.models.pretrained import build_transfer
from src.models.scratch import LandmarkNet, NetSettings
from src.models.tta import TTA
from src.training.loop import fit

ROOT = Path(__file__).parents[1]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.values(), b.values(), strict=True))


def test_a_run_leaves_history_and_checkpoints_that_describe_themselves(data_set, tmp_path):
    seen = []
    model, history = train(data_set, tmp_path / "run", on_epoch=lambda h: seen.append(len(h)))
    assert seen == [1, 2, 2]
    assert list(history.epoch) == [1, 2]
    assert history.notna().all(axis=None)
    best, state = restore(tmp_path / "run" / "best.pt")
    assert state["class_names"] == ["00.Alpha", "01.Beta", "02.Gamma"]
    assert state["settings"] == dataclasses.asdict(QUICK)
    assert same(best.state_dict(), model.state_dict())
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["best.pt", "last.pt"]


def test_training_learns(data_set, tmp_path):
    settings = dataclasses.replace(QUICK, epochs=12, strong=False, cutmix=0.0, mixup=0.0, warmup_epochs=0.0)
    _, history = train(data_set, tmp_path / "run", settings)
    assert history.valid_accuracy.max() > 0.9


def test_two_epochs_are_one_epoch_a_kill_and_one_more(data_set, tmp_path):
    straight, history = train(data_set, tmp_path / "straight")

    class KillError(Exception):
        pass

    def kill(history):
        raise KillError

    with pytest.raises(KillError):
        train(data_set, tmp_path / "stopped", on_epoch=kill)
    torch.rand(5)
    resumed, again = train(data_set, tmp_path / "stopped")
    assert same(straight.state_dict(), resumed.state_dict())
    columns = ["train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "lr"]
    assert again[columns].equals(history[columns])


def test_a_killed_process_goes_on_to_the_same_result(data_set, tmp_path):
    command = [sys.executable, "-m", "src.train", "--model", "scratch", "--data", str(data_set)]
    command += ["--epochs", "3", "--sizes", "32", "--eval-size", "32", "--batch-size", "8", "--workers", "1"]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"

    def start(folder):
        return subprocess.Popen(
            [*command, "--runs", str(folder)],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )

    process = start(stopped)
    last = stopped / "scratch" / "train" / "last.pt"
    deadline = time.monotonic() + 120
    while not last.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for folder in (straight, stopped):
        process = start(folder)
        assert process.wait(timeout=120) == 0, process.stderr.read().decode()[-2000:]
    states = [load_checkpoint(folder / "scratch" / "train" / "last.pt") for folder in (straight, stopped)]
    assert same(states[0]["weights"], states[1]["weights"])
    losses = [[row["train_loss"] for row in state["history"]] for state in states]
    assert losses[0] == losses[1] and len(losses[0]) == 3


@pytest.mark.parametrize("name", ["scratch", "transfer"])
def test_the_same_seed_gives_the_same_weights_with_or_without_loading_processes(data_set, tmp_path, name):
    settings = dataclasses.replace(QUICK, epochs=1, mixup=0.0, cutmix=0.0)
    found = []
    for number, workers in enumerate((0, 2, 2)):
        pictures = load_pictures(
            data_set, sizes=(32,), batch_size=8, workers=workers, normalise=((0.5,) * 3, (0.5,) * 3),
            cache=tmp_path / "cache",
        )  # fmt: skip
        torch.manual_seed(0)
        model = LandmarkNet(3, NET) if name == "scratch" else build_transfer("resnet18", 3, weights=None)
        fit(model, pictures, settings, tmp_path / str(number))
        found.append(model.state_dict())
    assert same(found[0], found[1])
    assert same(found[1], found[2])


@pytest.mark.parametrize("mixed", [False, True])
def test_photos_of_no_landmark_are_learnt_as_such(data_set, tmp_path, mixed):
    settings = dataclasses.replace(QUICK, epochs=12, strong=False, cutmix=float(mixed), mixup=0.2 * mixed)
    unknown = split_unknown([make_unknown(tmp_path / "unknown")])

    def logits_after(folder, learn):
        """The mean of the largest logits of unknown photos that were not learnt from, and of landmarks."""
        pictures = load_pictures(
            data_set, sizes=(32,), epochs=12, batch_size=8, workers=0, unknown=learn, cache=tmp_path / "cache"
        )
        torch.manual_seed(0)
        model, see = LandmarkNet(3, NET), pictures.valid.dataset.transform
        history = fit(model, pictures, settings, tmp_path / folder)
        assert history.valid_accuracy.max() > 0.9
        for photos in (unknown.choose + unknown.judge, pictures.valid.dataset.paths):
            x = torch.stack([see(torch.tensor(read_array(path)).permute(2, 0, 1)) for path in photos])
            with torch.inference_mode():
                yield model.eval()(x).amax(1).mean().item()

    assert min(logits_after("naive", [])) > 0
    strange, landmarks = logits_after("taught", unknown.learn)
    assert strange < 0 < landmarks
    trained = [load_checkpoint(tmp_path / run / "best.pt")["trained"] for run in ("naive", "taught")]
    assert [(one["background"], one["pictures"]) for one in trained] == [(False, 24), (True, 36)]


def test_a_run_of_another_kind_is_not_resumed(data_set, tmp_path):
    train(data_set, tmp_path / "run")
    with pytest.raises(CheckpointError, match="another settings"):
        train(data_set, tmp_path / "run", dataclasses.replace(QUICK, lr=0.5))
    pictures = load_pictures(data_set, sizes=(32,), batch_size=8, workers=0, cache=tmp_path / "cache")
    other = LandmarkNet(3, NetSettings(widths=(8, 24), depths=(1, 1)))
    with pytest.raises(CheckpointError, match="another architecture"):
        fit(other, pictures, QUICK, tmp_path / "run")
    (data_set / "train" / "02.Gamma").rename(data_set / "train" / "02.Delta")
    (data_set / "test" / "02.Gamma").rename(data_set / "test" / "02.Delta")
    with pytest.raises(CheckpointError, match="class_names"):
        train(data_set, tmp_path / "run")


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="not there"):
        load_checkpoint(tmp_path / "absent.pt")
    (tmp_path / "bad.pt").write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match=r"bad\.pt is not a checkpoint"):
        load_checkpoint(tmp_path / "bad.pt")


def test_early_stopping(data_set, tmp_path):
    settings = dataclasses.replace(QUICK, epochs=30, lr=1e-9, patience=2)
    _, history = train(data_set, tmp_path / "run", settings)
    assert len(history) < 10
    assert len(history) - 1 - history.valid_accuracy.argmax() == 2


def test_a_loss_that_explodes_is_an_error(data_set, tmp_path):
    settings = dataclasses.replace(QUICK, optimizer="sgd", lr=1e30, warmup_epochs=0.0)
    with pytest.raises(FloatingPointError, match="lower lr"):
        train(data_set, tmp_path / "run", settings)


def test_the_network_stays_on_its_device_while_a_copy_trains_on_an_accelerator(data_set, tmp_path):
    settings = dataclasses.replace(QUICK, optimizer="sgd")
    with fake_device.accelerator():
        model, history = train(data_set, tmp_path / "run", settings, device=fake_device.DEVICE)
        assert {p.device.type for p in [*model.parameters(), *model.buffers()]} == {"cpu"}
        pictures = load_pictures(data_set, sizes=(32,), workers=0, cache=tmp_path / "cache")
        _, validated = calibrate(TTA(model), pictures)  # what the notebooks do next
        assert len(validated) == len(pictures.valid.dataset)
    assert same(load_checkpoint(tmp_path / "run" / "best.pt")["weights"], model.state_dict())
    _, expected = train(data_set, tmp_path / "cpu", settings, device=torch.device("cpu"))
    figures = ["train_accuracy", "valid_accuracy"]
    assert history[figures].equals(expected[figures])
