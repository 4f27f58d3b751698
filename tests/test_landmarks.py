"""The table of landmarks, and what becomes of classes and tables that are not in it."""

import csv
import json
import math
import os
import re
import subprocess
import sys
import unicodedata
from importlib import resources
from pathlib import Path

import pytest
import tzfpy

from src.landmarks.table import COLUMNS, Landmark, class_key, describe, read_landmarks

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
WORLD = """
    Alhambra Angkor_Wat Cologne_Cathedral Dome_of_the_Rock Forbidden_City Hagia_Sophia
    Palace_of_Versailles Petra Bhaktapur_Durbar_Square Boudhanath Pashupatinath_Temple
    Patan_Durbar_Square Swayambhunath Ponte_da_Arrabida Casa_da_Musica Camara_Municipal_do_Porto
    Torre_dos_Clerigos Museu_de_Serralves Badshahi_Mosque Faisal_Mosque Minar-e-Pakistan Mazar-e-Quaid
    Lahore_Fort Giant_Wild_Goose_Pagoda Summer_Palace Terracotta_Army N_Seoul_Tower Oriental_Pearl_Tower
    Canton_Tower Tokyo_Skytree Berlin_Cathedral Brandenburg_Gate Berlin_Wall Temple_of_the_Tooth
    Lotus_Temple Anitkabir Arc_de_Triomphe Big_Ben Bosphorus_Bridge Castel_Sant_Angelo Dolmabahce_Palace
    Dresden_Frauenkirche Galata_Tower Golden_Gate_Bridge Cappadocia Ishak_Pasha_Palace Maidens_Tower
    Leaning_Tower_of_Pisa Milan_Cathedral Notre-Dame_de_Paris Pamukkale Pantheon Reichstag Sacre-Coeur
    Church_of_the_Savior_on_Blood Saint_Basils_Cathedral Saint_Pauls_Cathedral Stephansdom
    Suleymaniye_Mosque Blue_Mosque Sydney_Harbour Topkapi_Palace Trevi_Fountain
    Church_of_Our_Lady_before_Tyn Westminster_Abbey
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
TOWER_BRIDGE = "Tower_Bridge,Tower Bridge,London,United Kingdom,GB,51.5055,-0.0754,0.3,Q83125,bridge;river"


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


@pytest.mark.parametrize(("names", "count"), [(WONDERS_AND_MONUMENTS, 50), (WORLD, 65), (UDACITY, 50)])
def test_every_class_of_the_data_sets_has_a_row(table, names, count):
    assert len(set(names.split())) == count
    assert [name for name in names.split() if name not in table] == []


@pytest.mark.skipif(not os.environ.get("LANDMARK_IMAGES"), reason="needs LANDMARK_IMAGES")
@pytest.mark.parametrize("part", ["train", "test"])
def test_every_folder_of_pictures_has_a_row(table, part):
    folders = [path.name for path in (Path(os.environ["LANDMARK_IMAGES"]) / part).iterdir() if path.is_dir()]
    assert folders
    assert [folder for folder in folders if class_key(folder) not in table] == []


def test_no_row_belongs_to_no_data_set(table):
    data_sets = (WONDERS_AND_MONUMENTS, WORLD, UDACITY)
    assert sorted({*table}.difference(*(names.split() for names in data_sets))) == []


def test_rows_are_complete(table):
    for landmark in table.values():
        unknown = [field for field, value in landmark.to_dict().items() if value in ("", None)]
        assert {*unknown} <= {"city", "wikidata", "name_local"}, landmark
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


SCRIPTS = {  # of local names; elsewhere they are in Latin letters
    "AE": {"ARABIC"},
    "BD": {"BENGALI"},
    "CN": {"CJK"},
    "EG": {"ARABIC"},
    "GR": {"GREEK"},
    "IL": {"HEBREW", "ARABIC"},
    "IN": {"DEVANAGARI", "ARABIC", "BENGALI", "GURMUKHI", "KANNADA", "ORIYA", "TAMIL", "TELUGU"},
    "JO": {"ARABIC"},
    "JP": {"CJK", "KATAKANA"},
    "KH": {"KHMER"},
    "KR": {"HANGUL"},
    "LK": {"SINHALA"},
    "NP": {"DEVANAGARI"},
    "PK": {"ARABIC"},
    "RU": {"CYRILLIC"},
}


def test_local_names_are_in_a_script_of_the_country(table):
    latin = {"Basilica_of_Bom_Jesus", "Moscow_Raceway"}  # by their own names
    for key in table.keys() - latin:
        scripts = SCRIPTS.get(table[key].country_code, {"LATIN"})
        assert table[key].name_local or "LATIN" in scripts, key
        letters = [c for c in table[key].name_local.removeprefix("N") if c.isalpha()]  # N서울타워
        assert {re.split("[ -]", unicodedata.name(c))[0] for c in letters} <= scripts, key


def test_local_names_can_be_written_as_keywords(table):
    """On one line, composed, other than the English name, and short enough for IPTC."""
    names = [landmark.name_local for landmark in table.values() if landmark.name_local]
    assert len(set(names)) == len(names)
    for landmark in table.values():
        name = landmark.name_local
        assert name != landmark.name
        assert unicodedata.is_normalized("NFC", name), landmark
        assert {unicodedata.category(c)[0] for c in name} <= {*"LMNPZ"}, landmark
        assert len(name.encode()) <= 64, landmark


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("Taj_Mahal", "ताज महल"),
        ("Eiffel_Tower", "Tour Eiffel"),
        ("Angkor_Wat", "អង្គរវត្ត"),
        ("Tokyo_Skytree", "東京スカイツリー"),
        ("Big_Ben", ""),
    ],
)
def test_names_in_the_local_language(table, key, name):
    assert table[key].name_local == name


def test_sydney_harbour_holds_the_opera_house_and_the_bridge(table):
    harbour = table["Sydney_Harbour"]
    for part in ("Sydney_Opera_House", "Sydney_Harbour_Bridge"):
        assert distance_km(harbour, table[part]) < harbour.extent_km / 2


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


@pytest.mark.parametrize("number", ["", "7.", "07.", "100.", "1000."])
def test_the_number_of_a_class_has_any_length(table, number):
    assert describe(f"{number}Pamukkale").name == "Pamukkale"
    assert describe(f"{number}Pamukkale").latitude == table["Pamukkale"].latitude


@pytest.mark.parametrize(
    ("class_name", "name"),
    [
        ("07.Notre_Dame_de_Reims", "Notre Dame de Reims"),
        ("Tower_of_London", "Tower of London"),
        ("3.__Old__Mill_", "Old Mill"),
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


# --- as JSON ------------------------------------------------------------------------------------


def test_json_round_trip(table):
    for landmark in [*table.values(), describe("07.Notre_Dame_de_Reims")]:
        text = json.dumps(landmark.to_dict(), ensure_ascii=False)
        assert Landmark.from_dict(json.loads(text)) == landmark


def test_from_dict_fills_in_what_may_be_unknown():
    assert Landmark.from_dict({"class_name": "a", "name": "A"}) == Landmark("a", "A")


def test_from_dict_reads_what_was_written_before_there_were_local_names(table):
    old = table["Taj_Mahal"].to_dict()
    assert old.pop("name_local") == "ताज महल"
    assert Landmark.from_dict(old).title == "Taj Mahal — Agra, India"
    assert Landmark.from_dict(old).name_local == ""


@pytest.mark.parametrize(
    "change",
    [
        {"latitude": 91.0},
        {"latitude": "27.2"},
        {"longitude": None},
        {"name": 7},
        {"name_local": None},
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
