"""What Shotwell and digiKam themselves show of copies and sidecars, where they are there."""

import os
import subprocess

import pytest
from conftest import encode, quarters
from metadata_samples import TAJ, TAJ_SPOT, TAJ_TREE, needs_exiftool, write_sidecar
from photo_managers import ask_digikam, ask_shotwell, needs, running
from PIL import Image

from src.photos.write_tags import embed

SAID = {  # by exiftool into photos; all but the first with a time in the EXIF
    "time.jpg": ["-XMP-exif:DateTimeOriginal=2001:02:03 04:05:06", "-XMP-xmp:Rating=1"],
    "nothing.jpg": [],
    "comment.jpg": ["-ExifIFD:UserComment=by hand"],
    "description.jpg": ["-IFD0:ImageDescription=by hand"],
    "notes.jpg": ["-XMP-acdsee:Notes=by hand", "-XMP-acdsee:Caption=a title", "-XMP-acdsee:Rating=3"],
    "iptc.jpg": [
        "-IPTC:ObjectName=a title",
        "-IPTC:Caption-Abstract=by hand",
        "-IPTC:By-line=Ann",
        "-IPTC:CopyrightNotice=hers",
        "-IPTC:City=Paris",
        "-IPTC:Keywords=holiday",
    ],
    "xmp.jpg": [
        "-XMP-dc:Title=a title",
        "-XMP-dc:Description=by hand",
        "-XMP-dc:Creator=Ann",
        "-XMP-dc:Rights=hers",
        "-XMP-xmp:Rating=4",
        "-XMP-digiKam:ColorLabel=1",
        "-XMP-digiKam:PickLabel=3",
        "-XMP-photoshop:City=Paris",
        "-XMP-dc:Subject=holiday",
    ],
    "face.png": [
        "-XMP-mwg-rs:RegionInfo={AppliedToDimensions={W=640,H=480,Unit=pixel},RegionList=[{Area={X=0.5,"
        "Y=0.5,W=0.2,H=0.2,Unit=normalized},Name=Bob,Type=Face}]}"
    ],
    "place.png": [
        "-XMP-exif:GPSLatitude=10.5",
        "-XMP-exif:GPSLongitude=20.5",
        "-XMP-lr:HierarchicalSubject=People|Ann",
    ],
}


@pytest.fixture(scope="module")
def screen():
    """The name of a screen that nobody sees."""
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1200x900x24", "-nolisten", "tcp"]
    with running(command, dict(os.environ), pass_fds=[writer]):
        os.close(writer)
        with open(reader) as pipe:
            yield f":{pipe.readline().strip()}"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder with each photo as it was, with a sidecar, and as a copy; no two pictures are alike."""
    folder = tmp_path_factory.mktemp("photos")
    for number, (name, said) in enumerate(SAID.items()):
        kind = {"jpg": "JPEG", "png": "PNG"}[name.rpartition(".")[2]]
        exif = Image.Exif()
        exif[0x8769] = {0x9003: "2011:03:04 05:06:07"} if name != "time.jpg" else {}
        for shift, made in enumerate(("was", "beside", "inside")):
            picture = quarters(640, 480)
            picture.paste((25 * number, 80 * shift, 99), (100, 100, 300, 200))
            path = folder / f"{made}-{name}"
            path.write_bytes(encode(picture, kind, exif=exif))
            if said:
                command = ["exiftool", "-q", "-overwrite_original", *said, str(path)]
                subprocess.run(command, check=True)
            if made == "beside":
                write_sidecar(path, TAJ)
            elif made == "inside":
                path.write_bytes(embed(path.read_bytes(), TAJ))
    return folder


def taken_up(*made: str):
    """Whether all photos are there, and those that were made so have the last of our tags."""

    def complete(found: dict[str, dict]) -> bool:
        tagged = [found.get(f"{one}-{name}", {"tags": []}) for one in made for name in SAID]
        return len(found) == 3 * len(SAID) and all(TAJ_TREE[-1] in one["tags"] for one in tagged)

    return complete


@needs_exiftool
@needs("digikam")
def test_digikam_shows_our_tags_and_all_that_it_showed_before(photos, tmp_path, screen):
    """What a photo says itself must not be hidden by a sidecar, which is all that digiKam then reads."""
    found = ask_digikam(photos, tmp_path / "home", screen, taken_up("beside", "inside"))
    for name in SAID:
        before = found[f"was-{name}"]
        for after in (found[f"beside-{name}"], found[f"inside-{name}"]):
            assert after.pop("tags") == sorted({*before["tags"], *TAJ_TREE}), name
            assert after["place"][0] == pytest.approx(before["place"][0] if before["place"] else TAJ_SPOT)
            assert after["town"] == (before["town"] or [("Agra",)])
            captions = before["captions"] or [(f"{TAJ.caption}. {TAJ.notice}",)]
            assert after["captions"] == captions, name
            for key in ("taken", "stars", "titles", "rights", "faces"):
                assert after[key] == before[key], (name, key)


@needs_exiftool
@needs("shotwell")
def test_shotwell_shows_our_tags_and_all_that_it_showed_before(photos, tmp_path, screen):
    """It reads no sidecars, and no caption that others read; each step of a tree is a tag."""
    found = ask_shotwell(photos, tmp_path / "home", screen, taken_up("inside"))
    steps = {"Places", "Places/India", "Places/India/Agra", "Landmarks"}
    for name in SAID:
        before, after = found[f"was-{name}"], found[f"inside-{name}"]
        assert after.pop("tags") == sorted({*before.pop("tags"), *steps, *TAJ_TREE}), name
        assert after == before
        assert found[f"beside-{name}"] | {"tags": []} == before | {"tags": []}
