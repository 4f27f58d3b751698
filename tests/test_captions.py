"""Captions in other places than ours: people's stay the only ones, those of cameras are none."""

import dataclasses
import struct

import pytest
from begun_sidecars import NAMES, begun, described, described_in_exif, inside, text_in
from conftest import encode, quarters
from metadata_samples import TAJ, TAJ_TREE
from photo_parts import behind_start, in_iptc

from src.photos.decode import open_photo
from src.photos.packet import Packet
from src.photos.read_metadata import said_by
from src.photos.write_tags import embed, sidecar, undone
from src.photos.xmp_edit import EMPTY

TIFF = "http://ns.adobe.com/tiff/1.0/"


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
