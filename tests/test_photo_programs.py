"""What photo programs make of sidecars and copies: by the rule of each, and by the program where it is there.

Immich, `getTagList`: digiKam:TagsList, else lr:hierarchicalSubject, else IPTC keywords; what a sidecar says
replaces what the photo says of the same. digiKam, "Metadata settings": the same, and then dc:subject.
darktable: lr:hierarchicalSubject, else dc:subject. Lightroom: lr:hierarchicalSubject and dc:subject.
PhotoPrism: dc:subject of the sidecar, or else of the photo.
"""

import dataclasses
import shutil
import subprocess
from xml.etree import ElementTree

import pytest
from conftest import encode, quarters
from metadata_samples import TAJ, exiftool, needs_exiftool, packet, write_sidecar
from photo_parts import behind_start, iptc, photoshop, xmp_segment

from src.landmarks.table import read_landmarks
from src.photos.decode import open_photo
from src.photos.write_tags import embed
from src.photos.xmp import NAMESPACES, coordinate, degrees

RDF = f"{{{NAMESPACES['rdf']}}}"
TREE, LIGHTROOM, WORDS = "digiKam:TagsList", "lr:hierarchicalSubject", "dc:subject"


def said(xmp: bytes) -> dict[str, list[str]]:
    """The entries of each list in a packet."""
    lists = {}
    for key in (TREE, LIGHTROOM, WORDS) if xmp else ():
        prefix, _, name = key.partition(":")
        found = ElementTree.fromstring(xmp.strip()).findall(f".//{{{NAMESPACES[prefix]}}}{name}")
        assert len(found) <= 1  # a property stands once
        if found:
            lists[key] = [entry.text for entry in found[0].iter(f"{RDF}li")]
    return lists


def leaves(paths: list[str], separator: str) -> list[str]:
    return [path.rpartition(separator)[2] for path in paths]


def immich(photo: dict, sidecar: dict) -> list[str]:
    tags = photo | sidecar
    if TREE in tags:
        return leaves(tags[TREE], "/")
    return leaves(tags[LIGHTROOM], "|") if LIGHTROOM in tags else tags.get("IPTC", [])


def digikam(photo: dict, sidecar: dict) -> list[str]:
    return immich(photo, sidecar) or (photo | sidecar).get(WORDS, [])


def darktable(photo: dict, sidecar: dict) -> list[str]:
    tags = sidecar or photo
    return leaves(tags[LIGHTROOM], "|") if LIGHTROOM in tags else tags.get(WORDS, [])


def lightroom(photo: dict, sidecar: dict) -> list[str]:
    tags = sidecar or photo
    return [*leaves(tags.get(LIGHTROOM, []), "|"), *tags.get(WORDS, [])]


def photoprism(photo: dict, sidecar: dict) -> list[str]:
    return (sidecar or photo).get(WORDS, [])


PROGRAMS = [immich, digikam, darktable, lightroom, photoprism]


def bag(key: str, *entries: str) -> str:
    return f"<{key}><rdf:Bag>{''.join(f'<rdf:li>{entry}</rdf:li>' for entry in entries)}</rdf:Bag></{key}>"


INSIDE = {
    "nothing": [],
    "keywords": [xmp_segment(packet(bag(WORDS, "holiday", "india")))],
    "keywords and a tree": [xmp_segment(packet(bag(WORDS, "Ann", "holiday"), bag(TREE, "People/Ann")))],
    "Lightroom": [xmp_segment(packet(bag(WORDS, "Ann", "holiday"), bag(LIGHTROOM, "People|Ann")))],
    "IPTC": [photoshop((0x0404, iptc("Fête".encode())))],
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("inside", INSIDE)
@pytest.mark.parametrize("beside", [True, False])
def test_a_program_finds_our_tags_and_all_that_it_found_before(photo, program, inside, beside):
    """Immich 28015: who reads a tree reads no plain keyword, and one that we begin must not hide others."""
    photo.write_bytes(data := behind_start(encode(quarters()), *INSIDE[inside]))
    old = {"IPTC": ["Fête"]} if inside == "IPTC" else {}
    before = program(said(open_photo(data).xmp) | old, {})
    if beside:
        tagged, sidecar = data, said(write_sidecar(photo, TAJ).read_bytes())
    else:
        tagged, sidecar = embed(data, TAJ), {}
    found = {word.casefold() for word in program(said(open_photo(tagged).xmp) | old, sidecar)}
    assert found >= {word.casefold() for word in (*before, *TAJ.keywords)}
    assert found <= {word.casefold() for word in (*before, *TAJ.keywords, "holiday", "Ann", "Fête")}


def test_every_keyword_ends_a_path_and_both_trees_are_the_same():
    tags = dataclasses.replace(TAJ, keywords=("Taj Mahal", "AGRA", "a/b", "x|y"))
    found = said(embed_packet(tags))
    assert found[TREE] == [*TAJ.paths, "Places/India/Agra", "a-b", "x|y"]
    assert found[LIGHTROOM] == [
        "Places|India|Agra|Taj Mahal",
        "Landmarks|Taj Mahal",
        "Places|India|Agra",
        "a-b",
        "x-y",
    ]


def embed_packet(tags) -> bytes:
    return open_photo(embed(encode(quarters()), tags)).xmp


@pytest.mark.parametrize(
    ("radius", "said"),
    [
        (None, ("27,10.5060N", "78,2.5260E")),
        (2, ("27,10.506N", "78,2.526E")),
        (50, ("27,10.51N", "78,2.53E")),
        (300, ("27,10.5N", "78,2.5E")),
        (1851, ("27,10.5N", "78,2.5E")),
        (1852, ("27,11.0N", "78,3.0E")),
        (90_000, ("27,11.0N", "78,3.0E")),
    ],
)
def test_coordinates_are_no_more_exact_than_the_landmark_is_large(radius, said):
    assert (coordinate(TAJ.latitude, "NS", radius), coordinate(TAJ.longitude, "EW", radius)) == said


def test_the_place_that_is_written_lies_within_its_landmark():
    for landmark in read_landmarks().values():
        if landmark.latitude is not None and landmark.extent_km:
            radius = landmark.extent_km * 500
            for value, letters in ((landmark.latitude, "NS"), (landmark.longitude, "EW")):
                written = degrees([coordinate(value, letters, radius)])
                assert abs(written - value) * 60 * 1852 <= radius / 2 + 1e-6


@needs_exiftool
@pytest.mark.parametrize(
    ("latitude", "longitude", "refs"), [(-13.2, -72.5, "SW"), (48.9, 2.3, "NE"), (0, -0.1, "NW")]
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_position_of_a_copy(tmp_path, latitude, longitude, refs, kind):
    tags = dataclasses.replace(TAJ, latitude=latitude, longitude=longitude, radius_m=120)
    (tmp_path / "a").write_bytes(embed(encode(quarters(), kind), tags))
    found = exiftool(tmp_path / "a")
    assert found["GPS:GPSLatitudeRef"] + found["GPS:GPSLongitudeRef"] == refs
    assert (found["GPS:GPSMapDatum"], found["GPS:GPSVersionID"]) == ("WGS-84", "2 3 0 0")
    assert found["GPS:GPSHPositioningError"] == found["XMP-exif:GPSHPositioningError"] == 120
    assert found["Composite:GPSLatitude"] == pytest.approx(latitude, abs=0.01 / 120)
    assert found["XMP-exif:GPSLongitude"] == pytest.approx(longitude, abs=0.01 / 120)
    assert found["XMP-exif:GPSMapDatum"] == "WGS-84"


@needs_exiftool
@pytest.mark.skipif(shutil.which("darktable-cli") is None, reason="darktable is missing (Debian: darktable)")
@pytest.mark.parametrize("beside", [True, False])
def test_darktable_reads_sidecars_and_copies(photo, tmp_path, beside):
    data = behind_start(encode(quarters(640, 480)), xmp_segment(packet(bag(WORDS, "holiday"))))
    photo.write_bytes(data if beside else embed(data, TAJ))
    if beside:
        write_sidecar(photo, TAJ)
    command = ["darktable-cli", photo, tmp_path / "out.jpg", "--core", "--disable-opencl"]
    command += ["--library", ":memory:", "--configdir", tmp_path, "--cachedir", tmp_path]
    subprocess.run(command, capture_output=True, check=True)
    found = exiftool(tmp_path / "out.jpg")
    assert {"holiday", *TAJ.keywords} <= set(found["XMP-dc:Subject"])
    assert found["XMP-photoshop:City"] == "Agra"
    assert found["Composite:GPSLatitude"] == pytest.approx(27.175, abs=1e-4)
