"""``python -m src.evaluate EXPORT --data ROOT``: measure an exported network on ``ROOT/test``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src import console
from src.data.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from src.evaluation.predictions import Predictions
    from src.inference.predictor import Predictor

# The parts are imported where they are needed: torch alone would take longer than `--help` may.

# figures of the folders of --also: in figures.json with the folder's name, "accuracy_full_size"
ALSO = ("n", "accuracy", "accuracy_low", "accuracy_high", "coverage", "accuracy_answered")


def labelled(folder: Path, known: Sequence[str], *, known_only: bool = False) -> tuple[list[Path], list[int]]:
    """The pictures of class folders, and their labels as indices into an export's classes `known`.

    Not every class needs a folder. DataError when a folder is none of the classes, unless those are left out
    (`known_only`), and when nothing remains.
    """
    from src.data.folders import list_pictures

    paths, labels, names = list_pictures(folder)
    missing = [name for name in names if name not in known]
    if missing and (not known_only or len(missing) == len(names)):
        raise DataError(
            f"The export does not know {len(missing)} of the {len(names)} class folders, such as "
            f"{missing[0]}; evaluate it on the data set it was trained on, rename the folders, or leave out "
            "what it does not know with --known-only."
        )
    kept = [(path, names[label]) for path, label in zip(paths, labels, strict=True)]
    kept = [(path, name) for path, name in kept if name in known]
    if missing:
        print(
            f"{len(paths) - len(kept)} photos of {len(missing)} landmarks that it does not know are left out."
        )
    return [path for path, _ in kept], [known.index(name) for _, name in kept]


def not_learnt(info: Mapping, folder: Path) -> tuple[list[Path], int]:
    """The photos of a folder that an export did not learn from, and how many of them it did.

    The export's ``model.json`` lists the digests of those that it learnt from. DataError where none is left.
    """
    from src.data.decoded import content_digests
    from src.data.folders import list_photos

    photos = list_photos(folder)
    learnt, digests = set(info.get("unknown_learnt", ())), content_digests(photos)
    kept = [photo for photo in photos if digests[photo] not in learnt]
    if not kept:
        raise DataError(f"The export learnt from all photos of {folder}: name a folder with others.")
    return kept, len(photos) - len(kept)


def write_results(
    out: Path,
    result: Mapping,
    predictions: Predictions,
    unknown: Predictions | None,
    kinds: pd.DataFrame | None,
) -> None:
    """Write figures.json, the tables and the pictures of one evaluation into the folder `out`."""
    from src.evaluation.metrics import per_class
    from src.evaluation.plots import plot_all

    out.mkdir(parents=True, exist_ok=True)
    (out / "figures.json").write_text(json.dumps(result, indent=2) + "\n")
    predictions.table.to_csv(out / "predictions.csv", index=False, errors="surrogateescape")
    per_class(predictions).to_csv(out / "per_class.csv", index=False)
    if unknown is not None:
        unknown.table.to_csv(out / "unknown.csv", index=False, errors="surrogateescape")
    for name, drawing in plot_all(predictions, result["threshold"], unknown, kinds).items():
        drawing.savefig(out / f"{name}.png")


def load_predictor(export: Path, landmarks: Sequence[Path]) -> Predictor:
    """An export, its landmarks described by these tables too. DataError for a wrong one."""
    from src.inference.predictor import Predictor
    from src.landmarks.table import read_landmarks

    try:
        predictor = Predictor.load(export)
        if landmarks:
            predictor.describe_with(read_landmarks(*landmarks))
    except ValueError as error:
        raise DataError(error) from error
    return predictor


def _unknown(args: argparse.Namespace, info: Mapping) -> list[Path]:
    """The photos of no landmark that judge an export; says which do not."""
    photos: list[Path] = []
    for folder in args.unknown:
        kept, left_out = not_learnt(info, folder)
        photos += kept
        if left_out:
            print(f"{left_out} of {left_out + len(kept)} photos in {folder} were learnt from: not judged.")
        elif "unknown_learnt" not in info:
            print(f"{args.export} does not say which photos it learnt from: all of {folder} are judged.")
    return photos


def evaluate(args: argparse.Namespace) -> None:
    """What the command line asks for. DataError or OSError for wrong input."""
    from src.data.folders import find_data_set
    from src.evaluation.metrics import by_kind, compare, costs, figures, most_confused, precision_at
    from src.evaluation.predictions import predict_export

    predictor = load_predictor(args.export, args.landmarks)
    threshold = predictor.known_threshold
    folder = (Path(args.data) if args.data else find_data_set(download=False)) / args.split
    known = predictor.class_names
    paths, labels = labelled(folder, known, known_only=args.known_only)
    if len({one.resolve().name for one in args.also}) < len(args.also):
        raise DataError("Two folders of --also have one name, which tells their figures apart: rename one.")
    further = {one: labelled(one, known, known_only=args.known_only) for one in args.also}
    photos = _unknown(args, predictor.info)

    predictions = predict_export(predictor, paths, labels)
    unknown = predict_export(predictor, photos) if photos else None
    kinds = by_kind(unknown, args.unknown, threshold) if unknown else None
    result: dict = dict.fromkeys(("n_unknown", "auroc_unknown", "answered_unknown"))  # null: not measured
    result |= figures(predictions, threshold, unknown)
    result |= costs(predictor, args.export, paths[0])
    result["by_kind"] = None if kinds is None else kinds.set_index("kind").to_dict("index")
    result["precision_at"] = precision_at(result)
    for one, (others, their_labels) in further.items():
        found = figures(predict_export(predictor, others, their_labels), threshold)
        result |= {f"{key}_{one.resolve().name}": found[key] for key in ALSO}
    out = args.out or Path("evaluation") / args.export.stem
    write_results(out, result, predictions, unknown, kinds)
    print(f"{args.export} on {len(paths)} photos of {len(set(labels))} landmarks in {folder}\n")
    print(compare({args.export.stem: result}).T.to_string(header=False))
    _print_details(args.also, result, kinds, most_confused(predictions, 5))
    print(f"\nTables and pictures are in {out}.")


def _print_details(
    also: Sequence[Path], result: Mapping, kinds: pd.DataFrame | None, mistakes: pd.DataFrame
) -> None:
    """Print what a row of figures has no place for."""
    for folder in also:
        n, accuracy, *_, coverage, right = (result[f"{key}_{folder.resolve().name}"] for key in ALSO)
        of_these = f"{coverage:.1%} answered, {right or 0:.1%} of these right"
        print(f"{folder}: {accuracy:.1%} of {n} photos, {of_these}")
    if result["precision_at"]:
        shares = ", ".join(f"{value:.0%} at {share}" for share, value in result["precision_at"].items())
        print(f"Right among the tags of a library by its share of landmark photos: {shares}")
    if kinds is not None and len(kinds) > 1:
        kinds["answered"] = kinds["answered"].map("{:.1%}".format)
        print("\nPhotos of no landmark", kinds.to_string(index=False), sep="\n")
    if len(mistakes):
        mistakes["share"] = mistakes["share"].map("{:.0%}".format)
        print("\nCommonest mistakes", mistakes.to_string(index=False), sep="\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m src.evaluate`; returns the exit status, 2 for wrong input."""
    about = "Measure an exported network on the test pictures of a data set, and on photos of no landmark."
    parser = argparse.ArgumentParser("python -m src.evaluate", description=about)
    parser.add_argument("export", type=Path, metavar="EXPORT", help="an exported model (.pt)")
    parser.add_argument("--data", metavar="ROOT", help="data set; found as for training if missing")
    parser.add_argument("--split", choices=("test", "train"), default="test")
    several: dict[str, Any] = {"type": Path, "action": "append", "default": []}
    parser.add_argument(
        "--unknown",
        metavar="FOLDER",
        help="photos of none of the landmarks; may be given several times",
        **several,
    )
    parser.add_argument(
        "--also",
        metavar="FOLDER",
        help="class folders of further photos, such as larger ones; may be given several times",
        **several,
    )
    parser.add_argument(
        "--known-only", action="store_true", help="leave out class folders that the export does not know"
    )
    parser.add_argument(
        "--landmarks",
        metavar="FILE.csv",
        help="a table that adds to or replaces rows of landmarks.csv; may be given several times",
        **several,
    )
    parser.add_argument("--out", type=Path, help="folder to write to (evaluation/NAME)")
    try:
        evaluate(parser.parse_args(arguments))
    except (DataError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")  # draws into files, needs no display
    console.run(main)
