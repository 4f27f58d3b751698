"""A new sidecar begins with what people wrote into the photo: some programs read nothing else beside it."""

import codecs
import dataclasses
import struct
import subprocess

import pytest
from conftest import encode, quarters
from metadata_samples import (
    BARE,
    CAMERA,
    PEOPLE,
    RDF,
    TAJ,
    TAJ_TREE,
    exiftool,
    needs_exiftool,
    undo_sidecar,
    with_exif,
    write_sidecar,
)
from photo_parts import behind_start, iptc, photoshop, xmp_segment
from PIL import Image

from src.photos.decode import open_photo
from src.photos.errors import MetadataError
from src.photos.packet import Packet
from src.photos.read_metadata import said_by
from src.photos.write_tags import embed, sidecar, undone
from src.photos.xmp import MAX_ELEMENTS
from src.photos.xmp_edit import EMPTY

NAMES = """xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
 xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:acdsee="http://ns.acdsee.com/iptc/1.0/" """
RATING, LABEL = (f"http://ns.adobe.com/xap/1.0/:{name}" for name in ("Rating", "Label"))
TIFF = "http://ns.adobe.com/tiff/1.0/"
TIMES = "<exif:DateTimeOriginal>2001-02-03T04:05:06</exif:DateTimeOriginal>"
SPOT = "<exif:GPSLatitude>13,9.798S</exif:GPSLatitude><exif:GPSLongitude>72,32.736W</exif:GPSLongitude>"
BY_PROGRAMS = 'tiff:Orientation="6" crs:Exposure="1" xmpNote:HasExtendedXMP="0A" xmp:CreatorTool="Camera"'
BY_PEOPLE = 'xmp:Rating="4" xmp:Label="Red"'


def described(attributes: str = "", *elements: str) -> bytes:
    text = "".join(elements)
    return f"<rdf:RDF {RDF}><rdf:Description {NAMES}{attributes}>{text}</rdf:Description></rdf:RDF>".encode()


def text_in(key: str, text: str) -> bytes:
    """A packet with a text in one language."""
    return described("", f'<{key}><rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt></{key}>')


def begun(photo: bytes, tags=BARE) -> Packet:
    return Packet(sidecar(photo, tags), "x")


def inside(xmp: bytes, photo: bytes | None = None) -> bytes:
    return behind_start(photo or encode(quarters()), xmp_segment(xmp))


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
    block = iptc() + b"".join(
        b"\x1c\x02" + bytes([number, 0, len(text)]) + text.encode() for number, text in texts.items()
    )
    photo = behind_start(inside(text_in("dc:title", "Them")), photoshop((0x0404, block)))
    found = begun(photo, TAJ)
    keys = ("dc:title", "dc:creator", "dc:rights", "photoshop:State", "photoshop:Headline")
    assert [found.values(key) for key in keys] == [["Them"], ["Ann"], ["hers"], ["Bayern"], ["News"]]
    keys = ("dc:description", "photoshop:City", "photoshop:Country")
    assert [found.values(key) for key in keys] == [["by hand"], ["Ulm"], ["DE"]]


def in_iptc(charset: bytes, **texts: bytes) -> bytes:
    """A block with these, by number ("n25")."""
    sets = b"".join(
        b"\x1c\2" + bytes([int(number[1:]), 0, len(text)]) + text for number, text in texts.items()
    )
    return photoshop((0x0404, iptc(charset=charset) + sets))


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
    exif = Image.Exif()
    exif[0x010E] = text
    assert begun(encode(quarters(), exif=exif), TAJ).values("dc:description") == [read]


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


def copied(new: bytes, theirs: str = "") -> bytes:
    """A sidecar after a program wrote caption and keywords again in other places, as digiKam does."""

    def entries(kind: str, *values: str) -> str:
        return f"<rdf:{kind}>{''.join(f'<rdf:li>{value}</rdf:li>' for value in values if value)}</rdf:{kind}>"

    tree, caption = TAJ_TREE, f"{TAJ.caption}. {TAJ.notice}"
    more = (
        f'<rdf:Description rdf:about="" {NAMES} xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/1.0/"'
        ' xmlns:mediapro="http://ns.iview-multimedia.com/mediapro/1.0/">'
        f"<exif:UserComment>{entries('Alt', caption)}</exif:UserComment>"
        f"<acdsee:notes>{caption}</acdsee:notes>"
        f"<tiff:ImageDescription>{entries('Alt', caption, theirs)}</tiff:ImageDescription>"
        f"<MicrosoftPhoto:LastKeywordXMP>{entries('Bag', theirs, *tree)}</MicrosoftPhoto:LastKeywordXMP>"
        f"<mediapro:CatalogSets>{entries('Bag', *(path.replace('/', '|') for path in tree))}"
        "</mediapro:CatalogSets></rdf:Description></rdf:RDF>"
    )
    return new.replace(b"</rdf:RDF>", more.encode())


@pytest.mark.parametrize("old", [None, b"", EMPTY])
def test_what_programs_copied_of_our_tags_goes_with_them(old):
    changed = copied(sidecar(encode(quarters()), TAJ, old))
    left = undone(changed, "x")
    assert left is None if old is None else Packet(left, "x").empty
    other = dataclasses.replace(TAJ, landmark="Agra Fort", keywords=("Agra Fort",), caption="Agra Fort")
    again = sidecar(encode(quarters()), other, changed)
    assert TAJ.caption.encode() not in again
    assert Packet(again, "x").values("dc:description") == [f"Agra Fort. {TAJ.notice}"]


def test_what_a_person_wrote_beside_such_copies_stays():
    left = Packet(undone(copied(sidecar(encode(quarters()), TAJ), "by hand"), "x"), "x")
    for key in (f"{TIFF}:ImageDescription", "http://ns.microsoft.com/photo/1.0/:LastKeywordXMP"):
        assert left.values(key) == ["by hand"]
    assert left.values("exif:UserComment") == []


def test_our_caption_that_was_copied_in_a_photo_is_no_persons():
    photo = inside(copied(open_photo(embed(encode(quarters()), TAJ)).xmp))
    assert not any(said_by(open_photo(photo))["dc:description"])


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


def comment(value: bytes) -> bytes:
    """A photo with this in EXIF's UserComment."""
    main = b"II*\0" + struct.pack("<LHHHLLL", 8, 1, 0x8769, 4, 1, 26, 0)
    value = value.ljust(8, b"\0")
    block = main + struct.pack("<HHHLLL", 1, 0x9286, 7, len(value), 44, 0) + value
    return encode(quarters(), exif=b"Exif\0\0" + block)


CAPTIONED = {
    "EXIF": comment(b"ASCII\0\0\0by hand\0\0"),
    "EXIF, undefined": comment(bytes(8) + "Fête".encode()),
    "EXIF, little": comment(b"UNICODE\0" + "by hand".encode("utf-16-le")),
    "EXIF, big": comment(b"UNICODE\0" + "by hand".encode("utf-16-be")),
    "EXIF, marked": comment(b"UNICODE\0" + "by hand".encode("utf-16")),
    "exif": inside(text_in("exif:UserComment", "by hand")),
    "tiff": inside(text_in("tiff:ImageDescription", "by hand")),
    "acdsee": inside(described("", "<acdsee:notes>by hand</acdsee:notes>")),
}


@pytest.mark.parametrize("where", CAPTIONED)
def test_captions_in_other_places_stay_the_only_ones(where):
    """DigiKam shows dc:description before all of them: ours would hide what a person wrote."""
    photo, theirs = CAPTIONED[where], "Fête" if "undefined" in where else "by hand"
    assert Packet(open_photo(embed(photo, TAJ)).xmp, "x").values("dc:description") == []
    found = begun(photo, TAJ)
    assert found.values("dc:description") == [theirs]
    assert Packet(sidecar(photo, TAJ, EMPTY), "x").values("dc:description") == []


BY_CAMERAS = [
    *("OLYMPUS DIGITAL CAMERA         ", "SONY DSC", "KONICA MINOLTA DIGITAL CAMERA", "Minolta DSC"),
    *(
        "SAMSUNG",
        "Exif_JPEG_PICTURE",
        "default",
        "DCIM\\100MEDIA\\DJI_0001.JPG",
        "DCIM/100GOPRO/G1.JPG",
        "rhdr",
        "  ",
    ),
]


def described_in_exif(text: str) -> bytes:
    exif = Image.Exif()
    exif[0x010E] = text
    return encode(quarters(), exif=exif)


@pytest.mark.parametrize("text", BY_CAMERAS)
def test_what_cameras_write_as_a_caption_is_none(text):
    """PhotoPrism and KPhotoAlbum pass over the same words."""
    for photo in (
        described_in_exif(text),
        behind_start(encode(quarters()), in_iptc(b"", n120=text.encode())),
        inside(text_in("dc:description", text)),
        inside(described(f'tiff:ImageDescription="{text}"')),
    ):
        for xmp in (sidecar(photo, TAJ), open_photo(embed(photo, TAJ)).xmp):
            assert Packet(xmp, "x").values("dc:description") == [f"{TAJ.caption}. {TAJ.notice}"]
        untagged = undone(sidecar(photo, TAJ), "x")
        assert untagged is None
    for old in (text_in("dc:description", text), described(f'tiff:ImageDescription="{text}"')):
        new = sidecar(encode(quarters()), TAJ, old)
        assert Packet(new, "x").values("dc:description") == [f"{TAJ.caption}. {TAJ.notice}"]
        assert undone(new, "x") == old


@pytest.mark.parametrize("text", ["Olympus digital camera of mine", "Mon", "DCIM and what I found there"])
def test_what_people_write_of_cameras_is_a_caption(text):
    photo = described_in_exif(text)
    assert begun(photo, TAJ).values("dc:description") == [text]
    assert Packet(open_photo(embed(photo, TAJ)).xmp, "x").values("dc:description") == []


def test_a_camera_in_the_xmp_does_not_hide_what_a_person_wrote_into_the_iptc():
    photo = behind_start(inside(text_in("dc:description", "SONY DSC")), in_iptc(b"", n120=b"by hand"))
    found = begun(photo, TAJ)
    assert found.values("dc:description") == ["by hand"]


@pytest.mark.parametrize(
    "value", [b"ASCII\0\0\0" + bytes(40), b"ASCII\0\0\0   ", bytes(64), b"\xff" * 40, b"JIS\0\0\0\0\0x", b""]
)
def test_comments_that_say_nothing_are_no_captions(value):
    photo = comment(value)
    assert not any(said_by(open_photo(photo))["dc:description"])
    assert Packet(open_photo(embed(photo, TAJ)).xmp, "x").values("dc:description") != []


@pytest.mark.parametrize("where", ["exif:UserComment", "tiff:ImageDescription"])
def test_captions_of_a_sidecar_in_other_places_stay_the_only_ones(where):
    found = Packet(sidecar(encode(quarters()), TAJ, text_in(where, "by hand")), "x")
    assert found.values("dc:description") == []
