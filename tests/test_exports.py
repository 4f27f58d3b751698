"""What Google's and Apple's exports lay beside photos."""

import json
import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tag_library import contents, photo, run, table

from src.inference.report import PhotoReport, final_answers
from src.landmarks.answer import Answer, Guess
from src.landmarks.evidence import Taken
from src.landmarks.table import Landmark
from src.library.takeout import LocalFiles, Takeout, add_takeout
from src.photos.exports import MAX_JSON, read_takeout, shot_name, takeout_names

pytest_plugins = ("tag_fixtures",)


@pytest.mark.parametrize(
    ("image", "beside"),
    [
        ("IMG_1.jpg", "IMG_1.jpg.json"),
        ("IMG_1.jpg", "IMG_1.jpg.supplemental-metadata.json"),
        ("MVIMG_20191230_232926.jpg", "MVIMG_20191230_232926.jpg.supplemental-metadat.json"),
        ("MVIMG_20200207_134534~2.jpg", "MVIMG_20200207_134534~2.jpg.supplemental-metad.json"),
        ("Screenshot_20200301-161151.png", "Screenshot_20200301-161151.png.supplemental-me.json"),
        (
            "Screenshot_20231027_123303_Facebook.jpg",
            "Screenshot_20231027_123303_Facebook.jpg.supple.json",
        ),
        # names of 47 characters before their suffix, the most that Google keeps
        (
            "PXL_20230809_203449253.LONG_EXPOSURE-02.ORIGINA.jpg",
            "PXL_20230809_203449253.LONG_EXPOSURE-02.ORIGIN.json",
        ),
        (
            "05yqt21kruxwwlhhgrwrdyb6chhwszi9bqmzu16w0 2.jpg",
            "05yqt21kruxwwlhhgrwrdyb6chhwszi9bqmzu16w0 2.jp.json",
        ),
        (
            "Screenshot_2024-08-31-00-53-48-647_com.snapchat.jpg",
            "Screenshot_2024-08-31-00-53-48-647_com.snapcha.json",
        ),
        # most of these characters are two of those that Google counts
        (
            "😀😃😄😁😆😅😂🤣🥲☺️😊😇🙂🙃😉😌😍🥰😘😗😙😚😋😛.jpg",
            "😀😃😄😁😆😅😂🤣🥲☺️😊😇🙂🙃😉😌😍🥰😘😗😙😚😋.json",
        ),
        # photos of one name
        ("IMG(1).jpg", "IMG.jpg.supplemental-metadata(1).json"),
        ("DSC_0101(1).JPG", "DSC_0101.JPG(1).json"),
        ("IMG(1).jpg", "IMG(1).jpg.json"),
        (
            "Screenshot_20231027_123303_Facebook(1).jpg",
            "Screenshot_20231027_123303_Facebook.jpg.supple(1).json",
        ),
        (
            "13039_327707840323_537645323_9470255_27214_n(1).jpg",
            "13039_327707840323_537645323_9470255_27214_n.j(1).json",
        ),
        (
            "Backyard_ceremony_wedding_photography_xxxxxxx_m(494).jpg",
            "Backyard_ceremony_wedding_photography_xxxxxxx_(494).json",
        ),
        # edited copies, in the language of the account
        ("IMAG0061-edited.JPG", "IMAG0061.JPG.supplemental-metadata.json"),
        ("IMG-20230325-WA0122~2-edited.jpg", "IMG-20230325-WA0122~2.jpg.supplemental-metadat.json"),
        ("PXL_20220405_090123740.PORTRAIT-modifié.jpg", "PXL_20220405_090123740.PORTRAIT.jpg.json"),
        ("IMG_1-bearbeitet.jpg", "IMG_1.jpg.json"),
        ("IMG_1-ha editado.jpg", "IMG_1.jpg.json"),
        ("IMG_1-編集済み.jpg", "IMG_1.jpg.json"),
        ("IMG_1-संपादित.jpg", "IMG_1.jpg.json"),
        ("IMG_1-edited(2).jpg", "IMG_1.jpg(2).json"),
        ("IMG_1(2)-edited.jpg", "IMG_1.jpg(2).json"),
        (
            "Screenshot_20231027_123303_Facebook_Photo-edite.jpg",
            "Screenshot_20231027_123303_Facebook_Photo.jpg.json",
        ),
        # titles without a suffix
        ("2234089303984509579-edited.jpg", "2234089303984509579.supplemental-metadata.json"),
        ("Paris.jpg", "Paris.json"),
        ("no suffix", "no suffix.json"),
    ],
)  # fmt: skip
def test_the_json_of_a_photo(image, beside):
    assert unicodedata.normalize("NFC", beside) in list(takeout_names(image))
    apart = unicodedata.normalize("NFD", image)
    assert list(takeout_names(apart)) == list(takeout_names(image))


@pytest.mark.parametrize(
    ("image", "beside"),
    [
        ("PXL_20211013_220651958.jpg", "PXL_20211013_220651983.jpg.json"),
        ("PXL_20220405_090123741.PORTRAIT-modifié.jpg", "PXL_20220405_090123740.PORTRAIT.jpg.json"),
        ("DSC_0102(1).JPG", "DSC_0102.JPG(2).json"),
        ("DSC_0103.JPG", "DSC_0103.JPG(1).json"),
        ("DSC_0104(1).JPG", "DSC_0104.JPG.json"),
        (
            "Backyard_ceremony_wedding_photography_xxxxxxx_m(185).jpg",
            "Backyard_ceremony_wedding_photography_xxxxxxx_(494).json",
        ),
        ("IMG-20230325-WA0122.jpg", "IMG-20230325.jpg.json"),
        ("IMG_1.jpg", "IMG_10.jpg.json"),
    ],
)
def test_the_json_of_another_photo(image, beside):
    assert beside not in list(takeout_names(image))


def test_the_photos_own_json_comes_first():
    names = list(takeout_names("IMG-edited(1).jpg"))
    assert names[0] == "IMG-edited(1).jpg.json"
    assert names.index("IMG-edited.jpg(1).json") < names.index("IMG.jpg(1).json")


def said(time="1556712000", spot=(48.8584, 2.2945), **more):
    """As Google writes it; 1556712000 is noon of 2019-05-01 in UTC."""
    place = dict(zip(("latitude", "longitude"), spot, strict=True)) | {"altitude": 0.0}
    return {
        "title": "IMG_1.jpg",
        "creationTime": {"timestamp": "1600000000", "formatted": "13.09.2020, 12:26:40 UTC"},
        "photoTakenTime": {"timestamp": time, "formatted": "…"},
        "geoData": place | {"latitudeSpan": 0.0, "longitudeSpan": 0.0},
        **more,
    }


NOON = datetime(2019, 5, 1, 12, tzinfo=UTC)
KEYS = ("photoTakenTime", "timestamp", "geoData", "geoDataExif", "latitude", "longitude")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (said(), Taken(NOON, 48.8584, 2.2945)),
        (said(spot=(0.0, 0.0)), Taken(NOON)),
        (said(spot=(0.0, 0.0), geoDataExif={"latitude": 27.0, "longitude": 78.0}), Taken(NOON, 27.0, 78.0)),
        (said(spot=(91.0, 2.0)), Taken(NOON)),
        (said(spot=(float("nan"), 2.0)), Taken(NOON)),
        (said(spot=("48.5", None)), Taken(NOON)),
        (said(time="-86400", spot=(0, 0)), Taken(datetime(1969, 12, 31, tzinfo=UTC))),
        (said(time="0", spot=(0, 0)), Taken()),
        (said(time="9" * 5000, spot=(0, 0)), Taken()),
        (said(time="1" + "0" * 18, spot=(0, 0)), Taken()),
        (said(time=None, spot=(0, 0)), Taken()),
        ({"title": "Album", "date": {"timestamp": "1556712000"}}, Taken()),
        ([1, 2], Taken()),
        (b"{", Taken()),
        (b"\xff\xfe{", Taken()),
        (b"[" * 100_000, Taken()),
        (b'{"photoTakenTime": ' * 10_000, Taken()),
        (said(description="x" * MAX_JSON), Taken()),
    ],
)
def test_what_the_json_says(content, expected):
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    assert read_takeout(data) == expected


NUMBERS = st.floats() | st.integers() | st.text()
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS,
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner),
)


@settings(max_examples=300, deadline=None)
@given(st.binary() | VALUES)
def test_any_json_gives_a_time_and_a_place_or_none(content):
    taken = read_takeout(content if isinstance(content, bytes) else json.dumps(content).encode())
    assert (taken.latitude is None) == (taken.longitude is None)
    assert taken.time is None or taken.time.tzinfo is UTC


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_any_name_gives_names_of_json_files(name):
    names = list(takeout_names(name))
    assert names and all(one.endswith(".json") for one in names)
    assert isinstance(shot_name(name), str)


def write(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")


def report_of(path, own=Taken()):  # noqa: B008
    return PhotoReport(str(path), path.name, taken=own)


def test_a_photo_counts_more_than_the_json_beside_it(tmp_path):
    write(tmp_path / "a.jpg.supplemental-metadata.json", said())
    own = Taken(datetime(2024, 5, 1, 10), 27.0, 78.0, "Phone")
    cases = {
        own: own,
        Taken(own.time, camera="Phone"): Taken(own.time, 48.8584, 2.2945, "Phone"),
        Taken(None, 27.0, 78.0): Taken(NOON, 27.0, 78.0),
        Taken(): Taken(NOON, 48.8584, 2.2945),
    }
    for before, after in cases.items():
        [report] = add_takeout([report_of(tmp_path / "a.jpg", before)], Takeout(LocalFiles()))
        assert report.taken == after
    [other] = add_takeout([report_of(tmp_path / "b.jpg")], Takeout(LocalFiles()))
    assert other.taken == Taken()


def test_names_that_are_composed_otherwise_and_json_that_cannot_be_read(tmp_path):
    write(tmp_path / unicodedata.normalize("NFD", "Café.jpg.json"), said())
    (tmp_path / "b.jpg.json").mkdir()
    first, second = add_takeout(
        [report_of(tmp_path / "Café.jpg"), report_of(tmp_path / "b.jpg")], Takeout(LocalFiles())
    )
    assert first.taken == Taken(NOON, 48.8584, 2.2945) and second.taken == Taken()


def test_a_takeout_folder_from_the_command(tmp_path, fake, capsys):
    """The JSON's position rules out the Taj Mahal, and its time makes neighbours; it stays as it is."""
    folder = tmp_path / "Takeout" / "Photos from 2019"
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        photo(folder / name, "red" if name == "1.jpg" else (140, 120, 10), side=60 + int(name[0]))
    write(folder / "1.jpg.supplemental-metadata.json", said(spot=(0, 0)))
    write(folder / "2.jpg.supplemental-metadata.json", said(time="1556712060", spot=(0, 0)))
    write(folder / "3.jpg.supplemental-metadata.json", said(time="1556800000", spot=(0, 0)))
    photo(folder / "4.jpg", "red", side=80)
    write(folder / "4.jpg.json", said(time="1556900000"))
    (folder / "4.AAE").write_text("<plist/>")
    before = contents(tmp_path)
    assert run(folder) == 0
    rows = table()
    assert [row["landmark"] for row in rows] == ["Taj Mahal", "Taj Mahal", "", ""]
    assert [row["landmark_alone"] for row in rows] == ["Taj Mahal", "", "", "Taj Mahal"]
    assert {path: data for path, data in contents(tmp_path).items() if path in before} == before
    out = capsys.readouterr().out
    assert "4 .json" in out and "1 .aae" in out, "neither is a photo"


def test_what_a_takeout_says_is_noticed_when_it_comes_later(tmp_path, fake):
    photo(tmp_path / "library" / "1.jpg", "red")
    run(tmp_path / "library")
    assert table()[0]["landmark"] == "Taj Mahal"
    write(tmp_path / "library" / "1.jpg.json", said())
    run(tmp_path / "library")
    assert table()[0]["landmark"] == "" and fake.asked == 1


# ---- Files of one shot -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("IMG_1234.HEIC", "IMG_E1234.JPG", True),
        ("/a/IMG_1234.CR2", "/a/IMG_1234.jpg", True),
        ("IMG_1234 2.HEIC", "IMG_E1234 2.JPG", True),
        ("IMG_1234.HEIC", "IMG_1235.HEIC", False),
        ("IMG_E.JPG", "IMG_.JPG", False),
        ("Café.jpg", unicodedata.normalize("NFD", "Café.heic"), True),
    ],
)
def test_names_of_one_shot(one, other, same):
    assert (shot_name(one) == shot_name(other)) is same


TAJ = Landmark("00.Taj_Mahal", "Taj Mahal", latitude=27.1751, longitude=78.0421, extent_km=0.6)
TOWER = Landmark("02.Eiffel_Tower", "Eiffel Tower", latitude=48.8584, longitude=2.2945, extent_km=0.3)
SURE = Answer((Guess(TAJ, 0.95), Guess(TOWER, 0.02)), 0.95, True)
UNSURE = Answer((Guess(TOWER, 0.4), Guess(TAJ, 0.35)), 0.4, False)


def together(*photos):
    reports = [
        PhotoReport(name, str(i), taken=Taken(NOON + timedelta(seconds=i)), answer=answer, shot=shot)
        for i, (name, answer, shot) in enumerate(photos)
    ]
    return final_answers(reports, 0.6, 50)


@pytest.mark.parametrize(
    "pair", [("IMG_1234.HEIC", "IMG_E1234.JPG", "", ""), ("a.jpg", "a-edited.jpg", "a.json", "a.json")]
)
def test_an_edited_copy_and_its_original_count_as_one(pair):
    one, other, *shots = pair
    alone = together((one, UNSURE, shots[0]), (other, SURE, shots[1]))
    assert [revised.neighbours for revised in alone] == [0, 0]
    assert alone[0].answer is UNSURE
    three = together(("b.jpg", UNSURE, ""), (one, SURE, shots[0]), (other, SURE, shots[1]))
    assert [revised.neighbours for revised in three] == [1, 1, 1]


def test_uploads_of_one_name_are_different_shots():
    """Phones upload every photo as image.jpg."""
    two = together(("image.jpg", UNSURE, ""), ("image.jpg", SURE, ""))
    assert two[0].neighbours == 1 and two[0].answer.recognised
