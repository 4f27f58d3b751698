"""The table of landmarks, and what becomes of classes and tables that are not in it."""

import csv
import json
import math
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
import tzfpy

from src.landmarks.table import COLUMNS, Landmark, describe, read_landmarks

BUILT_IN = Path(__file__).parents[1] / "src" / "landmarks" / "landmarks.csv"

WONDERS_AND_MONUMENTS = """
    Burj_Khalifa Chichen_Itza Christ_the_Redeemer Eiffel_Tower Great_Wall_of_China Machu_Picchu
    Pyramids_of_Giza Colosseum Statue_of_Liberty Stonehenge Taj_Mahal Angel_Falls Ajanta_Caves
    Charar-e-Sharif Ellora_Caves Fatehpur_Sikri Gateway_of_India Hawa_Mahal Humayuns_Tomb India_Gate
    Khajuraho Konark_Sun_Temple Alai_Darwaza Alai_Minar Basilica_of_Bom_Jesus Charminar
    Golden_Temple Iron_Pillar_of_Delhi Jamali_Kamali_Tomb Mysore_Palace Qutub_Minar
    Brihadisvara_Temple Victoria_Memorial Pavillon_Noir Fontaine_de_la_Rotonde Palais_des_Papes
    Pont_d_Avignon Monument_aux_Morts_de_Nice Place_Massena Hotel_Negresco Theatre_Antique_d_Orange
    Sculpture_Bateau_de_Toulon Fontaine_de_la_Federation Chateau_d_If Tour_CMA_CGM Palais_Longchamp
    Ha_Long_Bay Hoi_An Hue_Imperial_City Sapa_Rice_Terraces
"""
UDACITY = """
    Haleakala_National_Park Mount_Rainier_National_Park Ljubljana_Castle Dead_Sea Wroclaws_Dwarves
    London_Olympic_Stadium Niagara_Falls Stonehenge Grand_Canyon Golden_Gate_Bridge Edinburgh_Castle
    Mount_Rushmore_National_Memorial Kantanagar_Temple Yellowstone_National_Park Terminal_Tower
    Central_Park Eiffel_Tower Changdeokgung Delicate_Arch Vienna_City_Hall Matterhorn Taj_Mahal
    Moscow_Raceway Externsteine Soreq_Cave Banff_National_Park Pont_du_Gard Seattle_Japanese_Garden
    Sydney_Harbour_Bridge Petronas_Towers Brooklyn_Bridge Washington_Monument Hanging_Temple
    Sydney_Opera_House Great_Barrier_Reef Monumento_a_la_Revolucion Badlands_National_Park Atomium
    Forth_Bridge Gateway_of_India Stockholm_City_Hall Machu_Picchu Death_Valley_National_Park
    Gullfoss_Falls Trevi_Fountain Temple_of_Heaven Great_Wall_of_China Prague_Astronomical_Clock
    Whitby_Abbey Temple_of_Olympian_Zeus
"""

HEADER = ",".join(COLUMNS)
BIG_BEN = "Big_Ben,Big Ben,London,United Kingdom,GB,51.5007,-0.1246,0.3,Q41225,tower;clock"


@pytest.fixture(scope="module")
def table() -> dict[str, Landmark]:
    return read_landmarks()


@pytest.fixture
def write_csv(tmp_path):
    """Writes lines as a user's CSV, the right header first, and gives its path."""

    def write(*lines: str, header: str = HEADER, name: str = "mine.csv") -> Path:
        file = tmp_path / name
        file.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
        return file

    return write


def read_tab(name: str) -> list[list[str]]:
    """The rows of a table of the tz database."""
    text = (resources.files("tzdata") / "zoneinfo" / name).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines() if not line.startswith("#")]


# --- the table itself ---------------------------------------------------------------------------


@pytest.mark.parametrize("names", [WONDERS_AND_MONUMENTS.split(), UDACITY.split()])
def test_every_class_of_both_data_sets_has_a_row(table, names):
    assert len(set(names)) == 50
    assert [name for name in names if name not in table] == []


def test_no_row_belongs_to_no_data_set(table):
    assert sorted({*table} - {*WONDERS_AND_MONUMENTS.split(), *UDACITY.split()}) == []


def test_rows_are_complete(table):
    for landmark in table.values():
        unknown = [field for field, value in landmark.to_dict().items() if value in ("", None)]
        assert {*unknown} <= {"city", "wikidata"}, landmark
        assert 3 <= len(landmark.tags) <= 6, landmark
        assert all(re.fullmatch(r"\w[\w '-]*\w", tag) for tag in landmark.tags), landmark
        assert all(tag == tag.lower() for tag in landmark.tags), landmark


def test_no_two_rows_disagree(table):
    with open(BUILT_IN, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(table) == len({row["class"] for row in rows})
    assert len({landmark.name for landmark in table.values()}) == len(table)
    assert len({(x.latitude, x.longitude) for x in table.values()}) == len(table)
    items = [landmark.wikidata for landmark in table.values() if landmark.wikidata]
    assert len(set(items)) == len(items)


def test_landmarks_of_one_place_are_near_each_other(table):
    """Catches swapped digits that stay within the country."""
    for one in table.values():
        for other in table.values():
            if one.city and one.place == other.place:
                assert distance_km(one, other) < 150, (one, other)


def test_names_keep_their_accents(table):
    assert table["Chateau_d_If"].name == "Château d'If"
    assert table["Hotel_Negresco"].name == "Hôtel Negresco"
    assert table["Wroclaws_Dwarves"].title == "Wrocław's Dwarves — Wrocław, Poland"


def test_countries_are_those_of_iso_3166(table):
    names = dict(read_tab("iso3166.tab")) | {"GB": "United Kingdom", "KR": "South Korea"}
    for landmark in table.values():
        assert landmark.country == names.get(landmark.country_code), landmark


def test_every_coordinate_falls_into_its_country(table):
    """By the time zone at the point: the zones' borders are those of countries, within 111 m."""
    countries = {zone: {code} for code, _, zone, *_ in read_tab("zone.tab")}
    countries["Asia/Bangkok"].add("VN")  # the north of Vietnam has no zone of its own
    astray = []
    for landmark in table.values():
        zone = tzfpy.get_tz(landmark.longitude, landmark.latitude)
        zones = [zone]
        if zone.startswith("Etc/"):  # the open sea: then the country lies within the extent
            zones = [tzfpy.get_tz(*point) for point in points_within(landmark)]
        if not any(landmark.country_code in countries.get(zone, ()) for zone in zones):
            astray.append((landmark, zone))
    assert astray == []


def distance_km(one: Landmark, other: Landmark) -> float:
    north = math.radians(other.latitude - one.latitude)
    mean = math.radians((other.latitude + one.latitude) / 2)
    east = math.radians(other.longitude - one.longitude) * math.cos(mean)
    return 6371 * math.hypot(north, east)


def points_within(landmark: Landmark):
    """(longitude, latitude) of points on three circles inside the extent."""
    degrees = landmark.extent_km / 2 / 111.2
    for share in (0.1, 0.3, 0.9):
        for angle in range(0, 360, 30):
            north = share * degrees * math.cos(math.radians(angle))
            east = share * degrees * math.sin(math.radians(angle))
            east /= math.cos(math.radians(landmark.latitude))
            yield landmark.longitude + east, landmark.latitude + north


# --- reading ------------------------------------------------------------------------------------


def test_built_in_table_is_read_once(monkeypatch):
    first = read_landmarks()
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail(f"{self} read again"))
    assert read_landmarks() == first
    assert describe("10.Taj_Mahal").name == "Taj Mahal"


def test_a_caller_cannot_spoil_the_table_for_others():
    spoilt = read_landmarks()
    spoilt.clear()
    assert "Taj_Mahal" in read_landmarks()


def test_import_reads_no_table_and_needs_no_other_package():
    code = (
        "import sys; opened = []\n"
        "sys.addaudithook(lambda event, args: event == 'open' and opened.append(str(args[0])))\n"
        "import src.landmarks.table\n"
        "assert not [name for name in opened if name.endswith('.csv')], opened\n"
        "outside = {name.split('.')[0] for name in sys.modules} - {*sys.stdlib_module_names}\n"
        "print(*outside)\n"
    )
    command = [sys.executable, "-S", "-c", code]
    root = BUILT_IN.parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert {*done.stdout.split()} <= {"__main__", "__mp_main__", "src"}


# --- describing ---------------------------------------------------------------------------------


def test_known_class_keeps_its_folder_name(table):
    landmark = describe("10.Taj_Mahal")
    assert landmark.class_name == "10.Taj_Mahal"
    assert landmark.title == "Taj Mahal — Agra, India"
    assert describe("21.Taj_Mahal", table).to_dict() == {
        **landmark.to_dict(),
        "class_name": "21.Taj_Mahal",
    }


@pytest.mark.parametrize(
    ("class_name", "name"),
    [
        ("07.Notre_Dame_de_Paris", "Notre Dame de Paris"),
        ("Tower_of_London", "Tower of London"),
        ("3.__Big__Ben_", "Big Ben"),
        ("Saint-Denis", "Saint-Denis"),
        ("05.東京タワー", "東京タワー"),
        ("42", "42"),
        ("07.", "07."),
        ("_", "_"),
    ],
)
def test_unknown_class_gets_a_readable_name(class_name, name):
    landmark = describe(class_name)
    assert landmark == Landmark(class_name, name)
    assert landmark.place == ""
    assert landmark.title == name


def test_place_leaves_out_what_is_unknown_or_said_twice():
    assert Landmark("a", "a", country="Israel").place == "Israel"
    assert Landmark("a", "a", city="Maui").place == "Maui"
    assert Landmark("a", "Merlion", "Singapore", "Singapore").title == "Merlion — Singapore"


# --- a user's own table -------------------------------------------------------------------------


def test_own_table_adds_and_overrides(write_csv, table):
    mine = write_csv(BIG_BEN, "10.Taj_Mahal,Crown of Palaces,,India,IN,,,,,")
    own = read_landmarks(mine)
    assert own["Big_Ben"] == Landmark(
        "Big_Ben",
        "Big Ben",
        "London",
        "United Kingdom",
        "GB",
        51.5007,
        -0.1246,
        0.3,
        "Q41225",
        ("tower", "clock"),
    )
    assert own["Taj_Mahal"] == Landmark("Taj_Mahal", "Crown of Palaces", "", "India", "IN")
    assert describe("03.Big_Ben", own).title == "Big Ben — London, United Kingdom"
    assert own["Colosseum"] == table["Colosseum"]
    assert read_landmarks() == table


def test_later_table_wins(write_csv):
    one = write_csv("Big_Ben,One,,,,,,,,", name="one.csv")
    two = write_csv("Big_Ben,Two,,,,,,,,", name="two.csv")
    assert read_landmarks(one, two)["Big_Ben"].name == "Two"
    assert read_landmarks(two, one)["Big_Ben"].name == "One"


def test_table_as_a_spreadsheet_saves_it(tmp_path):
    """Byte-order mark, CRLF, columns in another order and one more, empty rows at the end."""
    columns = ["notes", " tags ", *COLUMNS[-2::-1]]
    row = '"seen, 2019", tower ; clock;;tower ,, 0.3 ,-0.1246,51.5007,GB,,London, Big  Ben,Big_Ben'
    file = tmp_path / "excel.csv"
    file.write_bytes("\r\n".join((",".join(columns), row, "", "," * 10, "")).encode("utf-8-sig"))
    landmark = read_landmarks(file)["Big_Ben"]
    assert (landmark.name, landmark.tags, landmark.extent_km) == (
        "Big Ben",
        ("tower", "clock"),
        0.3,
    )


def test_accents_match_however_the_file_system_writes_them(write_csv):
    own = read_landmarks(write_csv("Ch\u00e2teau,Castle,,,,,,,,"))
    assert describe("01.Cha\u0302teau", own).name == "Castle"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (BIG_BEN.replace("51.5007", "200"), "latitude 200 is not within ±90"),
        (BIG_BEN.replace("51.5007", "nan"), "latitude nan"),
        (BIG_BEN.replace("-0.1246", "-180.5"), "longitude -180.5 is not within ±180"),
        (BIG_BEN.replace("51.5007", "51°30'N"), 'latitude "51°30\'N" is not a number'),
        (BIG_BEN.replace("51.5007", '"51,5007"'), "write it like 27.1751"),
        (BIG_BEN.replace("51.5007", ""), "latitude and longitude go together"),
        (BIG_BEN.replace("0.3", "0"), "extent_km 0 is not a size"),
        (BIG_BEN.replace("0.3", "inf"), "extent_km inf"),
        (BIG_BEN.replace("0.3", "300 m"), 'extent_km "300 m" is not a number'),
        (BIG_BEN.replace("GB", "gbr"), 'country_code "gbr"'),
        (BIG_BEN.replace("Q41225", "41225"), 'wikidata "41225"'),
        (BIG_BEN.replace("Big Ben", ""), "the class or the name is empty"),
        (BIG_BEN.replace("Big_Ben", ""), "the class or the name is empty"),
        (BIG_BEN.replace("London", "London, Westminster"), "between double quotes"),
        ("Big_Ben,Big Ben", "more or fewer cells"),
        (BIG_BEN.replace("Big Ben", '"Big Ben'), "a double quote that is not closed"),
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


def test_absent_file_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match=r"absent\.csv"):
        read_landmarks(tmp_path / "absent.csv")


# --- as JSON ------------------------------------------------------------------------------------


def test_json_round_trip(table):
    for landmark in [*table.values(), describe("07.Notre_Dame_de_Paris")]:
        text = json.dumps(landmark.to_dict(), ensure_ascii=False)
        assert Landmark.from_dict(json.loads(text)) == landmark


def test_from_dict_fills_in_what_may_be_unknown():
    assert Landmark.from_dict({"class_name": "a", "name": "A"}) == Landmark("a", "A")


@pytest.mark.parametrize(
    "change",
    [
        {"latitude": 91.0},
        {"latitude": "27.2"},
        {"longitude": None},
        {"name": 7},
        {"name": ""},
        {"tags": "tomb"},
        {"tags": [1]},
        {"country_code": 91},
        {"colour": "white"},
    ],
)
def test_from_dict_refuses_what_to_dict_never_wrote(table, change):
    with pytest.raises(ValueError, match="not a landmark"):
        Landmark.from_dict({**table["Taj_Mahal"].to_dict(), **change})


@pytest.mark.parametrize("d", [{}, {"name": "A"}, "Taj Mahal", None])
def test_from_dict_refuses_what_is_no_landmark(d):
    with pytest.raises(ValueError, match="not a landmark"):
        Landmark.from_dict(d)
