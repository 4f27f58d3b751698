"""Sidecars as other programs leave them: empty properties and odd encodings."""

import base64
import codecs
import re
import zlib

import pytest
from conftest import encode, quarters
from metadata_samples import (
    FORMS,
    PEOPLE,
    TAJ,
    exiftool,
    needs_exiftool,
    packet,
    undo_sidecar,
    write_sidecar,
)

from src.photos import xmp_edit
from src.photos.decode import open_photo
from src.photos.errors import MetadataError
from src.photos.packet import Packet
from src.photos.read_metadata import said_by
from src.photos.write_tags import embed, sidecar
from src.photos.xmp import read_properties

TWICE = codecs.BOM_UTF8.decode("latin-1").encode()


# ---- What is empty is nobody's ---------------------------------------------------------------------------

EMPTY_ONES = {
    "element": "<dc:description/>",
    "element, open": "<dc:description></dc:description>",
    "white space": "<dc:description>\n  </dc:description>",
    "Alt": "<dc:description><rdf:Alt/></dc:description>",
    "Alt with an empty li": "<dc:description><rdf:Alt><rdf:li xml:lang='x-default'/></rdf:Alt>"
    "</dc:description>",
    "Alt with an open li": "<dc:description>\n <rdf:Alt>\n  <rdf:li xml:lang='x-default'></rdf:li>\n"
    " </rdf:Alt>\n</dc:description>",
    "place": "<photoshop:City/><photoshop:Country></photoshop:Country>",
    "list": "<dc:subject><rdf:Bag><rdf:li></rdf:li></rdf:Bag></dc:subject><digiKam:TagsList/>",
    "coordinates": "<exif:GPSLatitude/><exif:GPSLongitude> </exif:GPSLongitude>",
}


@needs_exiftool
@pytest.mark.parametrize("kind", EMPTY_ONES)
def test_what_is_empty_is_filled_and_comes_back_byte_for_byte(photo, kind):
    """osxphotos 350."""
    path = photo.with_name("IMG_1.jpg.xmp")
    path.write_bytes(before := packet("<dc:source>mine</dc:source>", EMPTY_ONES[kind]))
    write_sidecar(photo, TAJ)
    found = Packet(path.read_bytes(), "x")
    assert found.values("dc:description") == [f"Taj Mahal, Agra, India. {TAJ.notice}"]
    assert found.values("photoshop:City") == ["Agra"]
    assert [word for word in found.values("dc:subject") if word] == list(TAJ.keywords)
    assert found.values("exif:GPSLatitude") == ["27,10.5N"]
    read = exiftool(path)
    assert read["XMP-dc:Description"].startswith("Taj Mahal") and read["XMP-photoshop:Country"] == "India"
    assert not [key for key in read if key.endswith((":Warning", ":Error"))]
    assert undo_sidecar(photo)
    assert path.read_bytes() == before


def test_empty_attributes_are_filled_and_come_back(photo):
    before = FORMS["attributes"].replace(
        'xmp:Rating="5"',
        'xmp:Rating="5" photoshop:City="" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
        'dc:subject=" "',
    )
    path = photo.with_name("IMG_1.jpg.xmp")
    path.write_text(before, "utf-8")
    write_sidecar(photo, TAJ)
    found = Packet(path.read_bytes(), "x")
    assert found.values("photoshop:City") == ["Agra"] and found.values("dc:subject") == list(TAJ.keywords)
    undo_sidecar(photo)
    assert path.read_text("utf-8") == before


@pytest.mark.parametrize(
    "said",
    [
        "<dc:description>Mine</dc:description>",
        "<dc:description><rdf:Alt><rdf:li xml:lang='x-default'/><rdf:li xml:lang='fr'>Moi</rdf:li></rdf:Alt>"
        "</dc:description>",
        "<dc:description rdf:resource='http://example.org'/>",
    ],
)
def test_what_says_something_in_any_language_stays(said):
    found = sidecar(encode(quarters()), TAJ, packet(said))
    assert said.encode() in found and b"Predicted by" not in found.replace(b"Notice>Predicted by", b"")


def test_what_a_person_changed_since_outlasts_the_former_bytes(photo):
    path = photo.with_name("IMG_1.jpg.xmp")
    path.write_bytes(packet("<dc:source>mine</dc:source>", EMPTY_ONES["Alt with an empty li"]))
    write_sidecar(photo, TAJ)
    path.write_bytes(path.read_bytes().replace(b">mine<", b">ours<"))
    undo_sidecar(photo)
    assert Packet(path.read_bytes(), "x").values("dc:source") == ["ours"]
    assert b"Taj" not in path.read_bytes()


@pytest.mark.parametrize("mark", [b"", b"nonsense", b"%s:nonsense", b"%s:" + base64.b64encode(b"nonsense")])
def test_former_bytes_that_were_damaged_are_not_put_back(mark):
    before = packet(EMPTY_ONES["element"])
    after = sidecar(encode(quarters()), TAJ, before)
    rest = xmp_edit.remove(after, "x")
    mark = mark % xmp_edit.digest(rest).encode() if b"%s" in mark else mark
    damaged = re.sub(rb"(Former>)[^<]*", lambda match: match[1] + mark, after)
    assert damaged != after and xmp_edit.former(damaged, "x") == rest


@pytest.mark.parametrize("text", ['x="1">', "b = 'c' >", "d='e'/>"])
def test_text_like_an_attribute_is_no_part_of_a_start_tag(text):
    found = Packet(packet(f"<dc:title ><rdf:Alt><rdf:li >{text}</rdf:li></rdf:Alt></dc:title>"), "x")
    [entry] = found.find("dc:title").children[0].children
    assert found.data[entry.inner : entry.close].decode() == entry.text == text


def test_what_could_not_be_put_back_is_not_written(monkeypatch):
    monkeypatch.setattr(xmp_edit, "MAX_FORMER", 100)
    with pytest.raises(MetadataError, match=r"^a\.xmp has a form that cannot be added to; move it away"):
        sidecar(encode(quarters()), TAJ, packet(EMPTY_ONES["element"]), old_name="a.xmp")


def test_former_bytes_have_a_limit():
    after = sidecar(encode(quarters()), TAJ, packet(EMPTY_ONES["element"]))
    rest = xmp_edit.digest(xmp_edit.remove(after, "x"))
    bomb = f"{rest}:{base64.b64encode(zlib.compress(bytes(50_000_000))).decode()}".encode()
    damaged = re.sub(rb"(Former>)[^<]*", lambda match: match[1] + bomb, after)
    assert len(xmp_edit.former(damaged, "x")) <= xmp_edit.MAX_FORMER


# ---- Encodings -------------------------------------------------------------------------------------------

DECLARED = '<?xml version="1.0" encoding="UTF-16"?>\n' + PEOPLE
ODD = {
    "UTF-16, little": codecs.BOM_UTF16_LE + PEOPLE.encode("utf-16-le"),
    "UTF-16, big": codecs.BOM_UTF16_BE + PEOPLE.encode("utf-16-be"),
    "UTF-16, declared": codecs.BOM_UTF16_LE + DECLARED.encode("utf-16-le"),
    "UTF-16, zeros behind": codecs.BOM_UTF16_LE + PEOPLE.encode("utf-16-le") + b"\0" * 3,
    "UTF-32": codecs.BOM_UTF32_LE + PEOPLE.encode("utf-32-le"),
    "zeros behind": PEOPLE.encode() + b"\0" * 100,
    "mark twice": TWICE + PEOPLE.encode(),
    "mark twice and once": TWICE + codecs.BOM_UTF8 + PEOPLE.encode(),
    "mark": codecs.BOM_UTF8 + PEOPLE.encode(),
    "form": FORMS["empty list"].replace("<rdf:Bag />", "<rdf:Bag></rdf:Bag>").encode(),
}


@needs_exiftool
@pytest.mark.parametrize("kind", ODD)
def test_odd_encodings_are_read_and_come_back_byte_for_byte(photo, kind):
    """xmp-core-dotnet 35 and 36, exiftool 348."""
    path = photo.with_name("IMG_1.jpg.xmp")
    path.write_bytes(before := ODD[kind])
    write_sidecar(photo, TAJ)
    found = exiftool(path)
    theirs = ["famille & amis", "india"] if "form" not in kind else []
    assert found["XMP-dc:Subject"] == theirs + [w for w in TAJ.keywords if w.lower() not in theirs]
    assert not [key for key in found if key.endswith(":Error")]
    first = path.read_bytes()
    write_sidecar(photo, TAJ)
    assert path.read_bytes() == first  # again: nothing new
    assert undo_sidecar(photo)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", [kind for kind in ODD if "form" not in kind])
def test_xmp_in_odd_encodings_inside_a_photo_is_read(kind):
    theirs = ["famille & amis", "india"]
    assert read_properties(ODD[kind], ("dc:subject",)) == {"dc:subject": theirs}
    photo = encode(quarters(), xmp=ODD[kind])
    assert said_by(open_photo(photo))["dc:subject"] == theirs
    assert Packet(open_photo(embed(photo, TAJ)).xmp, "x").values("dc:subject")[:2] == theirs


@pytest.mark.parametrize("empty", [b"", b"\0" * 9])
def test_an_empty_sidecar_is_an_absent_one(photo, empty):
    path = photo.with_name("IMG_1.jpg.xmp")
    path.write_bytes(empty)
    assert not undo_sidecar(photo)
    write_sidecar(photo, TAJ)
    first = path.read_bytes()
    assert Packet(first, "x").values("dc:subject") == list(TAJ.keywords)
    write_sidecar(photo, TAJ)
    assert path.read_bytes() == first
    assert undo_sidecar(photo)
    assert path.read_bytes() == empty
