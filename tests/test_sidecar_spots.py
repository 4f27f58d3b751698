"""The position in a photo's sidecar is evidence like one in the photo; that of a prediction is none."""

import pytest
from conftest import encode, quarters
from metadata_samples import TAJ, packet
from PIL import Image
from tag_library import COLOURS, photo, run, table

from src.photos.read_metadata import read_sidecar_spot
from src.photos.write_tags import sidecar

pytest_plugins = ("tag_fixtures",)

PARIS = "<exif:GPSLatitude>48,51.5N</exif:GPSLatitude><exif:GPSLongitude>2,17.7E</exif:GPSLongitude>"
AGRA = {1: "N", 2: (27, 10, 30), 3: "E", 4: (78, 2, 32)}


@pytest.mark.parametrize("name", ["a.jpg.xmp", "a.jpg.XMP", "a.xmp"])
def test_what_cannot_be_seen_from_the_place_in_a_sidecar_is_ruled_out(tmp_path, fake, name):
    """Lightroom puts the position of a raw photo into its sidecar; the Taj Mahal was written to it."""
    folder = tmp_path / "library"
    photo(folder / "a.jpg", "red")
    photo(folder / "b.jpg", "red", side=80)
    before = packet(PARIS)
    (folder / name).write_bytes(before)
    assert run(folder, "--write", "sidecar") == 0
    assert [(row["landmark"], row["landmark_alone"]) for row in table()] == [
        ("", "Taj Mahal"),
        ("Taj Mahal", "Taj Mahal"),
    ]
    assert (folder / name).read_bytes() == before


def test_a_position_in_the_photo_counts_more(tmp_path, fake):
    folder = tmp_path / "library"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x8825] = AGRA
    red = Image.new("RGB", (64, 64), COLOURS["red"])
    (folder / "a.jpg").write_bytes(encode(red, exif=exif))
    (folder / "a.jpg.xmp").write_bytes(packet(PARIS))
    run(folder)
    assert table()[0]["landmark"] == "Taj Mahal"


def test_what_was_predicted_is_no_evidence_for_itself(library):
    """Also where another program wrote the coordinates in its own way."""
    run(library, "--write", "sidecar")
    first = [(row["landmark"], row["probability"]) for row in table()]
    run(library)
    assert [(row["landmark"], row["probability"]) for row in table()] == first
    written = sidecar(encode(quarters()), TAJ)
    assert b">27,10.5N<" in written and read_sidecar_spot(written) is None
    rewritten = written.replace(b">27,10.5N<", b">27,10.50000N<").replace(
        b"GPSProcessingMethod", b"GPSStatus"
    )
    assert read_sidecar_spot(rewritten) is None
    assert read_sidecar_spot(packet(PARIS)) == pytest.approx((48.8583, 2.295))


def test_sidecars_that_are_broken_or_say_no_place_stop_nothing(library):
    (library / "a.jpg.xmp").write_bytes(b"no XMP")
    (library / "b.png.xmp").write_bytes(packet("<dc:title>mine</dc:title>"))
    (library / "below" / "a.jpg.xmp").write_bytes(
        packet(PARIS.replace("48,51.5N", "0,0.0N").replace("2,17.7E", "0,0.0E"))
    )
    assert run(library) == 0
    assert [row["landmark"] for row in table()] == ["Taj Mahal", "Eiffel Tower", "Hawa Mahal", ""]
