"""The table of landmarks that is built in: complete, right as far as others know, and read once."""

import csv
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

from src.landmarks.evidence import Taken, out_of_sight
from src.landmarks.table import Landmark, class_key, describe, read_landmarks

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


def read_tab(name: str) -> list[list[str]]:
    """The rows of a table of the tz database."""
    text = (resources.files("tzdata") / "zoneinfo" / name).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines() if not line.startswith("#")]


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


def test_a_tag_is_spelt_alike_everywhere_and_names_have_capitals(table):
    tags = {tag for landmark in table.values() for tag in landmark.tags}
    assert len({tag.casefold() for tag in tags}) == len(tags)
    assert {"Gustave Eiffel", "Ming dynasty", "World Heritage", "bell tower"} <= tags


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


VIEWPOINTS = {
    "Great_Wall_of_China": [(39.8014, 98.2165), (39.967, 119.796)],  # Jiayuguan, Shanhaiguan
    "Grand_Canyon": [(36.0118, -113.8107), (36.866, -111.587)],  # the Skywalk, Lees Ferry
    "Mount_Rainier_National_Park": [(47.6295, -122.3599), (46.602, -120.506)],  # Seattle, Yakima
    "Cappadocia": [(38.2409, 34.3018), (38.5308, 35.4469)],  # Ihlara, Mount Erciyes
    "Matterhorn": [(46.428, 8.093), (45.934, 7.630)],  # Eggishorn, Cervinia
    "Haleakala_National_Park": [(20.827, -156.92), (20.23, -155.83)],  # Lānaʻi, Kohala
    "Sapa_Rice_Terraces": [(22.66, 103.60), (22.53, 104.29)],  # Y Tý, Bắc Hà
    "Great_Barrier_Reef": [(-24.112, 152.716), (-10.69, 142.53)],  # Lady Elliot Island, Cape York
    "Ha_Long_Bay": [(20.727, 107.048), (20.88, 107.50)],  # Cát Bà, Quan Lạn
    "Banff_National_Park": [(52.22, -117.22), (50.87, -115.65)],  # Columbia Icefield, Mount Assiniboine
    "Yellowstone_National_Park": [(44.97, -109.9), (44.15, -111.03)],  # Cooke City, Bechler
    "Death_Valley_National_Park": [(37.10, -117.676), (36.606, -118.063)],  # Eureka Dunes, Lone Pine
    "Dead_Sea": [(31.767, 35.726), (31.778, 35.245)],  # Mount Nebo, Mount of Olives
}


@pytest.mark.parametrize("name", VIEWPOINTS)
def test_what_is_photographed_from_afar_is_in_sight_of_its_viewpoints(table, name):
    for place in VIEWPOINTS[name]:
        assert not out_of_sight(Taken(None, *place), table[name]), place


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
