"""A new sidecar begins with what people wrote into the photo: some programs read nothing else beside it."""

import codecs
import subprocess

import pytest
from begun_sidecars import begun, described, described_in_exif, inside, text_in
from conftest import encode, quarters
from metadata_samples import (
    BARE,
    CAMERA,
    PEOPLE,
    TAJ,
    exiftool,
    needs_exiftool,
    undo_sidecar,
    with_exif,
    write_sidecar,
)
from photo_parts import behind_start, in_iptc, iptc, photoshop

from src.photos.decode import open_photo
from src.photos.errors import MetadataError
from src.photos.packet import Packet
from src.photos.write_tags import embed, sidecar, undone
from src.photos.xmp import MAX_ELEMENTS
from src.photos.xmp_edit import EMPTY

RATING, LABEL = (f"http://ns.adobe.com/xap/1.0/:{name}" for name in ("Rating", "Label"))
TIMES = "<exif:DateTimeOriginal>2001-02-03T04:05:06</exif:DateTimeOriginal>"
SPOT = "<exif:GPSLatitude>13,9.798S</exif:GPSLatitude><exif:GPSLongitude>72,32.736W</exif:GPSLongitude>"
BY_PROGRAMS = 'tiff:Orientation="6" crs:Exposure="1" xmpNote:HasExtendedXMP="0A" xmp:CreatorTool="Camera"'
BY_PEOPLE = 'xmp:Rating="4" xmp:Label="Red"'


def test_what_people_wrote_is_repeated_and_what_programs_wrote_is_not():
    found = begun(inside(described(f"{BY_PROGRAMS} {BY_PEOPLE}", "<dc:title>Us</dc:title>")))
    assert (found.values(RATING), found.values(LABEL), found.values("dc:title")) == (["4"], ["Red"], ["Us"])
    for name in (b"Orientation", b"crs:Exposure", b"HasExtendedXMP", b"CreatorTool"):
        assert name not in found.data


def test_faces_are_repeated_byte_for_byte():
    regions = (
        '<mwg-rs:Regions xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/" '
        'rdf:parseType="Resource"><mwg-rs:RegionList><rdf:Bag><rdf:li mwg-rs:Name="Ann"/></rdf:Bag>'
        "</mwg-rs:RegionList></mwg-rs:Regions>"
    )
    assert regions.encode() in begun(inside(described(BY_PROGRAMS, regions))).data


def test_titles_and_names_are_taken_from_iptc_where_the_xmp_has_none():
    texts = {5: "Us", 80: "Ann", 116: "hers", 95: "Bayern", 105: "News", 120: "by hand", 90: "Ulm", 101: "DE"}
    block = in_iptc(b"\x1b%G", **{f"n{number}": text.encode() for number, text in texts.items()})
    photo = behind_start(inside(text_in("dc:title", "Them")), block)
    found = begun(photo, TAJ)
    keys = ("dc:title", "dc:creator", "dc:rights", "photoshop:State", "photoshop:Headline")
    assert [found.values(key) for key in keys] == [["Them"], ["Ann"], ["hers"], ["Bayern"], ["News"]]
    keys = ("dc:description", "photoshop:City", "photoshop:Country")
    assert [found.values(key) for key in keys] == [["by hand"], ["Ulm"], ["DE"]]


WINDOWS = "It’s “Zoë’s” café – 5 €"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (WINDOWS.encode("cp1252"), WINDOWS),
        (WINDOWS.encode(), WINDOWS),
        (b"Z\xfcrich \x8d", "Zürich"),  # no text in cp1252; in Latin-1 a control character
    ],
)
def test_texts_of_old_windows_programs(text, read):
    photo = behind_start(encode(quarters()), in_iptc(b"", n5=text, n120=text, n25=text))
    found = begun(photo, TAJ)
    assert [found.values(f"dc:{key}")[0] for key in ("title", "description", "subject")] == [read] * 3
    assert begun(described_in_exif(text), TAJ).values("dc:description") == [read]


def test_nothing_of_iptc_in_another_character_set_is_repeated():
    """Its caption and town are not hidden by others, either."""
    texts = {"n5": "Прага", "n25": "Прага", "n90": "Прага", "n120": "Прага"}
    block = in_iptc(b"\x1b-L", **{key: text.encode("iso8859-5") for key, text in texts.items()})
    photo = behind_start(encode(quarters()), block)
    found = begun(photo, TAJ)
    assert found.values("dc:subject") == list(TAJ.keywords)
    for key in ("dc:title", "dc:description", "photoshop:City", "photoshop:Country"):
        assert found.values(key) == []
        assert Packet(open_photo(embed(photo, TAJ)).xmp, "x").values(key) == []


def test_keywords_that_the_xmp_lacks_are_taken_from_the_iptc():
    """PhotoPrism reads no keywords but those of dc:subject in the sidecar."""
    block = in_iptc(b"\x1b%G", n25=b"iptc only")
    xmp = described("", "<dc:subject><rdf:Bag><rdf:li>a</rdf:li><rdf:li>b</rdf:li></rdf:Bag></dc:subject>")
    photo = behind_start(inside(xmp), block, photoshop((0x0404, iptc(b"A"))))
    new = sidecar(photo, TAJ)
    assert Packet(new, "x").values("dc:subject") == ["a", "b", "iptc only", *TAJ.keywords]
    assert undone(new, "x") is None


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("placed", [True, False])
def test_times_and_places_are_repeated_only_where_the_exif_has_none(timed, placed):
    """Immich believes a sidecar before the photo, and the XMP may be older than the EXIF."""
    exif = with_exif(CAMERA if placed else None, "2011:03:04 05:06:07" if timed else None)
    found = begun(inside(described("", TIMES, SPOT), exif), TAJ)
    assert found.values("exif:DateTimeOriginal") == ([] if timed else ["2001-02-03T04:05:06"])
    assert found.values("exif:GPSLatitude") == ([] if placed else ["13,9.798S"])


@pytest.mark.parametrize(
    "xmp", [b"", b"<broken", described(BY_PROGRAMS), b"<rdf:RDF/>", PEOPLE[:90].encode()]
)
def test_photos_of_which_nothing_can_be_repeated(xmp):
    plain = encode(quarters())
    assert sidecar(inside(xmp, plain) if xmp else plain, TAJ) == sidecar(plain, TAJ)


def test_no_sidecar_becomes_larger_than_what_is_read(photo):
    """Undo has to read it."""
    many = described(BY_PEOPLE, "<acdsee:x/>" * (MAX_ELEMENTS - 50))
    photo.write_bytes(encode(quarters(), "WEBP", xmp=many))
    path = write_sidecar(photo, TAJ)
    assert Packet(path.read_bytes(), "x").values(RATING) == []
    assert undo_sidecar(photo) and not path.exists()


def test_what_was_written_here_is_not_repeated():
    """A sidecar of a copy says the new tags alone."""
    other = embed(inside(described(BY_PEOPLE)), TAJ)
    found = begun(other)
    assert found.values("exif:GPSLatitude") == found.values("photoshop:City") == []
    assert found.values(RATING) == ["4"]


@pytest.mark.parametrize(
    "xmp", [described(BY_PEOPLE), PEOPLE.replace("<?xpacket end", " " * 2000 + "<?xpacket end").encode()]
)
def test_a_sidecar_is_whole_and_has_no_padding(xmp):
    """Exiv2, and so digiKam and darktable, takes nothing else for XMP."""
    data = sidecar(inside(xmp), TAJ)
    assert data.startswith(b"<?xpacket begin=") and data.count(b"<x:xmpmeta ") == 1
    assert b" " * 99 not in data


def test_all_of_a_new_sidecar_is_undone(photo):
    photo.write_bytes(inside(PEOPLE.encode(), with_exif()))
    path = write_sidecar(photo, TAJ)
    assert Packet(path.read_bytes(), "x").values("dc:subject")[:2] == ["famille & amis", "india"]
    assert undo_sidecar(photo) and not path.exists()


def test_what_was_repeated_follows_the_photo(photo):
    photo.write_bytes(inside(described(BY_PEOPLE)))
    path = write_sidecar(photo, TAJ)
    first = path.read_bytes()
    write_sidecar(photo, BARE)
    write_sidecar(photo, TAJ)
    assert path.read_bytes() == first
    photo.write_bytes(inside(described(BY_PEOPLE.replace("4", "5"))))
    write_sidecar(photo, TAJ)
    assert Packet(path.read_bytes(), "x").values(RATING) == ["5"]
    photo.write_bytes(encode(quarters()))
    write_sidecar(photo, TAJ)
    assert path.read_bytes() == sidecar(encode(quarters()), TAJ)


def test_sidecars_of_before_get_what_is_repeated_when_they_are_written_again(photo):
    photo.write_bytes(encode(quarters()))
    path = write_sidecar(photo, TAJ)  # as for a photo that says nothing
    photo.write_bytes(inside(described(BY_PEOPLE)))
    write_sidecar(photo, TAJ)
    assert Packet(path.read_bytes(), "x").values(RATING) == ["4"]


def test_one_that_another_program_wrote_anew_is_begun_again_and_undone(photo):
    """Its head is no longer the one that was written here, but still nobody says anything in it."""
    photo.write_bytes(encode(quarters()))
    path = write_sidecar(photo, TAJ)
    path.write_bytes(path.read_bytes().replace(b"W5M0Mp", b"W5M0M"))
    assert undone(path.read_bytes(), "x") is None
    photo.write_bytes(inside(described(BY_PEOPLE)))
    write_sidecar(photo, TAJ)
    assert Packet(path.read_bytes(), "x").values(RATING) == ["4"]
    assert undo_sidecar(photo) and not path.exists()


@needs_exiftool
def test_a_sidecar_that_another_program_added_to_stays(photo):
    photo.write_bytes(inside(described(BY_PEOPLE)))
    path = write_sidecar(photo, TAJ)
    subprocess.run(["exiftool", "-q", "-overwrite_original", "-XMP-xmp:Rating=2", str(path)], check=True)
    write_sidecar(photo, TAJ)
    assert exiftool(path)["XMP-xmp:Rating"] == 2
    assert undo_sidecar(photo)
    found = exiftool(path, "-XMP:all")
    assert (found["XMP-xmp:Rating"], found["XMP-xmp:Label"]) == (2, "Red")
    assert "XMP-dc:Subject" not in found


def test_a_sidecar_of_another_program_gets_nothing_of_the_photo_but_keywords(photo):
    photo.write_bytes(inside(described(BY_PEOPLE)))
    path = photo.with_name("IMG_1.jpg.xmp")
    path.write_bytes(EMPTY)
    write_sidecar(photo, TAJ)
    assert Packet(path.read_bytes(), "x").values(RATING) == []
    assert undo_sidecar(photo) and path.read_bytes() == EMPTY


@pytest.mark.parametrize("nothing", [b"", bytes(40), codecs.BOM_UTF16_LE])
def test_an_empty_sidecar_is_begun_like_a_new_one_and_comes_back(photo, nothing):
    """Also where the photo says other things when tags are written again."""
    path = photo.with_name("IMG_1.jpg.xmp")
    path.write_bytes(nothing)
    for stars in ("4", "5", ""):
        xmp = described(BY_PEOPLE.replace("4", stars), "<dc:title>Us</dc:title>")
        photo.write_bytes(inside(xmp) if stars else encode(quarters()))
        write_sidecar(photo, TAJ)
        found = Packet(path.read_bytes(), "x")
        assert (found.values(RATING), found.values("dc:title")) == (([stars], ["Us"]) if stars else ([], []))
        assert undone(path.read_bytes(), "x") == nothing
    assert undo_sidecar(photo) and path.read_bytes() == nothing


def test_an_empty_sidecar_does_not_become_larger_than_what_is_read():
    many = described(BY_PEOPLE, "<acdsee:x/>" * (MAX_ELEMENTS - 50))
    new = sidecar(encode(quarters(), "WEBP", xmp=many), TAJ, b"")
    assert Packet(new, "x").values(RATING) == [] and undone(new, "x") == b""


@pytest.mark.parametrize("old", [None, b""])
def test_what_could_not_be_read_again_is_not_written(old):
    words = "".join(f"<rdf:li>{number}</rdf:li>" for number in range(MAX_ELEMENTS - 50))
    xmp = described("", f"<dc:subject><rdf:Bag>{words}</rdf:Bag></dc:subject>")
    photo = encode(quarters(), "WEBP", xmp=xmp)
    with pytest.raises(MetadataError, match=r"^photo has more keywords than a sidecar takes"):
        sidecar(photo, TAJ, old)
