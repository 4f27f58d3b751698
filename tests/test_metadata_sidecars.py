"""Tags into sidecars, read back by exiftool, and out again; what a person wrote stays."""

import dataclasses
import subprocess
import xml.dom.minidom

import pytest
from conftest import encode, quarters
from hypothesis import given, settings
from hypothesis import strategies as st
from metadata_samples import (
    BARE,
    CAMERA,
    FORMS,
    PEOPLE,
    TAJ,
    TAJ_SPOT,
    TAJ_TREE,
    exiftool,
    names,
    needs_exiftool,
    packet,
    undo_sidecar,
    with_exif,
    write_sidecar,
)
from PIL import Image

from src.landmarks.tags import clean
from src.photos import xmp_edit
from src.photos.write_tags import sidecar
from src.photos.xmp import ESTIMATE


@needs_exiftool
def test_a_new_sidecar_read_back(photo):
    before = photo.read_bytes()
    path = write_sidecar(photo, TAJ)
    assert path.name == "IMG_1.jpg.xmp"
    assert photo.read_bytes() == before
    found = exiftool(path)
    assert found["XMP-dc:Subject"] == list(TAJ.keywords)
    assert found["XMP-digiKam:TagsList"] == TAJ_TREE
    assert found["XMP-lr:HierarchicalSubject"] == [path.replace("/", "|") for path in TAJ_TREE]
    assert found["XMP-exif:GPSLatitude"] == pytest.approx(TAJ_SPOT[0], abs=1e-9)
    assert found["XMP-exif:GPSLongitude"] == pytest.approx(TAJ_SPOT[1], abs=1e-9)
    assert found["XMP-exif:GPSProcessingMethod"] == ESTIMATE
    assert found["XMP-exif:GPSHPositioningError"] == 300
    assert (found["XMP-photoshop:City"], found["XMP-photoshop:Country"]) == ("Agra", "India")
    assert found["XMP-dc:Description"] == f"Taj Mahal, Agra, India. {TAJ.notice}"
    assert found["XMP-landmarkTagger:Model"] == "landmark-tagger test"
    assert found["XMP-landmarkTagger:Probability"] == pytest.approx(0.973)
    assert not [key for key in found if key.endswith((":Warning", ":Error"))]
    assert exiftool(path, "-validate")["ExifTool:Validate"] == "0 0 0"


def test_a_sidecar_that_was_not_there_is_gone_after_undo(photo):
    path = write_sidecar(photo, TAJ)
    assert undo_sidecar(photo)
    assert not path.exists()
    assert not undo_sidecar(photo)


@pytest.mark.parametrize("form", FORMS)
def test_a_sidecar_that_was_there_is_added_to_and_comes_back_byte_for_byte(photo, form):
    before = FORMS[form].encode()
    path = photo.with_name("IMG_1.jpg.xmp")
    path.write_bytes(before)
    assert write_sidecar(photo, TAJ) == path
    after = path.read_bytes()
    assert len(after) > len(before)
    assert b"Taj Mahal" in after
    xml.dom.minidom.parseString(after)
    assert undo_sidecar(path)
    assert path.read_bytes() == before


@needs_exiftool
def test_what_a_person_wrote_stays_and_is_not_repeated(photo):
    path = photo.with_name("IMG_1.jpg.xmp")
    path.write_text(PEOPLE, "utf-8")
    write_sidecar(photo, TAJ)
    found = exiftool(path)
    assert found["XMP-dc:Subject"] == ["famille & amis", "india", "Taj Mahal", "Agra", "mausoleum"]
    assert found["XMP-photoshop:City"] == "Paris"
    assert "XMP-photoshop:Country" not in found  # a place is one thing
    assert found["XMP-digiKam:TagsList"] == ["famille & amis", *TAJ_TREE]
    assert found["XMP-rdf:About"] == "uuid:1"


def test_a_description_and_coordinates_of_a_person_stay():
    described = packet(
        '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">Mine</rdf:li></rdf:Alt></dc:description>',
        "<exif:GPSLatitude>48,51.5N</exif:GPSLatitude><exif:GPSLongitude>2,17.7E</exif:GPSLongitude>",
    )
    after = sidecar(encode(quarters()), TAJ, described)
    found = xmp_edit.Packet(after, "x")
    assert found.values("dc:description") == ["Mine"]
    assert found.values("exif:GPSLatitude") == ["48,51.5N"]
    assert found.values("exif:GPSProcessingMethod") == []


def test_a_landmark_without_a_place():
    found = xmp_edit.Packet(sidecar(encode(quarters()), BARE), "x")
    assert found.values("dc:subject") == list(BARE.keywords)
    for key in (
        "photoshop:City",
        "exif:GPSLatitude",
        "exif:GPSProcessingMethod",
        "exif:GPSHPositioningError",
    ):
        assert found.find(key) is None


def test_camera_coordinates_are_not_joined_by_estimates():
    found = xmp_edit.Packet(sidecar(with_exif(CAMERA), TAJ), "x")
    assert found.values("exif:GPSLatitude") == []
    assert found.values("photoshop:City") == ["Agra"]


def test_what_the_photo_says_itself_is_repeated():
    inside = packet(
        "<dc:subject><rdf:Bag><rdf:li>holiday</rdf:li></rdf:Bag></dc:subject>",
        "<photoshop:Country>Indien</photoshop:Country>",
    )
    exif = Image.Exif()
    exif[0x010E] = "Grandma"
    found = xmp_edit.Packet(sidecar(encode(quarters(), xmp=inside, exif=exif), TAJ), "x")
    assert found.values("dc:subject") == ["holiday", *TAJ.keywords]
    assert (found.values("photoshop:City"), found.values("dc:description")) == ([], ["Grandma"])


def test_blank_descriptions_of_cameras_do_not_count():
    exif = Image.Exif()
    exif[0x010E] = "          "
    found = xmp_edit.Packet(sidecar(encode(quarters(), exif=exif), TAJ), "x")
    assert found.values("dc:description")[0].startswith("Taj Mahal")


@needs_exiftool
def test_undo_of_a_sidecar_that_exiftool_changed(photo):
    path = photo.with_name("IMG_1.jpg.xmp")
    path.write_text(PEOPLE, "utf-8")
    write_sidecar(photo, TAJ)
    change = ["-XMP-dc:Subject+=mine", "-XMP-xmp:Rating=4", "-XMP-photoshop:Country=France"]
    subprocess.run(["exiftool", "-q", "-overwrite_original", *change, str(path)], check=True)
    assert undo_sidecar(photo)
    found = exiftool(path, "-XMP:all")
    assert found.pop("SourceFile")
    assert found.pop("XMP-x:XMPToolkit")
    assert found == {
        "XMP-rdf:About": "uuid:1",
        "XMP-dc:Subject": ["famille & amis", "india", "mine"],
        "XMP-photoshop:City": "Paris",
        "XMP-photoshop:Country": "France",
        "XMP-xmp:Rating": 4,
    }


@pytest.mark.parametrize("form", ["by exiftool", "one line", "nothing said"])
def test_undo_of_a_sidecar_that_exiv2_rewrote_with_attributes(form):
    before = FORMS[form].encode()
    image = read_by_exiv2(sidecar(encode(quarters()), TAJ, before))
    image.writeXmpFromPacket(False)
    rewritten = image.xmpPacket().encode()
    assert b'landmarkTagger:Landmark="Taj Mahal"' in rewritten
    said = {datum.key(): datum.toString() for datum in read_by_exiv2(before).xmpData()}
    left = read_by_exiv2(xmp_edit.remove(rewritten, "x")).xmpData()
    assert {datum.key(): datum.toString() for datum in left} == said


def read_by_exiv2(data: bytes):
    exiv2 = pytest.importorskip("exiv2")
    image = exiv2.ImageFactory.open(encode(quarters()))
    image.setXmpPacket(data.decode("utf-8-sig"))
    return image


def test_what_a_person_changed_in_a_new_sidecar_outlasts_undo(photo):
    path = write_sidecar(photo, TAJ)
    text = path.read_text("utf-8")
    text = text.replace("<photoshop:City>Agra<", "<photoshop:City>Delhi<")
    path.write_text(text.replace("<rdf:li>Agra</rdf:li>", "<rdf:li>Us</rdf:li>"), "utf-8")
    undo_sidecar(photo)
    found = xmp_edit.Packet(path.read_bytes(), "x")
    assert found.values("photoshop:City") == ["Delhi"]
    assert found.values("dc:subject") == ["Us"]
    assert b"Taj" not in path.read_bytes() and b"<landmarkTagger" not in path.read_bytes()


def test_written_again_nothing_changes_and_written_anew_nothing_old_stays(photo):
    first = write_sidecar(photo, TAJ).read_bytes()
    assert write_sidecar(photo, TAJ).read_bytes() == first
    fewer = write_sidecar(photo, TAJ.without("Agra", "mausoleum")).read_bytes()
    assert b"Agra" not in fewer.replace(b"Taj Mahal, Agra, India", b"") and b"mausoleum" not in fewer
    undo_sidecar(photo)
    assert names(photo.parent) == ["IMG_1.jpg"]


def test_permissions_and_links_of_a_sidecar_stay(photo):
    real = photo.with_name("elsewhere.xmp")
    real.write_text(PEOPLE, "utf-8")
    real.chmod(0o640)
    link = photo.with_name("IMG_1.jpg.xmp")
    link.symlink_to(real)
    write_sidecar(photo, TAJ)
    assert link.is_symlink()
    assert b"Taj Mahal" in real.read_bytes()
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_sidecar_that_was_made_through_a_link_is_gone_after_undo_and_the_link_stays(photo, tmp_path):
    """The link was deleted, and the tags stayed where it had led."""
    real = tmp_path / "sidecars" / "elsewhere.xmp"
    real.parent.mkdir()
    link = photo.with_name("IMG_1.jpg.xmp")
    link.symlink_to(real)
    write_sidecar(photo, TAJ)
    assert b"Taj Mahal" in real.read_bytes()
    assert undo_sidecar(link)
    assert list(real.parent.iterdir()) == []
    assert link.is_symlink() and link.readlink() == real


words = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(FORMS)), st.lists(words, max_size=4), words, st.lists(words, max_size=4))
def test_any_words_come_through_and_out_again(form, keywords, text, more):
    tags = dataclasses.replace(TAJ, keywords=tuple(keywords), city=text, caption=text, model=text)
    photo, before = encode(quarters(32, 32)), FORMS[form].encode()
    after = sidecar(photo, tags, before)
    again = sidecar(photo, dataclasses.replace(tags, keywords=tuple(more)), after)
    assert xmp_edit.remove(after, "x") == xmp_edit.remove(again, "x") == before
    if form != "single value":
        there = {word.casefold() for word in xmp_edit.Packet(after, "x").values("dc:subject")}
        assert {clean(word).casefold() for word in keywords} - {""} <= there
