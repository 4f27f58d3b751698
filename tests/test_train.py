"""Training: epochs, checkpoints, resuming after a kill, settings."""

import dataclasses
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fake_device
import pandas as pd
import pytest
import torch
from conftest import make_unknown
from tqdm import tqdm

from src.data.decoded import read_array
from src.data.folders import UNKNOWN, load_pictures
from src.data.unknown import split_unknown
from src.evaluation.calibration import calibrate
from src.models.checkpoints import CheckpointError, load_checkpoint, restore
from src.models.pretrained import build_transfer
from src.models.scratch import LandmarkNet, NetSettings
from src.models.tta import TTA
from src.train import SHOWN, main
from src.training import runs
from src.training.loop import SHOWN_EVERY, fit, mixing, train_one_epoch, unmixed, validate
from src.training.optimization import LandmarkLoss, MovingAverage, get_schedule
from src.training.recipes import RECIPES, Recipe, TrainSettings
from src.training.runs import run_recipe

ROOT = Path(__file__).parents[1]
NET = NetSettings(widths=(8, 16), depths=(1, 1))
QUICK = TrainSettings(
    epochs=2, sizes=(32,), eval_size=32, batch_size=8, lr=1e-2, ema=0.9, cutmix=1.0, mixup=0.2
)


def train(data_set, folder, settings=QUICK, **options):
    pictures = load_pictures(
        data_set, sizes=settings.sizes, epochs=settings.epochs, batch_size=settings.batch_size, workers=0,
        cache=folder.parent / "cache",
    )  # fmt: skip
    torch.manual_seed(settings.seed)
    model = LandmarkNet(3, NET)
    return model, fit(model, pictures, settings, folder, **options)


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


class Echo(torch.nn.Module):
    """The picture is its own two logits, which training leaves as they are."""

    def __init__(self):
        super().__init__()
        self.shift = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return x[:, :2, 0, 0] + self.shift


def trained_by_echo(pictures, labels, mix=unmixed):
    model, loss = Echo(), LandmarkLoss(background=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    return train_one_epoch(model, [(pictures, labels)], loss, optimizer, torch.device("cpu"), mix=mix)


def test_unknown_photos_count_in_the_loss_and_not_in_the_accuracy():
    pictures = torch.zeros(4, 3, 1, 1)
    pictures[:, 0] = 3.0  # says class 0
    result = trained_by_echo(pictures, torch.tensor([0, 1, 0, UNKNOWN]))
    assert result["accuracy"] == pytest.approx(2 / 3)
    first, second, background = torch.tensor([3.0, 0.0, 0.0]).log_softmax(0).neg().tolist()
    assert result["loss"] == pytest.approx((2 * first + second + background) / 4)


def test_of_mixed_photos_those_that_are_mostly_unknown_do_not_count_in_the_accuracy():
    targets = torch.tensor([[0.7, 0.0, 0.3], [0.1, 0.6, 0.3], [0.4, 0.0, 0.6], [0.0, 0.0, 1.0]])
    pictures = torch.zeros(4, 3, 1, 1)
    pictures[:, 0] = 3.0
    result = trained_by_echo(pictures, torch.zeros(4, dtype=torch.int64), lambda x, y: (x, targets))
    assert result["accuracy"] == pytest.approx(1 / 2)


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


def test_figures_are_means_over_pictures_with_a_short_last_batch():
    x = torch.zeros(3, 3, 1, 1)
    x[:, 0] = 5.0  # says class 0
    loader = [(x[:2], torch.tensor([0, 0])), (x[2:], torch.tensor([1]))]
    result = validate(Echo(), loader, torch.nn.CrossEntropyLoss(), torch.device("cpu"))
    assert result["accuracy"] == pytest.approx(2 / 3)
    right, wrong = torch.tensor([5.0, 0.0]).log_softmax(0).neg().tolist()
    assert result["loss"] == pytest.approx((2 * right + wrong) / 3)


def test_the_average_follows_at_once_and_then_slowly():
    model = torch.nn.Linear(1, 1, bias=False)
    average = MovingAverage(model, 0.9)
    for value in (0.0, 1.0):
        torch.nn.init.constant_(model.weight, value)
        average.update(model)
    assert average.module.weight.item() == pytest.approx(1 - 2 / 11)


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


@pytest.mark.parametrize("shown", [False, True])
def test_an_epoch_hardly_ever_waits_for_the_accelerator(shown):
    torch.manual_seed(0)
    batches, device = 2 * SHOWN_EVERY + 5, fake_device.DEVICE
    loader = [(torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, -1])) for _ in range(batches)]
    with fake_device.accelerator() as waits:
        network = LandmarkNet(3, NET).to(device)
        optimizer = torch.optim.SGD(network.parameters(), 0.01)
        schedule = get_schedule("cosine", optimizer, epochs=1, steps_per_epoch=batches)
        average = MovingAverage(network, 0.9)
        waits.clear()
        with tqdm(total=4 * batches, file=io.StringIO(), disable=not shown) as bar:
            result = train_one_epoch(
                network, loader, LandmarkLoss(background=True), optimizer, device, schedule=schedule,
                average=average, clip=1.0, bar=bar,
            )  # fmt: skip
        assert len(waits) == (4 if shown else 1)  # each time for all the figures since the last one
        assert bar.n == (4 * batches if shown else 0)
        assert result["loss"] > 0 and 0 <= result["accuracy"] <= 1
        waits.clear()
        validate(average.module, [(x, y.clamp(min=0)) for x, y in loader], LandmarkLoss(), device)
        assert len(waits) == 1


@pytest.mark.parametrize("kind", [{"mixup": 1.0, "cutmix": 0.0}, {"mixup": 0.0, "cutmix": 1.0}])
@pytest.mark.parametrize("background", [False, True])
def test_mixed_labels_are_probabilities(background, kind):
    torch.manual_seed(0)
    mix = mixing(dataclasses.replace(QUICK, **kind), 3, background=background)
    labels = torch.tensor([0, 1, 2, UNKNOWN if background else 0])
    classes = torch.tensor([0, 1, 2, 3 if background else 0])  # the background is the last one
    alone, together = [], []
    for _ in range(20):
        _, y = mix(torch.rand(4, 3, 8, 8), labels)
        (together if y.ndim > 1 else alone).append(y)
    assert alone and all(torch.equal(y, classes) for y in alone)
    for y in together:
        assert y.shape == (4, 4 if background else 3)
        share = y[torch.arange(4), classes]
        first = torch.nn.functional.one_hot(classes, y.shape[1])
        mixed = y - share.amin() * first  # with one share each is mixed with the picture before it
        torch.testing.assert_close(mixed, (1 - share.amin()) * first.roll(1, 0).float())
    assert together


def test_labels_stay_as_they_are_where_nothing_is_mixed():
    mix = mixing(dataclasses.replace(QUICK, mixup=0.0, cutmix=0.0), 3, background=True)
    x, y = torch.rand(2, 3, 8, 8), torch.tensor([UNKNOWN, 2])
    assert all(a is b for a, b in zip(mix(x, y), (x, y), strict=True))


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0}, {"epochs": 1.5}, {"lr": -1.0}, {"lr": "fast"}, {"optimizer": "adagrad"}, {"zoom": 0.0},
        {"schedule": "linear"}, {"schedule": "plateau"}, {"sizes": (16,)}, {"sizes": 128}, {"ema": 1.0},
        {"epochs": True},
    ],
)  # fmt: skip
def test_wrong_settings_are_errors(wrong):
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own message
        TrainSettings(**wrong)
    with pytest.raises(TypeError):
        TrainSettings(learning_rate=1.0)


PHASE = TrainSettings(epochs=1, sizes=(32,), eval_size=32, batch_size=8, lr=1e-2, warmup_epochs=0.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"valid_fraction": 0.0},
        {"phases": {}},
        {"unfrozen": {"haed": 0}},
        {"unfrozen": {"head": 2}},
    ],
)
def test_impossible_recipes_are_errors(wrong):
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own message
        Recipe(**({"phases": {"head": PHASE}} | wrong))


def test_phases_of_a_recipe_follow_each_other(data_set, tmp_path):
    recipe = Recipe({"head": PHASE, "finetune": PHASE}, {"head": 0})
    model = build_transfer("resnet18", 3, weights=None)
    start = model.backbone.conv1.weight.clone()
    history, pictures = run_recipe(model, recipe, data_set, tmp_path / "run", workers=0)
    assert list(history.phase) == ["head", "finetune"]
    assert pictures.mean == list(model.mean)
    head, _ = restore(tmp_path / "run" / "head" / "best.pt")
    assert torch.equal(head.backbone.conv1.weight, start)
    assert not torch.equal(model.backbone.conv1.weight, start)


def test_checkpoints_say_in_one_form_how_their_weights_came_about(data_set, tmp_path):
    head = dataclasses.replace(PHASE, lr=0.5)
    recipe = Recipe({"head": head, "finetune": PHASE}, {"head": 0}, valid_fraction=0.3, split_seed=7)
    run_recipe(build_transfer("resnet18", 3, weights=None), recipe, data_set, tmp_path, workers=0)
    train(data_set, tmp_path / "alone")
    both, alone = (load_checkpoint(tmp_path / run / "best.pt")["trained"] for run in ("finetune", "alone"))
    assert both.keys() == alone.keys()
    assert both["versions"].pop("torch") == torch.__version__
    assert {k: v for k, v in both.items() if k != "versions"} == {
        "recipe": "transfer",
        "phases": {"head": dataclasses.asdict(head), "finetune": dataclasses.asdict(PHASE)},
        "seed": 0,
        "epochs_run": {"head": 1, "finetune": 1},
        "valid_fraction": 0.3,
        "split_seed": 7,
        "pictures": 21,
        "background": False,
    }
    assert (alone["recipe"], alone["seed"]) == ("scratch", 0)
    assert alone["phases"] == {"train": dataclasses.asdict(QUICK)}


def test_all_phases_have_one_split_and_one_seed(data_set, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(RECIPES, "transfer", Recipe({"head": PHASE, "finetune": PHASE}, {"head": 0}))
    monkeypatch.setattr("src.models.pretrained._load_file", lambda network, file: None)
    (data_set / "train" / ".ipynb_checkpoints").mkdir()  # no class
    seen = []

    def spy(model, pictures, settings, folder, **options):
        assert model.head.out_features == 3
        seen.append((pictures, settings))
        return fit(model, pictures, settings, folder, **options)

    monkeypatch.setattr(runs, "fit", spy)
    command = ["--model", "transfer", "--backbone", "resnet18", "--weights", "any", "--data", str(data_set)]
    command += ["--workers", "0", "--valid-fraction", "0.5", "--split-seed", "3", "--seed", "5"]
    assert main([*command, "--runs", str(tmp_path / "runs")]) == 0
    assert [settings.seed for _, settings in seen] == [5, 5]
    valid = [set(pictures.valid.dataset.paths) for pictures, _ in seen]
    trained = set().union(*(pictures.train.dataset.paths for pictures, _ in seen))
    assert valid[0] == valid[1] and len(valid[0]) == 15
    assert not trained & valid[0]
    other = load_pictures(data_set, valid_fraction=0.5, workers=0)
    assert set(other.valid.dataset.paths) != valid[0]  # the split's seed counts


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "nowhere holds no data set"),
        (["--lr", "-1"], "must not be negative"),
        (["--model", "transfer", "--backbone", "resnet19"], "close matches: resnet18"),
        (["--backbone", "resnet18"], "give --model transfer"),
        (["--schedule", "plateau"], "does not warm up"),
        (["--layer-decay", "0.5"], "needs a pretrained network"),
        (["--valid-fraction", "1"], r"valid_fraction must be in (0, 1)"),
        (["--unknown", "nowhere"], "nowhere"),
        (["--unknown", "{unknown}"], "too few sources"),
    ],
)
def test_the_command_line_says_what_is_wrong(data_set, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    unknown = make_unknown(tmp_path / "unknown", 2)
    arguments = [argument.format(unknown=unknown) for argument in arguments]
    data = [] if "--data" in arguments else ["--data", str(data_set)]
    command = ["--model", "scratch", *data, "--runs", str(tmp_path), "--workers", "0", *arguments]
    assert main(command) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("model", ["scratch", "transfer"])
def test_both_networks_learn_from_the_folders_given_or_those_beside_the_data_set(
    data_set, tmp_path, monkeypatch, model
):
    folders = [make_unknown(tmp_path / name) for name in ("one", "two", "not_landmarks")]
    learn = [split_unknown([folder]).learn for folder in folders]
    asked = []

    def spy(*_, unknown, **__):
        asked.append(unknown)
        return pd.DataFrame(columns=list(SHOWN)), None

    monkeypatch.setattr(runs, "run_recipe", spy)
    monkeypatch.setattr("src.models.pretrained._load_file", lambda network, file: None)
    command = ["--model", model, "--data", str(data_set)]
    if model == "transfer":
        command += ["--backbone", "resnet18", "--weights", "any"]
    given = [argument for folder in folders[:2] for argument in ("--unknown", str(folder))]
    assert main(command) == main([*command, *given]) == 0
    assert asked == [learn[2], learn[0] + learn[1]]
