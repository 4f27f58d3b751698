"""What the tagger found, to be looked through by a person before anything is written.

A page in HTML, complete in itself, shows the photos and takes decisions with keyboard or mouse; it needs no
server and asks none. It saves them as the table in CSV beside it (see `decisions`), which a spreadsheet can
change as well. A library of more than 5,000 photos gets several pages, each with a table of its own.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b, sha256
from html import escape
from itertools import chain, islice
from pathlib import Path
from string import Template

from src.files import printable, replacing
from src.landmarks.worldmap import Place, world_map
from src.library.catalog import Catalog, Shown
from src.library.decisions import COLUMNS, Decision, Names, Verdicts, read_table
from src.library.records import Record, guarded
from src.library.suggest import Group

PAGE = 5_000  # photos: some 40 MB of thumbnails
HARDLY = 0.01  # what looks less like any landmark than that looks like none
_HERE = Path(__file__).parent


def tables(path: Path) -> list[Path]:
    """The tables of decisions that are there: `path`, and those of further pages."""
    found: list[Path] = []
    while (table := numbered(path, len(found) + 1)).exists():
        found.append(table)
    return found


def read_tables(paths: Iterable[Path], names: Names) -> list[Decision]:
    """All decisions of these tables; raises what `read_table` does."""
    return [names.resolve(decision) for path in paths for decision in read_table(path)]


def in_order(catalog: Catalog, model: str, groups: Sequence[Group]) -> Iterator[Shown]:
    """What is to be looked through, groups of unnamed places first, so that they are on the first page."""
    numbers = _numbers(groups)
    grouped = (one for one in catalog.records_to_review(model) if _group(one, numbers) is not None)
    rest = (one for one in catalog.records_to_review(model) if _group(one, numbers) is None)
    return chain(grouped, rest) if groups else rest


def _numbers(groups: Sequence[Group]) -> dict[str, int]:
    return {content: number for number, group in enumerate(groups) for content in group.contents}


def _group(one: Shown, numbers: Mapping[str, int]) -> int | None:
    """The number of the group of a photo; a copy in another folder may show something known."""
    return None if one.record.landmark else numbers.get(one.content)


def write_review(
    path: Path,
    title: str,
    shown: Iterable[Shown],
    total: int,
    places: list[Place],
    verdicts: Verdicts,
    names: Names,
    groups: Sequence[Group] = (),
) -> None:
    """Write tables of decisions and pages, one of each for every 5,000 photos (tags.review-2.html).

    Args:
        path: of the first page; its table has the same name with .csv.
        title: the heading.
        shown: what is to be looked through, in order.
        total: how much that is.
        places: what the map shows.
        verdicts: what was decided before.
        names: of the landmarks that the model knows.
        groups: of photos of places that nobody has named.

    Raises OSError.
    """
    numbers, titles = _numbers(groups), [group.title for group in groups]
    shown, count = iter(shown), max(1, -(-total // PAGE))
    for number in range(1, count + 1):
        page = numbered(path, number)
        with (
            replacing(page) as part,
            replacing(page.with_suffix(".csv")) as table,
            open(part, "w", encoding="utf-8") as file,
            # The mark at its start tells spreadsheets that this is UTF-8.
            open(table, "w", encoding="utf-8-sig", errors="surrogateescape", newline="") as rows,
        ):
            head, tail = _frame(title, places, _links(path, number, count))
            file.write(head)
            rows.write(_row(COLUMNS))
            photos: list[dict] = []
            for one in islice(shown, PAGE):
                decision, ending = _decision(one, verdicts), list(_ending(one))
                if one.thumbnail:
                    code = base64.b64encode(one.thumbnail).decode()
                    file.write(f'<script type="text/plain" id="t{len(photos)}">{code}</script>\n')
                if one.record.landmark or decision:
                    approve = "no" if decision and not decision.approved else "yes"
                    correct = decision.correct if decision else ""
                    rows.write(_row([approve, one.record.landmark, correct, *ending]))
                photos.append(_photo(one, decision, _row(ending), names) | {"group": _group(one, numbers)})
            file.write(_data(path=page, photos=photos, places=places, names=names, groups=titles))
            file.write(tail)
    while (old := numbered(path, count := count + 1)).exists():  # of a library that was larger
        old.unlink()
        old.with_suffix(".csv").unlink(missing_ok=True)


def numbered(path: Path, number: int) -> Path:
    """The name of a further page, or of its table."""
    return path if number == 1 else path.with_stem(f"{path.stem}-{number}")


def _decision(one: Shown, verdicts: Verdicts) -> Decision | None:
    """What was decided; a rejection holds as long as the photo is given the same landmark."""
    decision = verdicts.find(one.record.path, one.content, one.record.landmark)
    return decision if decision and decision.made else None


def _ending(one: Shown) -> Iterator:
    """The cells of a row that no decision changes."""
    return (getattr(one if column == "content" else one.record, column) for column in COLUMNS[3:])


def _row(cells: Iterable) -> str:
    file = io.StringIO()
    csv.writer(file).writerow(guarded(cell) if isinstance(cell, str) else cell for cell in cells)
    return file.getvalue()


def _photo(one: Shown, decision: Decision | None, ending: str, names: Names) -> dict:
    """What the page's script knows of a photo; see there."""
    record = one.record
    guesses = [[names.by_class.get(name, name), share] for name, share in one.guesses]
    return {
        "name": printable(Path(record.path).name),
        "folder": printable(str(Path(record.path).parent)),
        # as_uri escapes all but plain letters, digits and a few marks
        "address": Path(record.path).as_uri(),
        "landmark": record.landmark,
        "country": printable(record.country),
        "probability": record.probability or 0.0,
        "note": printable(record.error or _certainty(record, guesses)),
        "error": bool(record.error),
        "guesses": guesses,
        "content": one.content,
        "decision": decision and {"approve": decision.approved, "correct": decision.correct},
        "ending": ending,
        "thumbnail": bool(one.thumbnail),
    }


def _certainty(record: Record, guesses: Sequence[Sequence]) -> str:
    """The probability, and what it is by the picture alone where that makes a difference.

    Of a photo without a landmark it says what the photo looks most like.
    """
    probability, alone = record.probability or 0.0, record.probability_alone or 0.0
    other = record.landmark_alone != record.landmark
    if not other and abs(probability - alone) < 0.005:
        if record.landmark or not guesses:
            return _percent(probability)
        return f"{_percent(probability)} {guesses[0][0]}?" if probability >= HARDLY else "like no landmark"
    name = f"{record.landmark_alone or 'none'} " if other else ""
    return f"{_percent(probability)} (picture: {name}{_percent(alone)})"


def _percent(share: float) -> str:
    return "> 99 %" if 0.995 <= share < 1 else f"{share:.0%}".replace("%", " %")


def _frame(title: str, places: Iterable[Place], links: str) -> tuple[str, str]:
    """What comes before the photos and after them; only the script and style of this folder may run."""
    style, script = ((_HERE / name).read_text("utf-8") for name in ("review.css", "review.js"))
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    page = Template((_HERE / "review.html").read_text("utf-8")).substitute(
        title=escape(printable(title)),
        policy=policy,
        style=style,
        script=script,
        links=links,
        map=world_map(replace(place, landmark=printable(place.landmark)) for place in places),
        photos="\0",
    )
    head, _, tail = page.partition("\0")
    return head, tail


def _hash(text: str) -> str:
    """As a content security policy (CSP 2) names an inline script or style."""
    return f"sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}"


def _data(
    path: Path, photos: list[dict], places: Iterable[Place], names: Names, groups: Sequence[str]
) -> str:
    """The photos and names as JSON in a block that no text can end early."""
    data = {
        "table": path.with_suffix(".csv").name,
        "columns": _row(COLUMNS),
        "names": [
            {"name": landmark.name, "local": landmark.name_local, "place": landmark.place}
            for landmark in sorted(names.landmarks, key=lambda landmark: landmark.name.casefold())
        ],
        "places": [place.landmark for place in places],
        "photos": photos,
        "groups": groups,
    }
    # Where the page keeps what is not saved yet: another page than this one must not find it.
    data["run"] = blake2b(json.dumps([str(path), data]).encode(), digest_size=8).hexdigest()
    code = json.dumps(data).replace("<", "\\u003c")
    return f'<script type="application/json" id="data">{code}</script>\n'


def _links(path: Path, number: int, count: int) -> str:
    if count == 1:
        return ""
    pages = range(1, count + 1)
    names = (escape(numbered(path, page).name) for page in pages)
    links = (f'<a href="./{name}">{page}</a>' for page, name in zip(pages, names, strict=True))
    return f'<nav aria-label="Pages">Page {number} of {count}: {" ".join(links)}</nav>\n'
