"""A user's own table of landmarks: how it adds to the one built in, and what is told of a wrong one."""

import re
from pathlib import Path

import pytest

from src.landmarks.table import COLUMNS, Landmark, describe, read_landmarks

HEADER = ",".join(COLUMNS)
TOWER_BRIDGE = "Tower_Bridge,Tower Bridge,London,United Kingdom,GB,51.5055,-0.0754,0.3,Q83125,bridge;river"


@pytest.fixture
def write_csv(tmp_path):
    """Writes lines as a user's CSV, the right header first, and gives its path."""

    def write(*lines: str, header: str = HEADER, name: str = "mine.csv") -> Path:
        file = tmp_path / name
        file.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
        return file

    return write


def test_own_table_adds_and_overrides(write_csv, table):
    mine = write_csv(TOWER_BRIDGE, "10.Taj_Mahal,Crown of Palaces,,India,IN,,,,,")
    own = read_landmarks(mine)
    assert own["Tower_Bridge"] == Landmark(
        "Tower_Bridge",
        "Tower Bridge",
        "London",
        "United Kingdom",
        "GB",
        51.5055,
        -0.0754,
        0.3,
        "Q83125",
        ("bridge", "river"),
    )
    assert own["Taj_Mahal"] == Landmark("Taj_Mahal", "Crown of Palaces", "", "India", "IN")
    assert describe("03.Tower_Bridge", own).title == "Tower Bridge — London, United Kingdom"
    assert own["Colosseum"] == table["Colosseum"]
    assert read_landmarks() == table


def test_own_table_may_name_the_local_name(write_csv):
    header = HEADER.replace(",city", ", name_local ,city")
    mine = write_csv("Old_Mill,Old Mill,  Alte   Mühle ,,,,,,,,", header=header)
    assert read_landmarks(mine)["Old_Mill"] == Landmark("Old_Mill", "Old Mill", name_local="Alte Mühle")


def test_an_own_row_without_a_local_name_takes_none_from_the_built_in_table(write_csv):
    mine = write_csv("Eiffel_Tower,Our Tower,,,,,,,,")
    assert read_landmarks(mine)["Eiffel_Tower"].name_local == ""


def test_later_table_wins(write_csv):
    one = write_csv("Tower_Bridge,One,,,,,,,,", name="one.csv")
    two = write_csv("Tower_Bridge,Two,,,,,,,,", name="two.csv")
    assert read_landmarks(one, two)["Tower_Bridge"].name == "Two"
    assert read_landmarks(two, one)["Tower_Bridge"].name == "One"


def test_table_as_a_spreadsheet_saves_it(tmp_path):
    """Byte-order mark, CRLF, columns in another order and one more, empty rows at the end."""
    columns = ["notes", " tags ", *COLUMNS[-2::-1]]
    row = (
        '"seen, 2019", bridge ; river;;bridge ,, 0.3 ,-0.0754,51.5055,GB,,London, Tower  Bridge,Tower_Bridge'
    )
    file = tmp_path / "excel.csv"
    file.write_bytes("\r\n".join((",".join(columns), row, "", "," * 10, "")).encode("utf-8-sig"))
    landmark = read_landmarks(file)["Tower_Bridge"]
    assert (landmark.name, landmark.tags, landmark.extent_km) == (
        "Tower Bridge",
        ("bridge", "river"),
        0.3,
    )


def test_accents_match_however_the_file_system_writes_them(write_csv):
    own = read_landmarks(write_csv("Ch\u00e2teau,Castle,,,,,,,,"))
    assert describe("01.Cha\u0302teau", own).name == "Castle"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (TOWER_BRIDGE.replace("51.5055", "200"), "latitude 200 is not within ±90"),
        (TOWER_BRIDGE.replace("51.5055", "nan"), "latitude nan"),
        (TOWER_BRIDGE.replace("-0.0754", "-180.5"), "longitude -180.5 is not within ±180"),
        (TOWER_BRIDGE.replace("51.5055", "51°30'N"), 'latitude "51°30\'N" is not a number'),
        (TOWER_BRIDGE.replace("51.5055", '"51,5007"'), "write it like 27.1751"),
        (TOWER_BRIDGE.replace("51.5055", ""), "latitude and longitude go together"),
        (TOWER_BRIDGE.replace("0.3", "0"), "extent_km 0 is not a size"),
        (TOWER_BRIDGE.replace("0.3", "inf"), "extent_km inf"),
        (TOWER_BRIDGE.replace("0.3", "300 m"), 'extent_km "300 m" is not a number'),
        (TOWER_BRIDGE.replace("GB", "gbr"), 'country_code "gbr"'),
        (TOWER_BRIDGE.replace("Q83125", "83125"), 'wikidata "83125"'),
        (TOWER_BRIDGE.replace("Tower Bridge", ""), "the class or the name is empty"),
        (TOWER_BRIDGE.replace("Tower_Bridge", ""), "the class or the name is empty"),
        (TOWER_BRIDGE.replace("London", "London, Westminster"), "between double quotes"),
        ("Tower_Bridge,Tower Bridge", "more or fewer cells"),
        (TOWER_BRIDGE.replace("Tower Bridge", '"Tower Bridge'), "a double quote that is not closed"),
        ("01.Westminster,Again,,,,,,,,", 'the class "Westminster" has two rows'),
    ],
)
def test_bad_row_names_file_line_and_remedy(write_csv, row, problem):
    mine = write_csv("Westminster,Palace of Westminster,,,,,,,,", row)
    with pytest.raises(ValueError, match=re.escape(problem)) as raised:
        read_landmarks(mine)
    assert str(raised.value).startswith(f"{mine}, line 3: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("column", COLUMNS)
def test_missing_column_is_named(write_csv, column):
    header = ",".join(c for c in COLUMNS if c != column)
    remedy = f"mine.csv, line 1: no column {column}; the first line must be {HEADER}"
    with pytest.raises(ValueError, match=re.escape(remedy)):
        read_landmarks(write_csv(header=header))


@pytest.mark.parametrize("header", ["", HEADER.replace(",", ";"), HEADER + ",name"])
def test_wrong_first_line_is_told(write_csv, header):
    with pytest.raises(ValueError, match=r"mine\.csv, line 1: .*; the first line must be class,"):
        read_landmarks(write_csv(header=header))


def test_empty_file_is_told(tmp_path):
    (tmp_path / "empty.csv").touch()
    with pytest.raises(ValueError, match=r"empty\.csv, line 1: .*; the first line must be class,"):
        read_landmarks(tmp_path / "empty.csv")


def test_other_encoding_is_told(tmp_path):
    file = tmp_path / "latin.csv"
    file.write_bytes(f"{HEADER}\nA,A,,,,,,,,\nB,Château,,,,,,,,\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r'latin\.csv, line 3: not UTF-8; save it as "CSV UTF-8"'):
        read_landmarks(file)


def test_absent_file(tmp_path):
    with pytest.raises(ValueError, match=r"absent\.csv cannot be read: .* check the path\."):
        read_landmarks(tmp_path / "absent.csv")
