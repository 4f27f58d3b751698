"""What a copy must not touch: further pictures, MakerNotes, films behind the picture, Content Credentials."""

import dataclasses
import hashlib
import os
import struct
import subprocess
from datetime import datetime

import pytest
from conftest import encode, quarters
from metadata_samples import NOWHERE, TAJ, TAJ_SPOT, exiftool, names, needs_exiftool, packet, place, taken
from photo_parts import (
    behind_start,
    c2pa,
    extended_xmp,
    iptc,
    maker_note,
    photoshop,
    segment,
    segments_of,
    several_pictures,
    thumbnail,
    tiff,
    with_exif_block,
    xmp_segment,
)
from test_metadata_copies import SAMPLES, needs_samples, pixels
from test_metadata_limits import chunk

from src.photos.decode import open_photo
from src.photos.errors import MetadataError
from src.photos.put_together import MAX_XMP_IN_JPEG
from src.photos.read_metadata import said_by
from src.photos.write_tags import embed, sidecar, undo_copy, write_copy

HDR = packet('<hdrgm:Version xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/">1.0</hdrgm:Version>')
FILM = b"\0\0\0\x18ftypmp42" + b"film " * 200
MOTION = packet(
    '<GCamera:MicroVideoOffset xmlns:GCamera="http://ns.google.com/photos/1.0/camera/">'
    f"{len(FILM)}</GCamera:MicroVideoOffset>"
)
SAMSUNG = FILM + b"SEFHe\0\0\0\1\0\0\0\0\0\x30\x0a" + struct.pack("<LL", 900, 24) + b"\x18\0\0\0SEFT"


def read(path, option) -> bytes:
    return subprocess.run(["exiftool", "-b", option, str(path)], capture_output=True, check=True).stdout


# ---- Further pictures ------------------------------------------------------------------------------------

GAIN_MAP, DEPTH = encode(quarters(32, 24), quality=50), encode(quarters(24, 16), quality=40)
EXIF = segment(0xE1, b"Exif\0\0" + tiff(">", b"Maker" * 9))
ORDERS = {
    "EXIF, XMP, MPF, IPTC": ([EXIF, xmp_segment(HDR)], [photoshop((0x0404, iptc(b"me")))]),
    "MPF, EXIF": ([], [EXIF, xmp_segment(HDR)]),
    "MPF alone": ([], []),
    "EXIF, MPF": ([EXIF], []),
}


@needs_exiftool
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("segments", ORDERS)
def test_gain_map_and_depth_map_are_found_in_a_copy(tmp_path, order, segments):
    """google/libultrahdr 465, Exiv2 3016: the places count from a segment that other ones push about."""
    photo, copy = tmp_path / "a.jpg", tmp_path / "b.jpg"
    photo.write_bytes(data := several_pictures(order, *ORDERS[segments], [GAIN_MAP, DEPTH]))
    assert read(photo, "-MPImage2") == GAIN_MAP and read(photo, "-MPImage3") == DEPTH
    write_copy(photo, copy, TAJ)
    assert read(copy, "-MPImage2") == GAIN_MAP and read(copy, "-MPImage3") == DEPTH
    assert exiftool(copy)["XMP-dc:Subject"]
    assert exiftool(copy)["MPImage1:MPImageLength"] == len(copy.read_bytes()) - len(GAIN_MAP + DEPTH)
    assert pixels(copy.read_bytes()) == pixels(data)


@pytest.mark.parametrize(
    "broken",
    [b"MPF\0", b"MPF\0II*\0\xff\xff\xff\xff\0\0", b"MPF\0MM\0*\0\0\0\x08\xff\xff" + b"\xb0\2" * 40],
)
def test_a_broken_list_of_pictures_stays_as_it_is(broken):
    photo = behind_start(encode(quarters()), segment(0xE2, broken))
    assert segment(0xE2, broken) in embed(photo, TAJ)


@pytest.mark.parametrize("trailer", [FILM, SAMSUNG, GAIN_MAP, b"\0" * 100])
def test_what_follows_the_picture_stays(trailer):
    """A film is found by its distance from the end of the file (GCamera:MicroVideoOffset, Samsung)."""
    photo = behind_start(encode(quarters()), xmp_segment(MOTION)) + trailer
    copy = embed(photo, TAJ)
    assert copy.endswith(b"\xff\xd9" + trailer)
    assert f">{len(FILM)}</GCamera:MicroVideoOffset>".encode() in copy


def test_extended_xmp_stays_as_it_is():
    far = extended_xmp(packet("<dc:source>a depth map</dc:source>") * 50)
    copy = embed(behind_start(encode(quarters()), xmp_segment(HDR), far), TAJ)
    assert far in segments_of(copy)
    assert open_photo(copy).xmp.count(b"hdrgm:Version") and b"Taj Mahal" in open_photo(copy).xmp


def test_all_other_segments_stay_in_their_order():
    others = [segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0\0"), segment(0xE4, b"?"), segment(0xFE, b"hello")]
    photo = behind_start(encode(quarters()), *others)
    kept = [part for part in segments_of(embed(photo, TAJ)) if part in segments_of(photo)]
    assert kept == segments_of(photo)


# ---- MakerNotes ------------------------------------------------------------------------------------------


@needs_exiftool
@needs_samples
def test_maker_notes_of_real_cameras_keep_every_byte_and_their_place(tmp_path):
    """Exiv2 1464, 1472: who writes them anew loses what only the maker's programs can read."""
    found = 0
    for sample in sorted(SAMPLES.rglob("*.jpg")):
        copy = tmp_path / sample.name
        write_copy(sample, copy, TAJ)
        assert maker_note(copy.read_bytes()) == maker_note(sample.read_bytes())
        found += maker_note(sample.read_bytes()) is not None
        assert read(copy, "-MPImage2") == read(sample, "-MPImage2")
        assert read(copy, "-ThumbnailImage") == read(sample, "-ThumbnailImage")
        assert exiftool(copy, "-ExifIFD:all", "-MakerNotes:all", "-IFD1:all", "-x", "ThumbnailOffset") == {
            **exiftool(sample, "-ExifIFD:all", "-MakerNotes:all", "-IFD1:all", "-x", "ThumbnailOffset"),
            "SourceFile": str(copy),
        }
        undo_copy(copy)
    assert found == 7
    assert not names(tmp_path)


@needs_exiftool
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("gps", [None, "void", "altitude"])
def test_a_position_is_added_behind_all_else(tmp_path, order, gps):
    entries = {
        None: None,
        "void": struct.pack(order + "HHHL4sL", 1, 1, 2, 2, b"N\0\0\0", 0),
        "altitude": struct.pack(order + "HHHL4sL", 1, 5, 1, 1, b"\1\0\0\0", 0),
    }[gps]
    block = tiff(order, b"Odd\0" + struct.pack(order + "L", 8) * 9, thumbnail=thumbnail(), gps=entries)
    photo, copy = tmp_path / "a.jpg", tmp_path / "b.jpg"
    photo.write_bytes(with_exif_block(block))
    write_copy(photo, copy, TAJ)
    data = copy.read_bytes()
    assert maker_note(data) == maker_note(photo.read_bytes()) is not None
    at = data.index(block[:4])
    changed = [i for i in range(len(block)) if data[at + i] != block[i]]
    assert len(changed) <= 4  # of one pointer
    found = exiftool(copy)
    assert (found["GPS:GPSLatitude"], found["GPS:GPSLongitude"]) == pytest.approx(TAJ_SPOT, abs=1e-9)
    assert found["IFD0:Orientation"] == 6
    assert ("GPS:GPSAltitudeRef" in found) is (gps == "altitude")
    assert read(copy, "-ThumbnailImage") == thumbnail()
    assert not [key for key in found if key.endswith(":Error")]


LOOPS = {
    "directory that is its own": b"II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0\x08\0\0\0",
    "GPS in the main directory": b"II*\0\x08\0\0\0\1\0\x25\x88\4\0\1\0\0\0\x08\0\0\0\x08\0\0\0",
    "GPS outside": b"II*\0\x08\0\0\0\1\0\x25\x88\4\0\1\0\0\0\xff\xff\xff\0\0\0\0\0",
    "cut": b"II*\0\x08\0\0\0\xff\0\x25\x88\4\0",
    "nothing": b"II*\0\xff\xff\xff\xff",
    "no TIFF": b"a camera of 1996",
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # of Pillow, which shows the pixels
@pytest.mark.parametrize("kind", LOOPS)
def test_odd_exif_is_no_reason_to_refuse_a_copy(kind):
    """Exiv2 134: what cannot be added to stays as it is, and the tags are in the XMP."""
    photo = with_exif_block(LOOPS[kind])
    copy = embed(photo, TAJ)
    old = segment(0xE1, b"Exif\0\0" + LOOPS[kind])
    assert (old in copy) is (kind not in ("directory that is its own", "GPS in the main directory"))
    assert said_by(open_photo(copy))["exif:GPSLatitude"] == []  # ours alone
    assert b"<exif:GPSLatitude>27,10.5N" in copy and pixels(copy) == pixels(photo)


def test_exif_without_room_stays_as_it_is():
    block = tiff(">", b"x" * 65_400)
    copy = embed(with_exif_block(block), TAJ)
    assert segment(0xE1, b"Exif\0\0" + block) in segments_of(copy)
    assert b"<exif:GPSLatitude>27,10.5N" in copy


def test_no_date_changes(tmp_path):
    photo, copy = tmp_path / "a.jpg", tmp_path / "b.jpg"
    photo.write_bytes(encode(quarters(), exif=b"Exif\0\0" + tiff(">", b"Maker")))
    long_ago = datetime(2001, 2, 3, 4, 5, 6).timestamp()
    os.utime(photo, (long_ago, long_ago))
    write_copy(photo, copy, TAJ)
    assert copy.stat().st_mtime == long_ago  # many programs sort photos that say no date by it
    assert taken(copy).time is None and b"xmp:" not in copy.read_bytes()


# ---- XMP and IPTC ----------------------------------------------------------------------------------------


def test_xmp_that_outgrows_a_segment_goes_into_a_sidecar():
    """Exiv2 908."""
    inside = packet(f"<dc:source>{'x' * (MAX_XMP_IN_JPEG - 3000)}</dc:source>")
    photo = behind_start(encode(quarters()), xmp_segment(inside))
    with pytest.raises(MetadataError, match=r"^a cannot take tags inside \(.*\); write a sidecar instead\.$"):
        embed(photo, TAJ, "a")
    assert b"Taj Mahal" in sidecar(photo, TAJ)


@needs_exiftool
def test_the_digest_by_which_programs_see_that_iptc_is_up_to_date_follows(tmp_path):
    block = iptc(b"me")
    digest = hashlib.md5(block).digest()
    photo = behind_start(encode(quarters()), photoshop((0x03ED, b"abc"), (0x0425, digest), (0x0404, block)))
    (tmp_path / "a.jpg").write_bytes(embed(photo, TAJ))
    found = exiftool(tmp_path / "a.jpg", "-IPTCDigest", "-CurrentIPTCDigest", "-IPTC:all", "-Warning")
    assert found["Photoshop:IPTCDigest"] == found["File:CurrentIPTCDigest"] != digest.hex()
    assert found["IPTC:Keywords"] == ["me", *TAJ.keywords]
    assert "ExifTool:Warning" not in found


@pytest.mark.parametrize(
    "segments",
    [
        [segment(0xED, b"Photoshop 3.0\08BIM\4\4\0\0\0\0\xff\xff" + iptc(b"me"))],  # goes on in the next
        [photoshop((0x0404, iptc(b"me", charset=b"\x1b.A")))],
        [photoshop((0x0404, iptc("Ärger".encode("latin-1"), charset=b"")))],
        [photoshop((0x0404, iptc(b"me") + b"broken"))],
        [photoshop((0x0409, b"x" * 65_500))],
    ],
)
def test_iptc_that_cannot_be_added_to_stays_as_it_is(segments):
    photo = behind_start(encode(quarters()), *segments)
    copy = embed(photo, TAJ)
    assert all(part in segments_of(copy) for part in segments)
    assert copy.count(b"Photoshop 3.0") == 1


@needs_exiftool
def test_long_names_are_whole_in_xmp_and_left_out_of_iptc(tmp_path):
    long = "परमहंस योगानन्द स्मारक और ताज महल"
    tags = dataclasses.replace(TAJ, keywords=(long, "Agra"))
    (tmp_path / "a.jpg").write_bytes(embed(encode(quarters()), tags))
    found = exiftool(tmp_path / "a.jpg")
    assert len(long.encode()) > 64
    assert found["XMP-dc:Subject"] == [long, "Agra"] and found["IPTC:Keywords"] == "Agra"


# ---- Content Credentials ---------------------------------------------------------------------------------

OTHER_BOX = segment(0xEB, b"JP\0\1\0\0\0\1\0\0\0\x20jumb" + b"360 degrees")
CREDENTIALS = {
    "JPEG": lambda: behind_start(encode(quarters()), OTHER_BOX, *c2pa(b"signed " * 9)),
    "PNG": lambda: encode(quarters(), "PNG")[:-12] + chunk(b"caBX", b"signed") + chunk(b"IEND", b""),
    "WEBP": lambda: with_chunk(encode(quarters(), "WEBP"), b"C2PA" + struct.pack("<L", 6) + b"signed"),
}


def with_chunk(webp: bytes, more: bytes) -> bytes:
    return b"RIFF" + struct.pack("<L", len(webp) + len(more) - 8) + webp[8:] + more


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_content_credentials_are_not_broken_in_silence(kind):
    """c2pa-rs 2090: they vouch for every byte of the file."""
    photo = CREDENTIALS[kind]()
    with pytest.raises(MetadataError, match=r"^a holds Content Credentials .* sidecar .*--drop-c2pa\)\.$"):
        embed(photo, TAJ, "a")
    assert b"Taj Mahal" in sidecar(photo, TAJ)
    copy = embed(photo, TAJ, drop_c2pa=True)
    assert b"signed" not in copy and b"Taj Mahal" in copy
    assert (OTHER_BOX in copy) is (kind == "JPEG")
    assert pixels(copy) == pixels(photo)
    assert place(copy) == NOWHERE  # an estimate


def test_a_copy_without_credentials_keeps_the_places_of_its_pictures():
    photo = several_pictures("<", c2pa(b"signed " * 9), [], [GAIN_MAP])
    copy = embed(photo, TAJ, drop_c2pa=True)
    [pictures] = [part for part in segments_of(copy) if part.startswith(b"MPF\0", 4)]
    size, at = struct.unpack_from("<LL", pictures, len(pictures) - 12)
    at += copy.index(b"MPF\0") + 4
    assert copy[at : at + size] == GAIN_MAP
