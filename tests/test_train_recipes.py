"""Settings, recipes of several phases, and the command `src.train`."""

import dataclasses

import pandas as pd
import pytest
import torch
from conftest import make_unknown
from training_runs import QUICK, train

from src.data.folders import load_pictures
from src.data.unknown import split_unknown
from src.models.checkpoints import load_checkpoint, restore
from src.models.pretrained import build_transfer
from src.train import SHOWN, main
from src.training import runs
from src.training.loop import fit
from src.training.recipes import RECIPES, Recipe, TrainSettings
from src.training.runs import run_recipe


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
