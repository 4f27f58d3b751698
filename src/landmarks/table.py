"""What is known of a landmark: its name, where it is, how far it reaches, what it is.

The table `landmarks.csv` beside this file has one row per class; a user's own CSV with the same
columns adds or replaces rows. A class without a row still gets a readable name. Nothing is read
until it is asked for.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from src.files import read

COLUMNS = (
    "class",
    "name",
    "city",
    "country",
    "country_code",
    "latitude",
    "longitude",
    "extent_km",
    "wikidata",
    "tags",
)
OPTIONAL = ("name_local",)  # columns that a user's table may leave out
EARTH_GIRTH_KM = 40_075  # the equator, WGS84: no landmark is wider


@dataclass(frozen=True)
class Landmark:
    """One landmark; all but its class and name may be unknown.

    Raises ValueError, with what to do about it, for values that cannot be right.
    """

    class_name: str  # as the data set's folder: "10.Taj_Mahal"
    name: str  # as a person writes it: "Taj Mahal"
    city: str = ""  # or the region
    country: str = ""
    country_code: str = ""  # ISO 3166-1 alpha-2: "IN"
    latitude: float | None = None  # degrees, WGS84, south is negative
    longitude: float | None = None  # degrees, WGS84, west is negative
    extent_km: float | None = None  # diameter of what it covers, or is photographed from
    wikidata: str = ""  # "Q9141"
    tags: tuple[str, ...] = ()
    name_local: str = ""  # in the language and script of the place, where that differs: "ताज महल"

    def __post_init__(self):
        texts = (self.class_name, self.name, self.name_local, self.city, self.country, *self.tags)
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("the class, a name, the city, the country or a tag is not a text; quote it")
        if not self.class_name or not self.name:
            raise ValueError("the class or the name is empty; fill in both")
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("latitude and longitude go together; fill in both or neither")
        _check_degrees("latitude", self.latitude, 90)
        _check_degrees("longitude", self.longitude, 180)
        if self.extent_km is not None and not 0 < self.extent_km <= EARTH_GIRTH_KM:
            raise ValueError(
                f"extent_km {self.extent_km:g} is not a size on Earth; give the diameter in "
                "kilometres, such as 0.2 for a building"
            )
        if self.country_code and not re.fullmatch("[A-Z]{2}", self.country_code):
            raise ValueError(
                f'country_code "{self.country_code}" is not two capital letters; '
                "use the ISO 3166-1 code, such as IN for India"
            )
        if self.wikidata and not re.fullmatch("Q[1-9][0-9]*", self.wikidata):
            raise ValueError(
                f'wikidata "{self.wikidata}" is not an item; write it like Q9141 or leave it empty'
            )

    @property
    def position(self) -> tuple[float, float] | None:
        """Latitude and longitude; None where they are unknown."""
        return None if self.latitude is None or self.longitude is None else (self.latitude, self.longitude)

    @property
    def place(self) -> str:
        """City and country, "Agra, India"; empty when neither is known."""
        return ", ".join(dict.fromkeys(part for part in (self.city, self.country) if part))

    @property
    def title(self) -> str:
        """Name and place, "Taj Mahal — Agra, India"; the name alone when the place is unknown."""
        return f"{self.name} — {self.place}" if self.place else self.name

    def to_dict(self) -> dict:
        """All fields as JSON can hold them."""
        return {**asdict(self), "tags": list(self.tags)}

    @classmethod
    def from_dict(cls, d: Mapping) -> "Landmark":
        """The landmark that `to_dict` wrote.

        Raises ValueError for a missing, unknown or ill-typed field and for impossible values.
        """
        try:
            tags = d.get("tags", [])
            if isinstance(tags, str):
                raise TypeError("tags is a text and not a list")
            return cls(**{**d, "tags": tuple(tags)})
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"this is not a landmark as `to_dict` writes it: {error}") from error


def read_landmarks(*files: Path) -> dict[str, Landmark]:
    """The table of landmarks, by class name without its number ("Taj_Mahal").

    Rows of `files` (CSV, UTF-8, the columns of `COLUMNS`, perhaps those of `OPTIONAL`) add to the
    built-in table or replace its rows whole; a later file wins. The built-in table is read once.

    Raises ValueError, naming the file, the line and the remedy, for a file that is not such a table, or
    (as FileError) that cannot be read.
    """
    table = dict(_built_in())
    for file in files:
        table.update(_read_table(Path(file)))
    return table


def own_rows(table: Mapping[str, Landmark]) -> dict[str, Landmark]:
    """The rows of a table of `read_landmarks` that come from the user's files."""
    # by identity, as a user may repeat a built-in row where an export has other facts
    return {key: row for key, row in table.items() if row is not _built_in().get(key)}


def describe(class_name: str, table: Mapping[str, Landmark] | None = None) -> Landmark:
    """What `table` (by default the built-in one) knows of a class such as "10.Taj_Mahal".

    A class without a row gets a name made from the class name and nothing else.
    """
    key = class_key(class_name)
    known = (_built_in() if table is None else table).get(key)
    if known is not None:
        return replace(known, class_name=class_name)
    return Landmark(class_name, " ".join(key.replace("_", " ").split()) or class_name)


@lru_cache(maxsize=1)
def _built_in() -> Mapping[str, Landmark]:
    # read-only, as every caller shares it
    return MappingProxyType(_read_table(Path(__file__).with_name("landmarks.csv")))


def class_key(class_name: str) -> str:
    """The class name without its number; composed, as some file systems decompose accents."""
    return unicodedata.normalize("NFC", re.sub(r"^\d+\.(?=.)", "", class_name.strip()))


def _read_table(file: Path) -> dict[str, Landmark]:
    data = read(file)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f'{file}, line {line}: not UTF-8; save it as "CSV UTF-8"') from None

    table: dict[str, Landmark] = {}
    done = 0  # lines of the rows that were read
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        rows.fieldnames = _check_header(rows.fieldnames or [])
        for row in rows:
            done = rows.line_num
            if not any(row.values()):  # spreadsheets leave rows of commas at the end
                continue
            landmark = _parse_row(row)
            if landmark.class_name in table:
                raise ValueError(f'the class "{landmark.class_name}" has two rows; keep one')
            table[landmark.class_name] = landmark
    except csv.Error as error:
        raise ValueError(
            f"{file}, line {done + 1}: {error}; look for a double quote that is not closed"
        ) from None
    except ValueError as error:
        raise ValueError(f"{file}, line {max(rows.line_num, 1)}: {error}") from None
    return table


def _check_header(header: Sequence[str]) -> list[str]:
    header = [column.strip() for column in header]
    missing = [column for column in COLUMNS if column not in header]
    if missing or len(set(header)) < len(header):
        problem = f"no column {', '.join(missing)}" if missing else "a column comes twice"
        raise ValueError(f"{problem}; the first line must be {','.join(COLUMNS)}")
    return header


def _parse_row(row: dict) -> Landmark:
    if None in row or None in row.values():  # how DictReader marks a long and a short row
        raise ValueError(
            "the row has more or fewer cells than the first line; "
            "put a text that holds a comma between double quotes"
        )
    cell = {column: " ".join(row.get(column, "").split()) for column in (*COLUMNS, *OPTIONAL)}
    return Landmark(
        class_name=class_key(cell["class"]),
        name=cell["name"],
        city=cell["city"],
        country=cell["country"],
        country_code=cell["country_code"],
        latitude=_parse_number("latitude", cell["latitude"]),
        longitude=_parse_number("longitude", cell["longitude"]),
        extent_km=_parse_number("extent_km", cell["extent_km"]),
        wikidata=cell["wikidata"],
        tags=tuple(dict.fromkeys(tag.strip() for tag in cell["tags"].split(";") if tag.strip())),
        name_local=cell["name_local"],
    )


def _parse_number(column: str, text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise ValueError(
            f'{column} "{text}" is not a number; write it like 27.1751, without a unit'
        ) from None


def _check_degrees(column: str, value: float | None, limit: int) -> None:
    if value is not None and not -limit <= value <= limit:
        raise ValueError(f"{column} {value:g} is not within ±{limit}; give decimal degrees")
