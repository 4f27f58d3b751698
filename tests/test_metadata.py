"""Tags into sidecars and copies, read back by exiftool, and out again."""

import dataclasses
import errno
import io
import json
import os
import shutil
import subprocess
import sys
import xml.dom.minidom
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from conftest import encode, quarters
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, TiffImagePlugin

from src import metadata, xmp
from src import photo_files as files
from src.metadata import (
    embed,
    find_sidecar,
    sidecar,
    undo_copy,
    undo_sidecar,
    write_copy,
    write_sidecar,
)
from src.photo_metadata import read_gps, read_time, strip_metadata
from src.tagging import Tags, clean
from src.xmp import ESTIMATE, MetadataError

needs_exiftool = pytest.mark.skipif(
    shutil.which("exiftool") is None, reason="exiftool is missing (Debian: libimage-exiftool-perl)"
)
SAMPLES = Path(os.environ.get("LANDMARK_IMAGES", "nowhere")).parent / "exif_samples"
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="no exif_samples beside the folder that LANDMARK_IMAGES names"
)

TAJ = Tags(
    landmark="Taj Mahal",
    keywords=("Taj Mahal", "Agra", "India", "mausoleum"),
    paths=("Places/India/Agra/Taj Mahal", "Landmarks/Taj Mahal"),
    hashtags=("#TajMahal",),
    caption="Taj Mahal, Agra, India",
    city="Agra",
    country="India",
    latitude=27.1751,
    longitude=78.0421,
    radius_m=300.0,
    model="landmark-tagger test",
    probability=0.973,
)
BARE = dataclasses.replace(TAJ, city="", country="", latitude=None, longitude=None, radius_m=None)

RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
DC = 'xmlns:dc="http://purl.org/dc/elements/1.1/"'
PEOPLE = f"""<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>
<x:xmpmeta xmlns:x='adobe:ns:meta/' x:xmptk='Image::ExifTool 12.57'>
<rdf:RDF {RDF}>

 <!-- by hand -->
 <rdf:Description rdf:about='uuid:1'
  {DC}>
  <dc:subject>
   <rdf:Bag>
    <rdf:li>famille &amp; amis</rdf:li>
    <rdf:li>india</rdf:li>
   </rdf:Bag>
  </dc:subject>
 </rdf:Description>
 <rdf:Description rdf:about='uuid:1' xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/'>
  <photoshop:City>Paris</photoshop:City>
 </rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end='w'?>"""
FORMS = {
    "by exiftool": PEOPLE,
    "Windows lines": PEOPLE.replace("\n", "\r\n"),
    "one line": "".join(line.strip() + " " for line in PEOPLE.splitlines()),
    "attributes": f'<r:RDF {RDF.replace(":rdf", ":r")}><r:Description r:about="" {DC} '
    'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5" xmp:Label=\'a "b" &gt; c>\'/></r:RDF>',
    "empty list": f"<rdf:RDF {RDF}><rdf:Description {DC}><dc:subject><rdf:Bag /></dc:subject>"
    "</rdf:Description></rdf:RDF>",
    "empty list with space": f"<rdf:RDF {RDF}><rdf:Description {DC}><dc:subject><rdf:Bag> \n </rdf:Bag>"
    "</dc:subject></rdf:Description></rdf:RDF>",
    "nothing said": f'<rdf:RDF {RDF}><rdf:Description rdf:about=""/></rdf:RDF>',
    "no description": f"<rdf:RDF {RDF}/>",
    "default namespace": f'<RDF xmlns="{xmp.NAMESPACES["rdf"]}"><Description {DC}><dc:subject><Seq>'
    "<li>x</li></Seq></dc:subject></Description></RDF>",
    "byte order mark": "\ufeff<?xml version='1.0' encoding='utf-8'?>" + PEOPLE,
    "single value": f'<rdf:RDF {RDF}><rdf:Description {DC} dc:subject="x"/></rdf:RDF>',
    "Apple": f"<x:xml_doc xmlns:x='adobe:ns:meta/'><rdf:RDF {RDF}>\n</rdf:RDF></x:xml_doc>",
}


def exiftool(path: Path, *options: str) -> dict:
    """All that exiftool reads of a file, by group and name."""
    return exiftool_all(path, *options)[0]


def exiftool_all(path: Path, *options: str) -> list[dict]:
    """The same of each file in a folder, in the order of their names."""
    command = ["exiftool", "-j", "-n", "-G1", "-a", "-struct", "-fileOrder", "FileName", *options, str(path)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def listed(values) -> list:
    return values if isinstance(values, list) else [values]


@pytest.fixture
def photo(tmp_path, jpeg) -> Path:
    path = tmp_path / "IMG_1.jpg"
    path.write_bytes(jpeg)
    return path


def with_exif(gps: dict | None = None, taken: str | None = None, orientation: int = 1, **options) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    if gps:
        exif[0x8825] = gps
    if taken:
        exif[0x8769] = {0x9003: taken}
    return encode(quarters(), exif=exif, **options)


def rational(*numbers: float) -> tuple:
    return tuple(TiffImagePlugin.IFDRational(number) for number in numbers)


CAMERA = {1: "S", 2: rational(13, 9, 47.88), 3: "W", 4: rational(72, 32, 44.16)}
HERE = (-(13 + 9 / 60 + 47.88 / 3600), -(72 + 32 / 60 + 44.16 / 3600))


def packet(*properties: str) -> bytes:
    """A little XMP packet."""
    names = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in xmp.NAMESPACES.items())
    text = "".join(properties)
    return f"<rdf:RDF {RDF}><rdf:Description {names}>{text}</rdf:Description></rdf:RDF>".encode()


# ---- Sidecars --------------------------------------------------------------------------------------------


@needs_exiftool
def test_a_new_sidecar_read_back(photo):
    before = photo.read_bytes()
    path = write_sidecar(photo, TAJ)
    assert path.name == "IMG_1.jpg.xmp"
    assert photo.read_bytes() == before
    found = exiftool(path)
    assert found["XMP-dc:Subject"] == list(TAJ.keywords)
    assert found["XMP-digiKam:TagsList"] == list(TAJ.paths)
    assert found["XMP-lr:HierarchicalSubject"] == ["Places|India|Agra|Taj Mahal", "Landmarks|Taj Mahal"]
    assert found["XMP-exif:GPSLatitude"] == pytest.approx(27.1751, abs=1e-6)
    assert found["XMP-exif:GPSLongitude"] == pytest.approx(78.0421, abs=1e-6)
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
    assert found["XMP-digiKam:TagsList"] == list(TAJ.paths)
    assert found["XMP-rdf:About"] == "uuid:1"


def test_a_description_and_coordinates_of_a_person_stay():
    described = packet(
        '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">Mine</rdf:li></rdf:Alt></dc:description>',
        "<exif:GPSLatitude>48,51.5N</exif:GPSLatitude><exif:GPSLongitude>2,17.7E</exif:GPSLongitude>",
    )
    after = sidecar(encode(quarters()), TAJ, described)
    found = xmp.Packet(after, "x")
    assert found.values("dc:description") == ["Mine"]
    assert found.values("exif:GPSLatitude") == ["48,51.5N"]
    assert found.values("exif:GPSProcessingMethod") == []


def test_a_landmark_without_a_place():
    found = xmp.Packet(sidecar(encode(quarters()), BARE), "x")
    assert found.values("dc:subject") == list(BARE.keywords)
    for key in (
        "photoshop:City",
        "exif:GPSLatitude",
        "exif:GPSProcessingMethod",
        "exif:GPSHPositioningError",
    ):
        assert found.find(key) is None


def test_camera_coordinates_are_not_joined_by_estimates():
    found = xmp.Packet(sidecar(with_exif(CAMERA), TAJ), "x")
    assert found.values("exif:GPSLatitude") == []
    assert found.values("photoshop:City") == ["Agra"]


def test_what_the_photo_says_itself_is_repeated_or_left_to_it():
    inside = packet(
        "<dc:subject><rdf:Bag><rdf:li>holiday</rdf:li></rdf:Bag></dc:subject>",
        "<photoshop:Country>Indien</photoshop:Country>",
    )
    exif = Image.Exif()
    exif[0x010E] = "Grandma"
    found = xmp.Packet(sidecar(encode(quarters(), xmp=inside, exif=exif), TAJ), "x")
    assert found.values("dc:subject") == ["holiday", *TAJ.keywords]
    assert found.values("photoshop:City") == found.values("dc:description") == []


def test_blank_descriptions_of_cameras_do_not_count():
    exif = Image.Exif()
    exif[0x010E] = "          "
    found = xmp.Packet(sidecar(encode(quarters(), exif=exif), TAJ), "x")
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
    left = read_by_exiv2(xmp.remove(rewritten, "x")).xmpData()
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
    found = xmp.Packet(path.read_bytes(), "x")
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


def test_which_sidecar_is_the_photos(photo):
    folder = photo.parent
    assert find_sidecar(photo) == folder / "IMG_1.jpg.xmp"
    (folder / "IMG_1.xmp").write_text(PEOPLE, "utf-8")
    assert find_sidecar(photo) == folder / "IMG_1.xmp"
    (folder / "IMG_1.mov").touch()
    assert find_sidecar(photo) == folder / "IMG_1.xmp"
    (folder / "IMG_1.CR2").touch()
    assert find_sidecar(photo) == folder / "IMG_1.jpg.xmp"  # IMG_1.xmp is the raw photo's
    (folder / "IMG_1.jpg.xmp").touch()
    assert find_sidecar(photo) == folder / "IMG_1.jpg.xmp"


@pytest.mark.parametrize(("extension", "mine"), [("JPG", True), ("cr2", False)])
def test_a_sidecar_that_names_an_extension(photo, extension, mine):
    shared = photo.with_suffix(".xmp")
    shared.write_bytes(packet(f"<photoshop:SidecarForExtension>{extension}</photoshop:SidecarForExtension>"))
    photo.with_suffix(".png").touch()
    assert (find_sidecar(photo) == shared) is mine


def test_two_photos_of_one_name_get_a_sidecar_each(photo):
    other = photo.with_suffix(".png")
    other.write_bytes(encode(quarters(), "PNG"))
    assert write_sidecar(photo, TAJ) != write_sidecar(other, BARE)
    assert undo_sidecar(photo)
    assert names(photo.parent) == ["IMG_1.jpg", "IMG_1.png", "IMG_1.png.xmp"]


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


words = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(FORMS)), st.lists(words, max_size=4), words, st.lists(words, max_size=4))
def test_any_words_come_through_and_out_again(form, keywords, text, more):
    tags = dataclasses.replace(TAJ, keywords=tuple(keywords), city=text, caption=text, model=text)
    photo, before = encode(quarters(32, 32)), FORMS[form].encode()
    after = sidecar(photo, tags, before)
    again = sidecar(photo, dataclasses.replace(tags, keywords=tuple(more)), after)
    assert xmp.remove(after, "x") == xmp.remove(again, "x") == before
    if form != "single value":
        there = {word.casefold() for word in xmp.Packet(after, "x").values("dc:subject")}
        assert {clean(word).casefold() for word in keywords} - {""} <= there


# ---- Bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\0\1\2",
        b"<x:xmpmeta",
        b"<a/>",
        b"<a></b>",
        PEOPLE.encode("utf-16"),
        b"<?xml version='1.0' encoding='latin-1'?>" + FORMS["nothing said"].encode(),
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>" + FORMS["nothing said"].encode(),
        FORMS["empty list"].replace("<rdf:Bag />", "<rdf:Bag></rdf:Bag>").encode(),  # could not be put back
    ],
)
def test_a_sidecar_that_is_no_xmp_stays_as_it_is(photo, broken):
    path = photo.with_name("IMG_1.jpg.xmp")
    path.write_bytes(broken)
    with pytest.raises(MetadataError, match=r"IMG_1\.jpg\.xmp .*(repair|move) it"):
        write_sidecar(photo, TAJ)
    assert path.read_bytes() == broken
    assert not undo_sidecar(photo)  # nothing of ours in it
    assert len(names(photo.parent)) == 2


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff\xd8\xff\xe0", b"%PDF-1.4", encode(quarters(), "BMP")])
@pytest.mark.parametrize("act", [write_sidecar, lambda photo, tags: write_copy(photo, f"{photo}.copy", tags)])
def test_photos_that_are_none(tmp_path, data, act):
    photo = tmp_path / "a\nb.jpg"
    photo.write_bytes(data)
    with pytest.raises(MetadataError, match=r"^a\ufffdb\.jpg [^\n]*$"):
        act(photo, TAJ)
    assert names(tmp_path) == [photo.name]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_no_copy_of_half_a_photo(tmp_path, kind):
    photo = tmp_path / "half"
    photo.write_bytes(encode(quarters(320, 240), kind)[:-200])
    with pytest.raises(MetadataError, match="half is damaged"):
        write_copy(photo, tmp_path / "copy", TAJ)
    with pytest.raises(MetadataError, match="half is damaged"):
        strip_metadata(photo.read_bytes(), "half")
    assert names(tmp_path) == ["half"]


def test_a_photo_that_is_not_there(tmp_path):
    with pytest.raises(MetadataError, match=r"a\.jpg cannot be read: .*not there"):
        write_sidecar(tmp_path / "a.jpg", TAJ)


def test_a_folder_in_the_sidecars_place(photo):
    photo.with_name("IMG_1.jpg.xmp").mkdir()
    with pytest.raises(MetadataError, match=r"IMG_1\.jpg\.xmp cannot be read: it is a folder; rename it\."):
        write_sidecar(photo, TAJ)


def test_a_photo_with_a_name_too_long_for_a_sidecar(tmp_path, jpeg):
    photo = tmp_path / f"{'a' * 250}.jpg"
    photo.write_bytes(jpeg)
    with pytest.raises(MetadataError, match="the name is too long"):
        write_sidecar(photo, TAJ)


@pytest.mark.parametrize(
    "name", ["ताज महल.jpg", "a\nb.jpg", "-rf.jpg", "foo\udcff.jpg", "a'\"<&>.jpg", " .jpg"]
)
def test_names_in_any_script(tmp_path, jpeg, name):
    photo = tmp_path / name
    photo.write_bytes(jpeg)
    assert write_sidecar(photo, TAJ).name == f"{name}.xmp"
    undo_sidecar(photo)
    assert names(tmp_path) == [name]


def failing(code: int, monkeypatch) -> None:
    """Let everything that is written fail at the last moment."""

    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files.os, "fsync", fail)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "can only be read"),
        (errno.EACCES, "permission is missing"),
        (errno.EIO, "check the disk"),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_half_written(photo, monkeypatch, code, message, there):
    path = photo.with_name("IMG_1.jpg.xmp")
    if there:
        path.write_text(PEOPLE, "utf-8")
    before = {name: (photo.parent / name).read_bytes() for name in names(photo.parent)}
    failing(code, monkeypatch)
    with pytest.raises(MetadataError, match=rf"^IMG_1\.jpg\.xmp cannot be written: .*{message}"):
        write_sidecar(photo, TAJ)
    assert {name: (photo.parent / name).read_bytes() for name in names(photo.parent)} == before


def test_an_undo_that_fails_leaves_the_sidecar(photo, monkeypatch):
    path = photo.with_name("IMG_1.jpg.xmp")
    path.write_text(PEOPLE, "utf-8")
    write_sidecar(photo, TAJ)
    tagged = path.read_bytes()
    failing(errno.ENOSPC, monkeypatch)
    with pytest.raises(MetadataError, match="the disk is full"):
        undo_sidecar(photo)
    assert path.read_bytes() == tagged


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_can_only_be_read(photo):
    photo.parent.chmod(0o555)
    try:
        with pytest.raises(MetadataError, match="permission is missing"):
            write_sidecar(photo, TAJ)
    finally:
        photo.parent.chmod(0o755)


def test_a_sidecar_made_by_another_program_meanwhile_is_not_overwritten(photo, monkeypatch):
    monkeypatch.setattr(metadata, "exists", lambda _: False)
    path = photo.with_name("IMG_1.jpg.xmp")
    path.write_text(PEOPLE, "utf-8")
    for links in (True, False):
        if not links:
            monkeypatch.setattr(files.os, "link", None)
            monkeypatch.setattr(files.os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "")))
        with pytest.raises(MetadataError, match="a file of this name is there"):
            write_sidecar(photo, TAJ)
        assert path.read_text("utf-8") == PEOPLE


def test_a_new_sidecar_on_a_card_without_links(photo, monkeypatch):
    monkeypatch.setattr(files.os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "")))
    assert write_sidecar(photo, TAJ).exists()
    assert len(names(photo.parent)) == 2


# ---- Copies ----------------------------------------------------------------------------------------------


def noise(mode: str = "RGB") -> Image.Image:
    shape = (48, 64, len(mode))
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8), mode)


def frames(kind: str) -> bytes:
    return encode(noise(), kind, save_all=True, append_images=[quarters(), noise()])


ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PHOTOS = {
    "JPEG": lambda: encode(noise(), quality=90),
    "JPEG, progressive, colour profile": lambda: encode(noise(), progressive=True, icc_profile=ICC),
    "JPEG, CMYK": lambda: encode(noise().convert("CMYK")),
    "JPEG, several pictures": lambda: frames("MPO"),
    "PNG": lambda: encode(noise("RGBA"), "PNG", icc_profile=ICC),
    "PNG, palette": lambda: encode(noise().convert("P"), "PNG"),
    "PNG, animated": lambda: frames("PNG"),
    "WebP": lambda: encode(noise(), "WEBP"),
    "WebP, lossless, transparent": lambda: encode(noise("RGBA"), "WEBP", lossless=True),
    "WebP, transparent, colour profile": lambda: encode(noise("RGBA"), "WEBP", icc_profile=ICC),
    "WebP, animated": lambda: frames("WEBP"),
}


def pixels(data: bytes) -> tuple:
    """All that shows: every frame with its mode, and the colour profile."""
    image = Image.open(io.BytesIO(data))
    shown = []
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        shown.append((image.mode, image.convert("RGBA").tobytes()))
    return shown, image.info.get("icc_profile")


@pytest.fixture
def exiv2():
    return pytest.importorskip("exiv2")


@needs_exiftool
@pytest.mark.usefixtures("exiv2")
@pytest.mark.parametrize("kind", PHOTOS)
def test_a_copy_read_back_and_undone(tmp_path, capfd, kind):
    photo, copy = tmp_path / "IMG_1", tmp_path / "copy"
    photo.write_bytes(before := PHOTOS[kind]())
    write_copy(photo, copy, TAJ)
    assert capfd.readouterr() == ("", "")
    assert photo.read_bytes() == before
    assert pixels(copy.read_bytes()) == pixels(before)
    found = exiftool(copy)
    assert found["XMP-dc:Subject"] == list(TAJ.keywords)
    assert found["GPS:GPSLatitude"] == found["XMP-exif:GPSLatitude"] == pytest.approx(27.1751, abs=1e-6)
    assert found["GPS:GPSLongitude"] == pytest.approx(78.0421, abs=1e-6)
    assert (found["GPS:GPSLatitudeRef"], found["GPS:GPSLongitudeRef"]) == ("N", "E")
    assert found["GPS:GPSProcessingMethod"] == ESTIMATE
    assert found["GPS:GPSHPositioningError"] == 300
    if kind.startswith("JPEG"):
        assert found["IPTC:Keywords"] == list(TAJ.keywords)
        assert found["IPTC:CodedCharacterSet"] == "\x1b%G"
    assert not [key for key in found if key.endswith((":Warning", ":Error"))]
    undo_copy(copy)
    assert names(tmp_path) == ["IMG_1"]


@needs_exiftool
@pytest.mark.usefixtures("exiv2")
def test_a_copy_keeps_what_camera_and_person_wrote(tmp_path):
    photo, copy = tmp_path / "IMG_1.jpg", tmp_path / "copy.jpg"
    photo.write_bytes(with_exif(CAMERA, "2024:05:01 12:00:00", orientation=6))
    write = ["-IPTC:Keywords=Ärger", "-IPTC:City=Cusco", "-XMP-dc:Subject=Ärger", "-XMP-xmp:Rating=5"]
    write += ["-codedcharacterset=utf8", "-ExifIFD:UserComment=hello"]
    subprocess.run(["exiftool", "-q", "-overwrite_original", *write, str(photo)], check=True)
    before, data = exiftool(photo), photo.read_bytes()
    write_copy(photo, copy, TAJ)
    after = exiftool(copy)
    assert photo.read_bytes() == data
    assert after["XMP-dc:Subject"] == after["IPTC:Keywords"] == ["Ärger", *TAJ.keywords]
    groups = ("GPS:", "IFD0:", "ExifIFD:", "IPTC:", "XMP-")
    kept = [key for key in before if key.startswith(groups) and not key.endswith((":Keywords", ":Subject"))]
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    assert read_gps(copy) == pytest.approx(HERE, abs=1e-6)
    assert "XMP-exif:GPSLatitude" not in after and "XMP-photoshop:City" not in after


@needs_exiftool
@pytest.mark.usefixtures("exiv2")
def test_old_keywords_in_another_character_set_are_left_alone(tmp_path):
    photo, copy = tmp_path / "IMG_1.jpg", tmp_path / "copy.jpg"
    photo.write_bytes(encode(quarters()))
    write = ["-charset", "iptc=latin1", "-IPTC:Keywords=Ärger"]
    subprocess.run(["exiftool", "-q", "-overwrite_original", *write, str(photo)], check=True)
    write_copy(photo, copy, TAJ)
    found = exiftool(copy, "-charset", "iptc=latin1")
    assert listed(found["IPTC:Keywords"]) == ["Ärger"]
    assert found["XMP-dc:Subject"] == ["Ärger", *TAJ.keywords]


@pytest.mark.usefixtures("exiv2")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_copy_that_was_changed_since_is_not_deleted(tmp_path, exiv2, kind):
    photo, copy = tmp_path / "IMG_1", tmp_path / "copy"
    photo.write_bytes(encode(quarters(), kind))
    write_copy(photo, copy, TAJ)
    image = exiv2.ImageFactory.open(str(copy))
    image.readMetadata()
    image.exifData()["Exif.Image.Artist"] = "Me"
    image.writeMetadata()
    with pytest.raises(MetadataError, match="copy was changed since"):
        undo_copy(copy)
    assert copy.exists()


@pytest.mark.usefixtures("exiv2")
def test_a_photo_that_is_no_copy_of_ours_is_not_deleted(photo):
    with pytest.raises(MetadataError, match=r"IMG_1\.jpg is no copy"):
        undo_copy(photo)
    assert photo.exists()


@pytest.mark.usefixtures("exiv2")
def test_a_copy_never_replaces_a_file(photo):
    before = photo.read_bytes()
    with pytest.raises(MetadataError, match="a file of this name is there"):
        write_copy(photo, photo, TAJ)
    assert photo.read_bytes() == before
    assert names(photo.parent) == ["IMG_1.jpg"]


@pytest.mark.usefixtures("exiv2")
def test_a_copy_of_a_copy_says_what_was_said_last():
    again = embed(embed(encode(quarters()), TAJ), BARE)
    assert xmp.Packet(Image.open(io.BytesIO(again)).info["xmp"], "x").values("photoshop:City") == []


@pytest.mark.parametrize("kind", ["GIF", "HEIF"])
def test_photos_that_cannot_be_copied_bit_by_bit(kind):
    for act in (lambda data: embed(data, TAJ, "a.x"), lambda data: strip_metadata(data, "a.x")):
        with pytest.raises(MetadataError, match=r"a\.x cannot be copied bit by bit; save it as JPEG"):
            act(encode(quarters(), kind))
    assert b"Taj Mahal" in sidecar(encode(quarters(), kind), TAJ)


@pytest.mark.usefixtures("exiv2")
def test_tags_too_many_for_a_jpeg(jpeg):
    many = dataclasses.replace(TAJ, keywords=tuple(f"word {number}" for number in range(2000)))
    with pytest.raises(MetadataError, match=r"photo cannot take tags inside .*write a sidecar"):
        embed(jpeg, many)


def test_xmp_inside_a_photo_that_cannot_be_read():
    photo = encode(quarters(), xmp=b"<broken")
    with pytest.raises(MetadataError, match="holds XMP that cannot be read; write a sidecar"):
        embed(photo, TAJ)
    assert b"Taj Mahal" in sidecar(photo, TAJ)


def test_without_exiv2_copies_say_what_to_install_and_sidecars_work(jpeg, monkeypatch):
    monkeypatch.setitem(sys.modules, "exiv2", None)
    with pytest.raises(MetadataError, match="install exiv2, or write a sidecar"):
        embed(jpeg, TAJ)
    assert sidecar(jpeg, TAJ) and strip_metadata(jpeg)


@pytest.mark.usefixtures("exiv2")
def test_copies_made_in_several_threads_are_the_same(jpeg):
    expected = embed(jpeg, TAJ)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: embed(jpeg, TAJ), range(12))) == {expected}


# ---- Without metadata ------------------------------------------------------------------------------------


@needs_exiftool
@pytest.mark.usefixtures("exiv2")
@pytest.mark.parametrize("kind", PHOTOS)
def test_a_stripped_copy_shows_the_same_and_says_nothing(tmp_path, kind):
    stripped = strip_metadata(embed(PHOTOS[kind](), TAJ))
    (tmp_path / "a").write_bytes(stripped)
    assert not [
        key for key in exiftool(tmp_path / "a") if key.startswith(("GPS", "XMP", "IPTC", "IFD", "Exif:"))
    ]
    assert b"Taj" not in stripped and b"27," not in stripped
    shown, profile = pixels(PHOTOS[kind]())
    kept = shown[:1] if "several" in kind else shown
    assert pixels(stripped) == (kept, profile)
    assert strip_metadata(stripped) == stripped


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_orientation_is_all_of_the_exif_that_stays(kind, orientation):
    photo = with_exif(CAMERA, "2024:05:01 12:00:00", orientation, kind=kind)
    stripped = strip_metadata(photo)
    exif = Image.open(io.BytesIO(stripped)).getexif()
    assert dict(exif) == ({} if orientation == 1 else {0x0112: orientation})
    assert read_gps(stripped) is read_time(stripped) is None
    assert pixels(stripped) == pixels(photo)


def test_what_follows_the_picture_goes():
    assert strip_metadata(encode(quarters()) + b"a film with coordinates") == strip_metadata(
        encode(quarters())
    )
    assert strip_metadata(encode(quarters(), comment=b"secret")) == strip_metadata(encode(quarters()))


# ---- Reading ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_where_and_when_a_photo_was_taken(tmp_path, kind):
    data = with_exif(CAMERA, "2024:05:01 12:34:56", kind=kind)
    (tmp_path / "a").write_bytes(data)
    for photo in (data, tmp_path / "a", str(tmp_path / "a")):
        assert read_gps(photo) == pytest.approx(HERE)
        assert read_time(photo) == datetime(2024, 5, 1, 12, 34, 56)


@pytest.mark.parametrize(
    "gps",
    [
        None,
        {},
        {1: "N", 3: "E"},
        {1: "N", 2: rational(0, 0, 0), 3: "E", 4: rational(0, 0, 0)},
        {
            1: "N",
            2: (TiffImagePlugin.IFDRational(0, 0),) * 3,
            3: "E",
            4: (TiffImagePlugin.IFDRational(0, 0),) * 3,
        },
        {2: rational(48, 0, 0), 4: rational(2, 0, 0)},
        {1: "N", 2: rational(99, 0, 0), 3: "E", 4: rational(2, 0, 0)},
        {**CAMERA, 27: b"ASCII\0\0\0" + ESTIMATE.encode()},
    ],
)
def test_coordinates_that_are_none(gps):
    assert read_gps(with_exif(gps)) is None


def test_coordinates_that_cannot_be_read_are_still_the_cameras():
    unclear = with_exif({2: rational(48, 0, 0), 4: rational(2, 0, 0)})
    assert b"GPSLatitude" not in sidecar(unclear, TAJ)
    void = with_exif({1: "N", 2: rational(0, 0, 0), 3: "E", 4: rational(0, 0, 0)})
    assert b"GPSLatitude" in sidecar(void, TAJ)


@pytest.mark.parametrize(
    ("latitude", "longitude", "expected"),
    [
        ("27,10.506N", "78,2.526E", (27.1751, 78.0421)),
        ("13,9,48S", "72,32,44W", (-13.163333, -72.545556)),
        ("48.8584", "-2.2945", (48.8584, -2.2945)),
        ("north", "78,2.526E", None),
        ("27,10.506N", "", None),
    ],
)
def test_coordinates_from_xmp(latitude, longitude, expected):
    inside = packet(
        f"<exif:GPSLatitude>{latitude}</exif:GPSLatitude><exif:GPSLongitude>{longitude}</exif:GPSLongitude>"
    )
    found = read_gps(encode(quarters(), xmp=inside))
    assert found == (pytest.approx(expected, abs=1e-5) if expected else None)


@pytest.mark.usefixtures("exiv2")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_predictions_are_not_read_as_measurements(kind):
    assert read_gps(embed(encode(quarters(), kind), TAJ)) is None


@pytest.mark.parametrize("taken", [None, "", "    :  :     :  :  ", "0000:00:00 00:00:00", "yesterday"])
def test_times_that_are_none(taken):
    assert read_time(with_exif(taken=taken)) is None


@pytest.mark.parametrize(
    ("degrees", "expected"), [(-0.00001, "0,0.0006S"), (59.9999999, "60,0.0000N"), (90, "90,0.0000N")]
)
def test_coordinates_at_the_edges(degrees, expected):
    assert xmp.coordinate(degrees, "NS") == expected


@needs_exiftool
@needs_samples
def test_real_camera_files_are_tagged_read_and_undone(tmp_path):
    pytest.importorskip("exiv2")
    originals, copies = tmp_path / "originals", tmp_path / "copies"
    originals.mkdir()
    copies.mkdir()
    for number, sample in enumerate(sorted(SAMPLES.rglob("*.jpg"))):
        (originals / f"{number:02}.jpg").write_bytes(sample.read_bytes())
    before = {path: path.read_bytes() for path in sorted(originals.iterdir())}
    for photo in before:
        write_sidecar(photo, TAJ)
        write_copy(photo, copies / photo.name, TAJ)
    measured, found = exiftool_all(originals, "-ext", "jpg"), exiftool_all(copies)
    for photo, was, is_now in zip(before, measured, found, strict=True):
        by_camera = "GPS:GPSLatitude" in was
        assert pixels((copies / photo.name).read_bytes()) == pixels(before[photo])
        assert set(TAJ.keywords) <= set(is_now["XMP-dc:Subject"])
        assert (is_now.get("GPS:GPSProcessingMethod") == ESTIMATE) is not by_camera
        assert is_now["GPS:GPSLatitude"] == was.get("GPS:GPSLatitude", pytest.approx(27.1751, abs=1e-6))
        assert (read_gps(photo) is not None) is by_camera
        taken = was.get("ExifIFD:DateTimeOriginal")
        assert read_time(photo) == (taken and datetime.strptime(taken, "%Y:%m:%d %H:%M:%S"))
        undo_copy(copies / photo.name)
        undo_sidecar(photo)
    assert {path: path.read_bytes() for path in sorted(originals.iterdir())} == before
    assert not names(copies)
