"""``python -m src.train --model scratch`` and ``--model transfer`` repeat the two committed recipes."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import get_type_hints

from src import console
from src.training.recipes import RECIPES, Recipe, TrainSettings

SHOWN = ("phase", "epoch", "train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "seconds")
RUN = ("valid_fraction", "split_seed")  # what options change of a recipe as a whole


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m src.train", description="Train a network by its recipe.")
    parser.add_argument("--model", choices=RECIPES, required=True)
    parser.add_argument("--data", type=Path, help="folder with train/ and test/ (default: see README)")
    parser.add_argument(
        "--unknown",
        type=Path,
        action="append",
        help="folder of photos of no landmark, most of which train along as a class of their own; may be "
        "given several times (default: see README)",
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where checkpoints go")
    parser.add_argument("--backbone", help="torchvision or timm network, instead of the recipe's")
    parser.add_argument("--weights", help='of the backbone: "pretrained" (the default), or a local file')
    parser.add_argument("--limit", type=int, help="train on about so many pictures")
    parser.add_argument("--workers", type=int, default=2, help="loading processes")
    group = parser.add_argument_group("settings of all phases, instead of the recipe's")
    group.add_argument("--valid-fraction", type=float, help="share of the pictures kept for validation")
    group.add_argument("--split-seed", type=int, help="of the choice of these pictures")
    group.add_argument("--seed", type=int, help="of weights, order and augmentation")
    group = parser.add_argument_group(
        "settings of the last phase, instead of the recipe's", "explained in src/training/recipes.py"
    )
    for name, kind in get_type_hints(TrainSettings).items():
        option = f"--{name.replace('_', '-')}"
        if name == "seed":
            continue
        if kind is bool:
            group.add_argument(option, action=argparse.BooleanOptionalAction)
        elif kind == tuple[int, ...]:
            group.add_argument(option, type=int, nargs="+")
        else:
            group.add_argument(option, type=kind)
    return parser


def _recipe(options: argparse.Namespace) -> Recipe:
    """The recipe with what the options change of it.

    Raises:
        ValueError: something given is impossible.
    """
    if options.sizes:
        options.sizes = tuple(options.sizes)
    given = {name: value for name, value in vars(options).items() if value is not None}
    recipe = RECIPES[options.model]
    last = list(recipe.phases)[-1]
    names = {field.name for field in dataclasses.fields(TrainSettings)}
    phases = dict(recipe.phases)
    if "seed" in given:
        phases = {name: dataclasses.replace(phase, seed=options.seed) for name, phase in phases.items()}
    phases[last] = dataclasses.replace(phases[last], **{k: v for k, v in given.items() if k in names})
    return dataclasses.replace(recipe, phases=phases, **{k: v for k, v in given.items() if k in RUN})


def _train(options: argparse.Namespace) -> None:
    import torch  # here, as the modules below: --help answers at once

    from src.data.folders import class_folders, find_data_set
    from src.data.unknown import find_unknown, split_unknown
    from src.models.classifier import Classifier
    from src.models.pretrained import DEFAULT_BACKBONE, build_transfer
    from src.models.scratch import LandmarkNet
    from src.training.distributed import rank
    from src.training.runs import run_recipe

    recipe = _recipe(options)
    if options.model == "scratch" and (options.backbone or options.weights):
        raise ValueError("--backbone and --weights are of the pretrained network: give --model transfer.")
    root = find_data_set(options.data)
    classes = len(class_folders(root / "train"))
    torch.manual_seed(list(recipe.phases.values())[-1].seed)
    model: Classifier
    if options.model == "scratch":
        model = LandmarkNet(classes)
    else:
        backbone, weights = options.backbone or DEFAULT_BACKBONE, options.weights or "pretrained"
        model = build_transfer(backbone, classes, weights=weights)
    history, _ = run_recipe(
        model,
        recipe,
        root,
        options.runs / options.model,
        unknown=split_unknown(find_unknown(options.unknown, root)).learn,
        limit=options.limit,
        workers=options.workers,
    )
    if not rank():
        print(history[list(SHOWN)].to_string(index=False, float_format="{:.4f}".format))


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 when trained, 2 with one sentence when something given is wrong."""
    options = _parser().parse_args(arguments)

    from src.data.errors import DataError
    from src.models.checkpoints import CheckpointError
    from src.models.pretrained import WeightsError
    from src.training.distributed import joined

    try:
        with joined():
            _train(options)
    except (DataError, CheckpointError, WeightsError, ValueError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    console.run(main)
