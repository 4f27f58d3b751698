"""A recipe from its first phase to its last, and the network that came of it, or of several runs.

Every checkpoint says in ``trained`` how its weights came about, whoever trained: a notebook, the command
line, `fit` alone (then there is one phase). ``model.json`` of an export holds the same::

    {
        "recipe": "transfer",                      # the key in `RECIPES`
        "phases": {"head": {…}, "finetune": {…}},  # every `TrainSettings` as a dict
        "seed": 0,                                 # of the last phase
        "epochs_run": {"head": 1, "finetune": 10},  # epochs behind these weights
        "valid_fraction": 0.1,
        "split_seed": 0,
        "pictures": 5000,                          # that it was trained on, of no landmark too
        "background": True,                        # whether there were any of no landmark
        "versions": {"python": "3.11.2", "torch": "2.15.0", "torchvision": "…", "timm": "…"},
        "others": [{…}],                           # of an ensemble: the same of its other networks
    }
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from src.data.folders import Pictures, load_pictures
from src.models.checkpoints import CheckpointError, load_checkpoint, restore
from src.models.classifier import Classifier
from src.models.ensemble import combined
from src.models.pretrained import TransferNet
from src.training import distributed as parallel
from src.training.loop import fit
from src.training.recipes import Recipe, TrainSettings

# what networks of an ensemble share: none may have learnt from what another is validated on
ALIKE = ("class_names", "fingerprint", "size", "mean", "std", "background")


def run_recipe(
    model: Classifier,
    recipe: Recipe,
    root: str | Path,
    folder: str | Path,
    *,
    unknown: Sequence[Path] = (),
    limit: int | None = None,
    workers: int = 2,
    on_epoch: Callable[[pd.DataFrame], None] | None = None,
) -> tuple[pd.DataFrame, Pictures]:
    """Train a network through the phases of a recipe, each in ``folder/PHASE``.

    All phases have the same validation pictures.

    Args:
        model: begins with its weights and ends with the best ones, on the device where it is.
        root: folder with ``train/`` and ``test/``.
        unknown, limit, workers: see `load_pictures`.
        on_epoch: see `fit`.

    Returns:
        The joined history with a column ``phase``, and the pictures of the last phase.
    """
    histories = []
    trained: dict[str, Any] | None = None
    for phase, settings in recipe.phases.items():
        with parallel.one_first():
            pictures = _load(
                model, recipe, settings, root=root, unknown=unknown, limit=limit, workers=workers
            )
        if isinstance(model, TransferNet):
            model.unfreeze(recipe.unfrozen.get(phase, 1.0))
        run = Path(folder) / phase
        history = fit(model, pictures, settings, run, phase=phase, before=trained, on_epoch=on_epoch)
        histories.append(history.assign(phase=phase))
        trained = load_checkpoint(run / "best.pt")["trained"]
    return pd.concat(histories, ignore_index=True), pictures


def _load(model: Classifier, recipe: Recipe, settings: TrainSettings, **options: Any) -> Pictures:
    """The pictures of a phase; the split is that of the recipe."""
    return load_pictures(
        sizes=settings.sizes,
        eval_size=settings.eval_size,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        strong=settings.strong,
        zoom=settings.zoom,
        low_resolution=settings.low_resolution,
        seed=settings.seed,
        valid_fraction=recipe.valid_fraction,
        split_seed=recipe.split_seed,
        normalise=(model.mean, model.std) if isinstance(model, TransferNet) else None,
        rank=parallel.rank(),
        processes=parallel.processes(),
        **options,
    )


def restore_runs(runs: Sequence[str | Path]) -> tuple[Classifier, dict]:
    """The best network of a run, or the ensemble of those of several, in evaluation mode.

    Returns:
        The network, and everything else that the checkpoint of the first says; its ``trained`` holds those
        of the others as ``others``.

    Raises:
        CheckpointError: a run has no network, or two differ in what they were trained or validated on.
    """
    networks, states = zip(*(restore(Path(run) / "best.pt") for run in runs), strict=True)
    for run, state in zip(runs, states, strict=True):
        for fact in ALIKE:
            if state[fact] != states[0][fact]:
                raise CheckpointError(
                    f"{run} and {runs[0]} were not trained on the same pictures alike ({fact}): they "
                    "cannot be an ensemble."
                )
    trained = states[0]["trained"]
    if len(states) > 1:
        trained = trained | {"others": [state["trained"] for state in states[1:]]}
    return combined(networks).eval(), states[0] | {"trained": trained}
