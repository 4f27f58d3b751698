"""Teach the tagger places of your own: with some five photos each, and without training.

What it saw on them is kept in a file, which `python -m src.tag`, `python -m src.host` and the app compare
other photos with. docs/own_landmarks.md says how that works and what the file gives away.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from src import console
from src.files import FileError, printable
from src.inference.export_file import EXPORT

if TYPE_CHECKING:
    from src.inference.predictor import Predictor
    from src.landmarks.table import Landmark
    from src.library.teach_own import Known, Learned

FILE = Path("my_landmarks.npz")


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m src.teach`.

    Returns the exit status: 0, 1 where a photo or file could not be read or written, 2 for wrong usage.
    """
    parser, args = _parsed(sys.argv[1:] if argv is None else argv)
    wanted = [args.name is not None, args.list, args.forget is not None, args.renew, args.export_training]
    if sum(map(bool, wanted)) != 1 or (args.name is not None) != bool(args.photos):
        parser.error("give a name and photos, or one of --list, --forget, --renew and --export-training")
    if args.name is not None and _is_file(args.name):
        parser.error(f"{printable(args.name)} is a file: give the name of the place, and then its photos")

    from src.library.teach_own import OwnError, UnreadableError  # here, as --help need not wait for it

    try:
        return _run(args)
    except (UnreadableError, FileError) as error:
        print(error, file=sys.stderr)
        return 1
    except OwnError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        goes_on = args.renew or args.export_training
        print(f"Stopped; {'start again to go on' if goes_on else 'nothing was changed'}.", file=sys.stderr)
        return 130


def _run(args: argparse.Namespace) -> int:
    if args.list:
        return _list(args.into)
    if args.forget is not None:
        return _forget(args.into, args.forget)
    if args.renew:
        return _renew(args)
    if args.export_training:
        return _export_training(args)
    return _teach(args)


def _teach(args: argparse.Namespace) -> int:
    from src.library.teach_own import Facts, teach

    facts = Facts(args.at, args.tags, args.city, args.country)
    known: Known = "add" if args.add else "replace" if args.replace else ""
    learned = teach(args.into, args.name, args.photos, facts, known, _predictor(args.model))
    for sentence in learned.unreadable:
        print(sentence, file=sys.stderr)
    for sentence in (*_gist(learned), *_warnings(learned)):
        print(printable(sentence))
    print(f"{printable(str(args.into))} has it: python -m src.tag PHOTOS --own {printable(str(args.into))}")
    return 1 if learned.unreadable else 0


def _gist(learned: Learned) -> list[str]:
    """What was learned, and how well it is known."""
    from src.inference.own import ENOUGH

    landmark, count = learned.taught.landmark, len(learned.taught.examples)
    said = [f"{landmark.name} is known by {_photos(count)}{_at(landmark)}."]
    if learned.built_in:
        said.append("The export knows it already: these photos teach it better.")
    elif landmark.latitude is None:
        said.append("It has no position, as no photo says where it was taken: --at LAT,LON gives it one.")
    elif learned.placed:
        whose = "the middle of" if learned.placed > 1 else "that of"
        said.append(f"The position is {whose} {_photos(learned.placed)}.")
    if learned.copies:
        said.append(f"Passed over as copies: {learned.copies}.")
    if learned.fit.recognised is None:
        said.append("How well it is recognised shows only with a second photo.")
    else:
        are = "is" if learned.fit.recognised == 1 else "are"
        said.append(f"{learned.fit.recognised} of {count} photos {are} recognised by the others.")
    if count < ENOUGH:
        said.append(f"With {ENOUGH} photos, as different as those to be found, it is recognised better.")
    return said


def _warnings(learned: Learned) -> list[str]:
    """What does not fit."""
    from src.inference.own import some_of

    name, fit = learned.taught.landmark.name, learned.fit
    said = [
        *(f"{photo} looks unlike the other photos: does it show the place?" for photo in fit.misfits),
        *(f"{photo} was taken too far away to show the place: is it the right one?" for photo in learned.far),
    ]
    if fit.alike:
        said.append(f"{name} looks like {some_of(fit.alike)}: their photos may be taken for each other's.")
    if learned.elsewhere:
        said.append(f"One of these photos is also one of {some_of(learned.elsewhere)}: is that right?")
    return said


def _list(into: Path) -> int:
    from src.library.teach_own import own_landmarks

    taught = own_landmarks(into)
    if not taught:
        print(f"{printable(str(into))} has no landmark: teach it one.")
    for one in taught:
        landmark = one.landmark
        place, tags = (f"; {text}" if text else "" for text in (landmark.place, ", ".join(landmark.tags)))
        photos = _photos(len(one.examples))
        print(printable(f"{landmark.name}: {photos}{_at(landmark)}{place}{tags}"))
    return 0


def _forget(into: Path, name: str) -> int:
    from src.library.teach_own import forget

    forgotten = forget(into, name)
    print(printable(f"{forgotten.landmark.name} and what was seen on its photos are forgotten."))
    return 0


def _renew(args: argparse.Namespace) -> int:
    from src.library.teach_own import renew

    renewed = renew(args.into, _predictor(args.model))
    count = len(renewed.whole) + len(renewed.less)
    print(f"{printable(str(args.into))} fits the export; landmarks in it: {count:,}.")
    for name in renewed.less:
        print(printable(f"{name} has lost photos that are not where they were."))
    for name in renewed.gone:
        print(printable(f"{name} must be taught again: none of its photos is where it was."))
    if renewed.kept:
        print(f"What was there before is kept in {printable(str(renewed.kept))}.")
    return 0


def _export_training(args: argparse.Namespace) -> int:
    from src.library.own_training import export_training
    from src.library.teach_own import own_landmarks

    taught = own_landmarks(args.into)
    copied = export_training(taught, _predictor(args.model).landmarks, args.export_training)
    for one in copied:
        what = f"{_photos(one.photos)} to {one.folder}" if one.folder else "left out, as it takes two photos"
        missing = f"; {_photos(one.missing)} not found where taught" if one.missing else ""
        print(printable(f"{one.name}: {what}{missing}"))
    if any(one.folder for one in copied):
        data = printable(str(args.export_training))
        print(f"Train with: python -m src.train --model transfer --data {data}")
    return 0


def _predictor(model: Path) -> Predictor:
    from src.inference.own import OwnError
    from src.inference.predictor import Predictor

    try:
        return Predictor.load(model)
    except (OSError, ValueError) as error:
        raise OwnError(str(error)) from error


def _photos(count: int) -> str:
    return f"{count:,} photo{'s' * (count != 1)}"


def _at(landmark: Landmark) -> str:
    return "" if landmark.latitude is None else f", at {landmark.latitude:.5f}, {landmark.longitude:.5f}"


def _parsed(argv: Sequence[str]) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(
        "python -m src.teach", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help='of the place: "Grandma\'s house"')
    parser.add_argument("photos", nargs="*", type=Path, metavar="PHOTO", help="photos, and folders of them")
    parser.add_argument(
        "--at", type=_position, metavar="LAT,LON", help="where it is, degrees (the middle of its photos' own)"
    )
    parser.add_argument("--tags", type=_words, default=(), metavar="A,B", help="more tags for its photos")
    parser.add_argument("--city", default="", help="or the region")
    parser.add_argument("--country", default="")
    known = parser.add_mutually_exclusive_group()
    known.add_argument("--add", action="store_true", help="more photos for a place that was taught before")
    known.add_argument("--replace", action="store_true", help="teach such a place anew")
    parser.add_argument("--list", action="store_true", help="say which places were taught")
    parser.add_argument("--forget", metavar="NAME", help="take a place out of the file")
    parser.add_argument("--renew", action="store_true", help="look at all photos again, for another export")
    parser.add_argument(
        "--export-training", type=Path, metavar="DIR", help="copy the photos into a data set to train with"
    )
    parser.add_argument("--into", type=_file, default=FILE, metavar="FILE", help=f"the file ({FILE})")
    parser.add_argument("--model", type=Path, default=EXPORT, metavar="PT", help="an exported model")
    # intermixed, as photos may come after options; and a latitude of the south looks like an option
    words = list(argv)
    for at in [i for i, word in enumerate(words[:-1]) if word == "--at"][::-1]:
        words[at : at + 2] = [f"--at={words[at + 1]}"]
    return parser, parser.parse_intermixed_args(words)


def _position(text: str) -> tuple[float, float]:
    from src.landmarks.evidence import is_on_earth

    try:
        latitude, longitude = map(float, text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text} is no position: write it without spaces, as 48.137,11.575"
        ) from error
    if not is_on_earth(latitude, longitude):
        raise argparse.ArgumentTypeError(f"{text} is no place on Earth: give degrees, latitude first")
    return latitude, longitude


def _file(text: str) -> Path:
    if not Path(text).name:
        raise argparse.ArgumentTypeError(f"{text or 'nothing'} is no file: give one such as {FILE}")
    return Path(text)


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # it is too long for one, or holds what none can
        return False


def _words(text: str) -> tuple[str, ...]:
    from src.landmarks.tags import split_tags

    return split_tags(text)


if __name__ == "__main__":
    console.run(main)
