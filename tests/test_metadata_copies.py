"""Tags into copies of photos, read back by exiftool, and copies without metadata."""

import dataclasses
import io
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from conftest import encode, quarters
from metadata_samples import (
    BARE,
    CAMERA,
    HERE,
    NOWHERE,
    TAJ,
    TAJ_SPOT,
    exiftool,
    exiftool_all,
    names,
    needs_exiftool,
    place,
    taken,
    undo_sidecar,
    with_exif,
    write_sidecar,
)
from PIL import Image, ImageCms

from src.files import FileError
from src.landmarks.evidence import Taken
from src.photos import xmp_edit
from src.photos.errors import UNUSABLE, MetadataError
from src.photos.strip import strip_metadata
from src.photos.write_tags import embed, sidecar, undo_copy, write_copy
from src.photos.xmp import ESTIMATE

SAMPLES = Path(os.environ.get("LANDMARK_IMAGES", "nowhere")).parent / "exif_samples"
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="no exif_samples beside the folder that LANDMARK_IMAGES names"
)


def listed(values) -> list:
    return values if isinstance(values, list) else [values]


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


@needs_exiftool
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
    assert found["GPS:GPSLatitude"] == found["XMP-exif:GPSLatitude"] == pytest.approx(TAJ_SPOT[0], abs=1e-9)
    assert found["GPS:GPSLongitude"] == pytest.approx(TAJ_SPOT[1], abs=1e-9)
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
    assert place(copy) == pytest.approx(HERE, abs=1e-6)
    assert "XMP-exif:GPSLatitude" not in after and "XMP-photoshop:City" not in after


@needs_exiftool
def test_old_keywords_in_another_character_set_are_left_alone(tmp_path):
    photo, copy = tmp_path / "IMG_1.jpg", tmp_path / "copy.jpg"
    photo.write_bytes(encode(quarters()))
    write = ["-charset", "iptc=latin1", "-IPTC:Keywords=Ärger"]
    subprocess.run(["exiftool", "-q", "-overwrite_original", *write, str(photo)], check=True)
    write_copy(photo, copy, TAJ)
    found = exiftool(copy, "-charset", "iptc=latin1")
    assert listed(found["IPTC:Keywords"]) == ["Ärger"]
    assert found["XMP-dc:Subject"] == ["Ärger", *TAJ.keywords]


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


def test_a_photo_that_is_no_copy_of_ours_is_not_deleted(photo):
    with pytest.raises(MetadataError, match=r"IMG_1\.jpg is no copy"):
        undo_copy(photo)
    assert photo.exists()


def test_a_copy_never_replaces_a_file(photo):
    before = photo.read_bytes()
    with pytest.raises(FileError, match="a file of this name is there"):
        write_copy(photo, photo, TAJ)
    assert photo.read_bytes() == before
    assert names(photo.parent) == ["IMG_1.jpg"]


def test_a_copy_of_a_copy_says_what_was_said_last():
    again = embed(embed(encode(quarters()), TAJ), BARE)
    assert xmp_edit.Packet(Image.open(io.BytesIO(again)).info["xmp"], "x").values("photoshop:City") == []


@pytest.mark.parametrize("kind", ["GIF", "HEIF"])
def test_photos_that_cannot_be_copied_bit_by_bit(kind):
    for act in (lambda data: embed(data, TAJ, "a.x"), lambda data: strip_metadata(data, "a.x")):
        with pytest.raises(MetadataError, match=r"a\.x cannot be copied bit by bit; save it as JPEG"):
            act(encode(quarters(), kind))
    assert b"Taj Mahal" in sidecar(encode(quarters(), kind), TAJ)


def test_tags_too_many_for_a_jpeg(jpeg):
    many = dataclasses.replace(TAJ, keywords=tuple(f"word {number}" for number in range(2000)))
    with pytest.raises(MetadataError, match=r"photo cannot take tags inside .*write a sidecar"):
        embed(jpeg, many)


def test_xmp_inside_a_photo_that_cannot_be_read():
    photo = encode(quarters(), xmp=b"<broken")
    with pytest.raises(MetadataError, match="holds XMP that cannot be read; write a sidecar"):
        embed(photo, TAJ)
    assert b"Taj Mahal" in sidecar(photo, TAJ)


def test_copies_made_in_several_threads_are_the_same(jpeg):
    expected = embed(jpeg, TAJ)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: embed(jpeg, TAJ), range(12))) == {expected}


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff\xd8\xff\xe0", b"%PDF-1.4", encode(quarters(), "PPM")])
@pytest.mark.parametrize("act", [write_sidecar, lambda photo, tags: write_copy(photo, f"{photo}.copy", tags)])
def test_photos_that_are_none(tmp_path, data, act):
    photo = tmp_path / "a\nb.jpg"
    photo.write_bytes(data)
    with pytest.raises(UNUSABLE, match=r"^a\ufffdb\.jpg [^\n]*$"):
        act(photo, TAJ)
    assert names(tmp_path) == [photo.name]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_no_copy_of_half_a_photo(tmp_path, kind):
    photo = tmp_path / "half"
    photo.write_bytes(encode(quarters(320, 240), kind)[:-200])
    with pytest.raises(UNUSABLE, match="half is damaged"):
        write_copy(photo, tmp_path / "copy", TAJ)
    with pytest.raises(UNUSABLE, match="half is damaged"):
        strip_metadata(photo.read_bytes(), "half")
    assert names(tmp_path) == ["half"]


@needs_exiftool
@needs_samples
def test_real_camera_files_are_tagged_read_and_undone(tmp_path):
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
        assert is_now["GPS:GPSLatitude"] == was.get("GPS:GPSLatitude", pytest.approx(TAJ_SPOT[0], abs=1e-9))
        assert (place(photo) != NOWHERE) is by_camera
        times = ("ExifIFD:DateTimeOriginal", "ExifIFD:CreateDate", "XMP-xmp:CreateDate")
        time = next((was[name] for name in times if name in was), None)
        clock = taken(photo).time
        clock = clock and clock.replace(microsecond=0, tzinfo=None)
        assert clock == (time and datetime.strptime(time[:19], "%Y:%m:%d %H:%M:%S"))
        undo_copy(copies / photo.name)
        undo_sidecar(photo)
    assert {path: path.read_bytes() for path in sorted(originals.iterdir())} == before
    assert not names(copies)


# ---- Without metadata ------------------------------------------------------------------------------------


@needs_exiftool
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
    assert taken(stripped) == Taken()
    assert pixels(stripped) == pixels(photo)


def test_what_follows_the_picture_goes():
    assert strip_metadata(encode(quarters()) + b"a film with coordinates") == strip_metadata(
        encode(quarters())
    )
    assert strip_metadata(encode(quarters(), comment=b"secret")) == strip_metadata(encode(quarters()))
