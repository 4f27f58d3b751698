"""Tag a library of photos: which landmark is on each, and where it stands.

Photos are only read, unless --write asks for tags beside them or in copies; --undo takes these back. What is
done is remembered in a catalog beside the table, so a run that was stopped goes on where it was, and a new
one looks only at what is new.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from src import console
from src.files import FileError, exists, explained
from src.inference.answers import Answering
from src.inference.own import Own, Taught
from src.inference.own_file import NAME, OwnError, load_own
from src.landmarks.table import read_landmarks
from src.landmarks.tags import Tags, model_name
from src.landmarks.worldmap import Place
from src.library import run_local as local
from src.library.album import AlbumError, check_album, update_album
from src.library.arguments import parser
from src.library.catalog import Catalog
from src.library.catalog_file import CatalogError, explain
from src.library.choose import ClosedError, can_be_made, leave_out, warn_of_closed_folders
from src.library.decisions import Decision, Names, ReviewError, Verdicts, corrected
from src.library.learn import find_own, learn, print_changes, print_learned, watched
from src.library.moved import follow_moved
from src.library.records import FORMATS, Record, write_records
from src.library.remote import Addressed, AddressError
from src.library.results import make_records, print_list, summarise
from src.library.review import in_order, read_tables, tables, write_review
from src.library.suggest import Group, print_groups, suggest, why_not
from src.library.write_back import Step, Writing, undo_all, write_all
from src.photos.files import find_photos
from src.progress import Tally

if TYPE_CHECKING:
    from src.inference.predictor import Predictor

NICE = 19  # the most that a process can leave to others


class UsageError(ValueError):
    """What was asked for cannot be done; the message is one sentence that says what to do instead."""


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m src.tag`.

    Returns the exit status: 0, 1 where a photo could not be read or written, 2 for wrong usage.
    """
    args = parser(__doc__).parse_args(arguments)
    try:
        _check(args)
        if args.nice:
            os.nice(NICE)
        with explained(args.out.parent, "made"):
            args.out.parent.mkdir(parents=True, exist_ok=True)
        with Catalog(_beside(args.out, ".sqlite")) as catalog:
            return _undo(args, catalog) if args.undo else _tag(args, catalog)
    except (UsageError, AddressError, AlbumError, CatalogError, ClosedError, OwnError, ReviewError) as error:
        print(error, file=sys.stderr)
        return 2
    except sqlite3.Error as error:
        print(explain(error, _beside(args.out, ".sqlite")), file=sys.stderr)
    except FileError as error:  # of the table or the pages, as those of photos stop nothing
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        print("Stopped; start again to go on.", file=sys.stderr)
        return 130
    return 1


def _check(args: argparse.Namespace) -> None:
    """Raise UsageError, before anything is done, for what cannot end well."""
    try:  # a name may be too long, or a folder closed to us
        for path in (args.folder, args.to, args.album, args.model, args.own, _beside(args.out, ".sqlite")):
            if isinstance(path, Path):
                exists(path)
    except FileError as error:
        raise UsageError(str(error)) from error
    if args.own and not (args.own.is_file() or (args.learn and not args.own.exists())):
        raise UsageError(f"{args.own} is no file; give that of your own landmarks, or --learn to begin one.")
    if args.engine == "ray":
        _check_cluster(args)
    elif isinstance(args.folder, str):
        raise UsageError("Photos at an address are read with --engine ray; give it, or a folder.")
    if isinstance(args.folder, Path) and not args.folder.is_dir():
        raise UsageError(f"{args.folder} is no folder; give the folder with the photos.")
    if args.out.suffix.lower() not in FORMATS:
        raise UsageError(f"{args.out} is no table; let it end in {', '.join(FORMATS)}.")
    if args.out.suffix.lower() == ".parquet" and not find_spec("pyarrow"):
        raise UsageError(f"{args.out} needs pyarrow; install it, or take .csv.")
    if (args.write == "copy") != (args.to is not None):
        raise UsageError("--write copy and --to DIR go together; give both.")
    if args.sidecar_name != "auto" and args.write != "sidecar":
        raise UsageError("--sidecar-name goes with --write sidecar; give both.")
    if args.drop_c2pa and args.write != "copy":
        raise UsageError("--drop-c2pa goes with --write copy; give both.")
    if args.to and args.to.exists() and (not args.to.is_dir() or args.to.samefile(args.folder)):
        raise UsageError(f"{args.to} cannot take the copies; give a folder other than that of the photos.")
    if sum(map(bool, (args.write, args.review, args.album, args.undo))) > 1:
        raise UsageError("--review, --write, --album and --undo are steps; give one, and then the next.")
    if args.learn and args.undo:
        raise UsageError("--undo only takes back what was written; give --learn without it.")
    if args.suggest and (args.write or args.album or args.undo):
        raise UsageError("--suggest goes alone or with --review; give --write … afterwards.")
    if args.to and not can_be_made(args.to):
        raise UsageError(f"{args.to} cannot be written; give a folder on a disk that can be.")
    if args.album:
        check_album(args.album, args.folder)
    if args.nice and not hasattr(os, "nice"):
        raise UsageError("--nice is not known here; lower the priority with the system's own means.")
    if args.undo and not _beside(args.out, ".sqlite").exists():
        raise UsageError(
            f"{_beside(args.out, '.sqlite')} is not there; give the --out that was written with."
        )


def _check_cluster(args: argparse.Namespace) -> None:
    if not find_spec("ray"):
        raise UsageError("--engine ray needs Ray: pip install -r requirements-cluster.txt.")
    if args.out.suffix.lower() != ".parquet":
        raise UsageError("--engine ray makes a Parquet table; give --out tags.parquet.")
    if args.since or args.only_missing:
        raise UsageError("--engine ray looks at all photos; give --since and --only-missing without it.")
    if args.write or args.review or args.album or args.undo or args.learn or args.suggest:
        raise UsageError("--engine ray only looks; give --review, --write … without it, afterwards.")


def _tag(args: argparse.Namespace, catalog: Catalog) -> int:
    predictor = _loaded(args)
    no_groups = why_not(predictor, args.model)
    if args.suggest and no_groups:
        raise UsageError(no_groups)
    names = Names(predictor.landmarks)
    own_path, taught = _own(args, predictor)
    for one in taught.values():
        names.add(one.landmark)
    catalog.features = bool(taught or args.learn or args.suggest or (args.review and not no_groups))
    uses_table = args.write or args.review or args.album or args.learn or args.suggest
    table = _table(args, names) if uses_table else None  # one with a mistake stops it here
    # one that was trained again may have the same name
    model = f"{model_name(predictor.info)} {predictor.digest[:8]}"

    files, passed_over, left_out = _found(args, catalog)
    threshold = predictor.known_threshold if args.min_confidence is None else args.min_confidence
    if not _answered(args, catalog, predictor, model, threshold):
        return 1
    catalog.decide(table or ())
    own = _weighed(taught, predictor)
    before, changes = own, Counter[tuple[str, str]]()
    if args.learn:
        learned = learn(own_path, catalog, model, names, predictor)
        own = _weighed(learned.taught, predictor)
    kept = {content: names.resolve(decision) for content, decision in catalog.decisions().items()}

    def records(own: Own | None) -> Iterator[tuple[Record, Tags | None, str]]:
        together = not args.no_outings
        found = make_records(catalog, predictor, model, threshold, together, args.language, files, own)
        return corrected(found, kept, names, model_name(predictor.info), args.language)

    catalog.save_records(watched(records(before), records(own), changes) if args.learn else records(own))
    with explained(args.out, "written"):
        write_records(args.out, catalog.records())
    status = summarise(catalog, passed_over)
    if args.learn:
        print_learned(learned, own_path, own)
        print_changes(changes)
    for why, number in sorted(left_out.items()):
        print(f"\nLeft out, as they were {why}: {number:,}.")
    print(f"\nThe table is {args.out}.")

    wanted = (args.suggest or args.review) and not no_groups
    groups = suggest(catalog, predictor, model, threshold, kept) if wanted else []
    if args.suggest:
        print_groups(groups, _beside(args.out, ".review.html") if args.review else None)
    if table is not None and not (args.review or args.suggest):
        print(f"{_beside(args.out, '.review.csv')} decides what is written or linked.")
    if args.review:
        _review(args, catalog, model, Verdicts(table, kept), names, groups)
        return status
    if args.write or args.album:
        return max(status, _write(args, catalog, Verdicts(table, kept)))
    print(_next_step(args.learn and changes.total() > 0 and table is not None))
    return status


def _loaded(args: argparse.Namespace) -> Predictor:
    from src.inference.predictor import Predictor  # here, as --undo and --help need no runtime

    try:
        predictor = Predictor.load(args.model)
        predictor.describe_with(read_landmarks(*args.landmarks))
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    return predictor


def _found(args: argparse.Namespace, catalog: Catalog) -> tuple[Addressed | None, Counter[str], Counter[str]]:
    """Note this run's photos in the catalog.

    Returns where they are, if at an address; and what was passed over by its suffix, and left out by reason.
    """
    passed_over, left_out = Counter[str](), Counter[str]()
    files = Addressed(args.folder) if isinstance(args.folder, str) else None
    if files:
        catalog.note(files.find(passed_over))
    else:
        _follow(catalog, args.folder)
        catalog.note(find_photos(args.folder, without=args.to, passed_over=passed_over))
    if args.since or args.only_missing:
        left_out = leave_out(catalog, args.since, args.only_missing)
    if args.write == "sidecar":
        warn_of_closed_folders(catalog)
    return files, passed_over, left_out


def _answered(
    args: argparse.Namespace, catalog: Catalog, predictor: Answering, model: str, threshold: float
) -> bool:
    """Ask the model about all photos; False where the cluster failed, which is said."""
    if args.engine == "local":
        local.answer_all(catalog, predictor, model, args.workers, threshold)
        return True
    from src.library import run_ray as cluster  # here, as a folder can be tagged without pyarrow

    address = args.folder if isinstance(args.folder, str) else None
    try:
        cluster.answer_all(catalog, args.model.read_bytes(), model, args.workers, address, threshold)
    except cluster.ClusterError as error:
        print(error, file=sys.stderr)
        return False
    return True


def _next_step(unseen: bool) -> str:
    """What to do after a run that wrote nothing, by whether it named photos that no review has."""
    if unseen:
        return "Nothing was written to photos: --review shows the new names; till then --write omits them."
    return "Nothing was written to photos: --review lets you look first, --write writes."


def _own(args: argparse.Namespace, predictor: Answering) -> tuple[Path, dict[str, Taught]]:
    """The file of the person's own landmarks and what is in it; nothing where there is none."""
    found = args.own or find_own(args.out, args.model)
    path = found or args.out.with_name(NAME)
    if (found or args.learn) and not predictor.space_id:
        without = "leave --own and --learn out" if args.own or args.learn else f"move {path} away"
        raise UsageError(f"{args.model} takes no landmarks of your own; choose another, or {without}.")
    try:
        taught = load_own(path, predictor.space_id) if found and exists(path) else {}
    except FileError as error:
        raise UsageError(str(error)) from error
    if found:
        print(f"Landmarks of your own: {len(taught):,}, in {path}.")
    return path, taught


def _weighed(taught: dict[str, Taught], predictor: Answering) -> Own | None:
    return Own.beside(predictor, taught) if taught else None


def _table(args: argparse.Namespace, names: Names) -> list[Decision] | None:
    table = _beside(args.out, ".review.csv")
    with explained(table, "read"):
        found = tables(table)
        return read_tables(found, names) if found else None


def _write(args: argparse.Namespace, catalog: Catalog, verdicts: Verdicts) -> int:
    """Write tags or an album, as was asked for; the exit status."""
    if args.write:
        to = args.to and args.to.resolve()
        how = Writing(args.folder.resolve(), to, args.sidecar_name, args.drop_c2pa)
        return _report(write_all(catalog, how, verdicts), None)
    status = _report(update_album(catalog, args.album, verdicts), None, "Album")
    print(f"The album is {args.album}.")
    return status


def _review(
    args: argparse.Namespace,
    catalog: Catalog,
    model: str,
    verdicts: Verdicts,
    names: Names,
    groups: Sequence[Group],
) -> None:
    page = _beside(args.out, ".review.html")
    places = [Place(*row) for row in catalog.places()]
    title, shown = f"Landmarks in {args.folder}", in_order(catalog, model, groups)
    with explained(page, "written"):
        write_review(page, title, shown, catalog.count_records(), places, verdicts, names, groups)
    print(f"Look through {page} in a browser; what it saves takes the place of {page.with_suffix('.csv')}.")


def _follow(catalog: Catalog, folder: Path) -> None:
    if followed := follow_moved(catalog, folder.resolve()):
        print(f"Moved since: {followed:,} files with tags, which were found again.")


def _undo(args: argparse.Namespace, catalog: Catalog) -> int:
    _follow(catalog, args.folder)
    folder = args.folder.resolve()
    return _report(undo_all(catalog, folder), len(catalog.writes.below(str(folder))))


def _report(steps: Iterable[Step], total: int | None, heading: str = "Tags") -> int:
    """Take the steps, say what became of them and return the exit status."""
    counts: Counter[str] = Counter()
    failures = []
    with Tally(total) as tally:
        for step in steps:
            counts[step.what] += 1
            tally.add(step.what)
            if step.error:
                failures.append((step.photo, step.error))
    print(f"{heading}: {', '.join(f'{count:,} {what}' for what, count in sorted(counts.items())) or 'none'}.")
    if counts["not reviewed"]:
        print("What is not reviewed was passed over: --review adds it to the table.")
    print_list("Failed", failures)
    return 1 if failures else 0


def _beside(out: Path, ending: str) -> Path:
    return out.with_name(out.stem + ending)


if __name__ == "__main__":
    console.run(main)
