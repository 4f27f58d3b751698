"""Sidecars as other programs leave them: empty properties, odd encodings, and which is whose."""

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
    names,
    needs_exiftool,
    packet,
    undo_sidecar,
    write_sidecar,
)
from tag_library import run

from src.photos import xmp_edit
from src.photos.decode import open_photo
from src.photos.errors import MetadataError
from src.photos.packet import Packet
from src.photos.read_metadata import said_by
from src.photos.sidecar_names import NAMINGS, find_sidecar
from src.photos.write_tags import embed, sidecar
from src.photos.write_tags import write_sidecar as write_into
from src.photos.xmp import read_properties

pytest_plugins = ("tag_fixtures",)

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


# ---- Which is whose --------------------------------------------------------------------------------------


def folder_of(photo, *others):
    for name in others:
        path = photo.with_name(name)
        path.write_text(PEOPLE, "utf-8") if path.suffix == ".xmp" else path.touch()


@pytest.mark.parametrize(
    ("others", "auto", "stem"),
    [
        ([], "IMG_1.jpg.xmp", "IMG_1.xmp"),
        (["IMG_1.xmp"], "IMG_1.xmp", "IMG_1.xmp"),
        (["IMG_1.XMP"], "IMG_1.XMP", "IMG_1.XMP"),
        (["IMG_1.jpg.xmp", "IMG_1.xmp"], "IMG_1.jpg.xmp", "IMG_1.xmp"),
        (["IMG_1.xmp", "IMG_1.mov"], "IMG_1.xmp", "IMG_1.xmp"),  # a Live Photo, as Apple's Photos exports it
        (["IMG_1.mov"], "IMG_1.jpg.xmp", "IMG_1.xmp"),
        (["IMG_1.xmp", "IMG_1.mov", "IMG_1.mov.xmp"], "IMG_1.xmp", "IMG_1.xmp"),
        (["IMG_1.xmp", "IMG_1.mov", "IMG_1.heic"], "IMG_1.jpg.xmp", "IMG_1.jpg.xmp"),
        (["IMG_1.xmp", "IMG_1.CR2"], "IMG_1.jpg.xmp", "IMG_1.jpg.xmp"),  # the raw photo's
        (["IMG_1.xmp", "IMG_1.png"], "IMG_1.jpg.xmp", "IMG_1.jpg.xmp"),  # nobody knows
        (["IMG_1.xmp", "IMG_1.JPG"], "IMG_1.jpg.xmp", "IMG_1.jpg.xmp"),
        (["IMG_1.xmp", "IMG_1.txt", "IMG_2.png"], "IMG_1.xmp", "IMG_1.xmp"),
    ],
)
def test_the_sidecar_of_a_photo(photo, others, auto, stem):
    """osxphotos 210, darktable 13224, immich-go 125."""
    folder_of(photo, *others)
    found = {naming: find_sidecar(photo, naming).name for naming in NAMINGS}
    assert found == {"auto": auto, "ext": "IMG_1.jpg.xmp", "stem": stem}


def test_for_adobe_the_sidecar_is_that_of_the_raw_photo(photo):
    folder_of(photo, "IMG_1.CR2", "IMG_1.xmp")
    assert find_sidecar(photo.with_suffix(".CR2"), "stem").name == "IMG_1.xmp"
    assert find_sidecar(photo.with_suffix(".CR2"), "auto").name == "IMG_1.CR2.xmp"


def test_the_sidecar_of_a_live_photo_from_apple_takes_the_tags_and_is_had_back(photo):
    """One for both files, as Photos writes it: keywords in a Seq, texts without language (osxphotos 210)."""
    apple = packet(
        "<dc:subject><rdf:Seq><rdf:li>holiday</rdf:li></rdf:Seq></dc:subject>"
        "<dc:description>We two</dc:description>"
        "<photoshop:DateCreated>2020-04-11T12:34:56Z</photoshop:DateCreated>"
    )
    shared = photo.with_suffix(".xmp")
    shared.write_bytes(apple)
    photo.with_suffix(".mov").touch()
    assert find_sidecar(photo) == shared
    write_into(photo, shared, TAJ)
    said = Packet(shared.read_bytes(), "x")
    assert said.values("dc:subject")[:2] == ["holiday", "Taj Mahal"]
    assert said.values("dc:description") == ["We two"]
    assert undo_sidecar(shared) and shared.read_bytes() == apple


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize(("extension", "mine"), [("JPG", True), ("mov", False)])
def test_what_a_sidecar_says_that_it_is_for_counts(photo, naming, extension, mine):
    folder_of(photo, "IMG_1.mov")
    shared = photo.with_suffix(".xmp")
    shared.write_bytes(packet(f"<photoshop:SidecarForExtension>{extension}</photoshop:SidecarForExtension>"))
    assert (find_sidecar(photo, naming) == shared) is (mine and naming != "ext")


def test_of_two_spellings_of_an_ending_a_sidecar_is_for_the_one_that_it_names(photo):
    """Both were tagged in the same file, so one photo lost its tags to the other's."""
    folder_of(photo, "IMG_1.JPG", "IMG_1.Jpg")
    shared = photo.with_suffix(".xmp")
    for extension, owner in (("jpg", ".jpg"), ("JPG", ".JPG"), ("jpG", "")):
        shared.write_bytes(
            packet(f"<photoshop:SidecarForExtension>{extension}</photoshop:SidecarForExtension>")
        )
        for naming in ("auto", "stem"):
            beside = (photo.with_suffix(suffix) for suffix in (".jpg", ".JPG", ".Jpg"))
            owners = [one.suffix for one in beside if find_sidecar(one, naming) == shared]
            assert owners == [owner] * bool(owner)


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("name", ["IMG_1.CR2", "IMG_1.jpg"])
def test_a_converted_photo_does_not_take_the_sidecar_of_its_original(photo, naming, there, name):
    """IMG_1.CR2.jpg, as PhotoPrism and others call it, took darktable's IMG_1.CR2.xmp and its tags."""
    converted = photo.with_name(f"{name}.jpg")
    folder_of(photo, name, converted.name, *([f"{name}.xmp"] if there else []))
    assert find_sidecar(converted, naming).name == f"{name}.jpg.xmp"
    photo.with_name(name).unlink()
    assert find_sidecar(converted, "stem").name == f"{name}.xmp"


def test_a_new_sidecar_by_the_stem_says_what_it_is_for_and_is_gone_after_undo(photo):
    path = find_sidecar(photo, "stem")
    write_into(photo, path, TAJ)
    assert Packet(path.read_bytes(), "x").values("photoshop:SidecarForExtension") == ["jpg"]
    folder_of(photo, "IMG_1.mov", "IMG_1.png")
    assert find_sidecar(photo) == path  # a later run finds it again
    first = path.read_bytes()
    write_into(photo, path, TAJ)
    assert path.read_bytes() == first
    undo_sidecar(path)
    assert names(photo.parent) == ["IMG_1.jpg", "IMG_1.mov", "IMG_1.png"]


def test_the_command_takes_the_name_of_sidecars(library, capsys):
    before = {path: path.read_bytes() for path in library.rglob("*.*")}
    assert run(library, "--write", "sidecar", "--sidecar-name", "stem") == 0
    assert {path.name for path in library.rglob("*.xmp")} == {"a.xmp", "b.xmp"}
    assert run(library, "--undo") == 0
    assert {path: path.read_bytes() for path in library.rglob("*.*")} == before
    for arguments in (["--sidecar-name", "ext"], ["--drop-c2pa"], ["--write", "sidecar", "--drop-c2pa"]):
        assert run(library, *arguments) == 2
        assert "goes with --write" in capsys.readouterr().err


def test_the_command_says_what_to_do_about_content_credentials(library, tmp_path, capsys):
    from photo_parts import behind_start, c2pa

    photo = library / "a.jpg"
    photo.write_bytes(behind_start(photo.read_bytes(), *c2pa(b"signed " * 9)))
    arguments = ["--write", "copy", "--to", tmp_path / "copies"]
    assert run(library, *arguments) == 1
    assert "a.jpg holds Content Credentials (C2PA)" in capsys.readouterr().out
    assert run(library, *arguments, "--drop-c2pa") == 0
    assert b"signed" not in (tmp_path / "copies" / "a.jpg").read_bytes()
