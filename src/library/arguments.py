"""The command line of the tagger: what it takes, and what each value must be."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from src.inference.export_file import EXPORT
from src.landmarks.tags import LANGUAGES
from src.library.remote import is_address
from src.photos.sidecar_names import NAMINGS


def parser(about: str) -> argparse.ArgumentParser:
    """The parser of `python -m src.tag`, which `about` describes."""
    parser = argparse.ArgumentParser("python -m src.tag", description=about)
    parser.add_argument(
        "folder",
        type=folder_or_address,
        metavar="FOLDER",
        help="photos, also in folders below; for Ray also an address, s3://…",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("tags.csv"),
        help="table: .csv, .json, .geojson or .parquet (tags.csv)",
    )
    parser.add_argument(
        "--write",
        choices=("sidecar", "copy"),
        help="write tags beside photos, or in copies; take back those that hold no more",
    )
    parser.add_argument("--to", type=Path, metavar="DIR", help="where the copies go")
    parser.add_argument(
        "--sidecar-name",
        choices=NAMINGS,
        default="auto",
        help="IMG_1.jpg.xmp (ext: darktable, digiKam) or IMG_1.xmp (stem: Adobe); auto: what is there",
    )
    parser.add_argument(
        "--drop-c2pa",
        action="store_true",
        help="leave Content Credentials out of copies, as they fit no more",
    )
    parser.add_argument(
        "--review", action="store_true", help="make a page and a table that decides what --write writes"
    )
    parser.add_argument(
        "--suggest", action="store_true", help="list groups of photos of places that nobody has named"
    )
    parser.add_argument(
        "--album", type=Path, metavar="DIR", help="make a folder of links to the photos of each landmark"
    )
    parser.add_argument("--undo", action="store_true", help="take back what was written for FOLDER")
    parser.add_argument("--model", type=Path, metavar="PT", default=EXPORT, help="an exported model")
    parser.add_argument(
        "--own",
        type=Path,
        metavar="FILE",
        help="landmarks of your own (my_landmarks.npz beside the table or the model, where one is)",
    )
    parser.add_argument(
        "--learn", action="store_true", help="learn landmarks of your own from what you said in the review"
    )
    parser.add_argument(
        "--landmarks",
        type=Path,
        metavar="CSV",
        action="append",
        default=[],
        help="rows that add to or replace what is known of landmarks (see src/landmarks/landmarks.csv)",
    )
    parser.add_argument(
        "--language",
        choices=LANGUAGES,
        default="en",
        help="of the landmark's name in tags: English, or that of the place where it is known",
    )
    parser.add_argument(
        "--min-confidence",
        type=probability,
        metavar="P",
        help="name a landmark from this probability on (the model's)",
    )
    parser.add_argument(
        "--workers",
        type=count,
        metavar="N",
        help="threads (one more than cores, up to 5), or processes on a cluster (all its cores)",
    )
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="where the work is done: here, or on a Ray cluster",
    )
    parser.add_argument(
        "--no-outings", action="store_true", help="do not let the photos of a folder help each other"
    )
    parser.add_argument(
        "--since", type=day, metavar="DATE", help="only photos taken on this day (2024-05-01) or later"
    )
    parser.add_argument(
        "--only-missing", action="store_true", help="only photos that lack keywords or a position"
    )
    parser.add_argument("--nice", action="store_true", help="leave the cores to other programs")
    return parser


def folder_or_address(text: str) -> Path | str:
    """A folder, or as text an address, of the command line."""
    return text if is_address(text) else Path(text)


def probability(text: str) -> float:
    """A probability from the command line."""
    if not 0 <= float(text) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return float(text)


def day(text: str) -> date:
    """A day from the command line."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is no day such as 2024-05-01") from error


def count(text: str) -> int:
    """A number of threads from the command line."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return int(text)
