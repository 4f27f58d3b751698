"""``python -m src.export RUN FILE``: calibrate, export and measure the network of a finished run.

``python -m src.export RUN RUN FILE`` does it for the ensemble of several.

``python -m src.export --upgrade OLD NEW`` makes an export of today's format from an earlier one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from src import console
from src.data.errors import DataError

if TYPE_CHECKING:
    from src.inference.predictor import Predictor

# The parts are imported where they are needed: torch alone would take longer than `--help` may.


def export_runs(
    runs: Sequence[str | Path],
    root: str | Path,
    path: str | Path,
    *,
    unknown: Sequence[str | Path] = (),
) -> Predictor:
    """Calibrate, export and measure the best network of a run, or the ensemble of several.

    Temperature, score and threshold come from the validation pictures and from unknown photos of other
    sources; the test pictures are read once, by the finished export, for the figures in its ``model.json``.

    Args:
        runs: their folders, with ``best.pt``; all on the same pictures, divided alike.
        root: the data set that they were trained on.
        path: the export to write.
        unknown: folders of photos of no landmark.

    Raises:
        DataError, CheckpointError, ExportError: what is wrong with the data, the run or the export.
    """
    from src.data.folders import load_pictures
    from src.data.unknown import split_unknown
    from src.evaluation.calibration import calibrate
    from src.evaluation.metrics import figures
    from src.evaluation.predictions import predict_export
    from src.inference.exporter import add_info, export
    from src.models.checkpoints import CheckpointError
    from src.models.tta import TTA, Views
    from src.training.recipes import RECIPES
    from src.training.runs import restore_runs

    network, state = restore_runs(runs)
    parts, recipe = split_unknown(unknown), RECIPES[state["trained"]["recipe"]]
    pictures = load_pictures(
        root,
        eval_size=state["size"],
        normalise=(state["mean"], state["std"]),
        valid_fraction=state["valid_fraction"],
        split_seed=state["split_seed"],
        unknown=parts.learn if state["background"] else (),
    )
    if state["class_names"] != pictures.class_names:
        raise CheckpointError(
            f"{runs[0]} was trained on other classes than {root} holds: give its own data set."
        )
    augmented = TTA(network, Views(recipe.again, recipe.blurred_side, state["background"]))
    calibration, validated = calibrate(augmented, pictures, parts.choose, recipe.coverage)
    info = {"trained": state["trained"], "valid": figures(validated, calibration.threshold)}
    predictor = export(augmented, pictures, path, calibration, info=info)
    tested = predict_export(predictor, pictures.test.dataset)
    rejected = predict_export(predictor, parts.judge) if parts.judge else None
    return add_info(path, {"test": figures(tested, calibration.threshold, rejected)})


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 when exported, 2 with one sentence when something given is wrong."""
    parser = argparse.ArgumentParser("python -m src.export", description="Export the network of a run.")
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="run",
        help="folder of a run, with best.pt; of several the ensemble is exported; with --upgrade an export",
    )
    parser.add_argument("file", type=Path, help="the export to write")
    parser.add_argument("--data", type=Path, help="folder with train/ and test/ (default: see README)")
    parser.add_argument(
        "--unknown",
        type=Path,
        action="append",
        help="folder of photos of no landmark; may be given several times (default: see README)",
    )
    parser.add_argument(
        "--upgrade",
        action="store_true",
        help="make an export of today's format from an earlier one; needs no pictures and no training",
    )
    options = parser.parse_args(arguments)
    if options.upgrade and len(options.runs) > 1:
        parser.error("--upgrade takes one export, and the file to write.")

    from src.data.folders import find_data_set
    from src.data.unknown import find_unknown
    from src.inference.exporter import ExportError, upgrade
    from src.models.checkpoints import CheckpointError

    try:
        if options.upgrade:
            upgrade(options.runs[0], options.file)
            return 0
        root = find_data_set(options.data)
        unknown = find_unknown(options.unknown, root)
        predictor = export_runs(options.runs, root, options.file, unknown=unknown)
    except (DataError, CheckpointError, ExportError, FileNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(predictor.info["test"], indent=1))
    return 0


if __name__ == "__main__":
    console.run(main)
