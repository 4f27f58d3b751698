"""What the app gives to download: tagged copies, sidecars, copies without metadata, all of them as a zip."""

import csv
import io
import zipfile

import numpy as np
import pytest
from app_library import button, cards, send
from conftest import encode, quarters
from PIL import Image

from src.app import downloads as downloads_module
from src.app import page as app_module
from src.photos.decode import open_photo
from src.photos.read_metadata import read_taken


@pytest.fixture
def downloads(app, monkeypatch):
    """What the browser would save: names and contents, put together from the messages."""
    saved, parts = {}, []

    def receive(content, buffers=()):
        if content["kind"] != "file":
            return
        if content["part"] == 1:
            parts.clear()
        parts.extend(map(bytes, buffers))
        assert len(parts[-1]) <= downloads_module.PART
        if content["last"]:
            saved[content["name"]] = b"".join(parts)
            parts.clear()

    monkeypatch.setattr(app.area, "send", receive)
    return saved


def test_tags_are_chips_to_switch_off(app, jpeg, downloads):
    send(app, ("IMG_1.jpg", jpeg))
    assert "#TajMahal #Agra #India #Mausoleum" in cards(app)[0]
    button(app, "Agra").value = False
    assert "#TajMahal #India #Mausoleum" in cards(app)[0]
    button(app, "Sidecar (XMP)").click()
    assert b"<rdf:li>Taj Mahal</rdf:li>" in downloads["IMG_1.jpg.xmp"]
    assert b"Agra" not in downloads["IMG_1.jpg.xmp"]
    button(app, "Taj Mahal").value = False
    button(app, "Tagged copy").click()
    assert "IMG_1-tagged.jpg" not in downloads
    assert "Taj Mahal is switched off, and no tags are written without it: switch it on." in cards(app)[0]


def test_a_tagged_copy_and_one_without_metadata(app, downloads):
    exif = Image.Exif()
    exif[0x010F] = "Secret camera"
    photo = encode(quarters(320, 240), exif=exif)
    send(app, ("IMG_1.jpg", photo))
    button(app, "Tagged copy").click()
    button(app, "Copy without any metadata").click()
    tagged, bare = downloads["IMG_1-tagged.jpg"], downloads["IMG_1-bare.jpg"]
    assert read_taken(open_photo(photo)).latitude is None
    gps = Image.open(io.BytesIO(tagged)).getexif().get_ifd(0x8825)
    assert (gps[1], [float(part) for part in gps[2]]) == ("N", [27, 10.5, 0])
    assert b"Secret camera" in tagged
    assert b"Secret camera" not in bare
    for copy in (tagged, bare):
        assert np.array_equal(Image.open(io.BytesIO(copy)), Image.open(io.BytesIO(photo)))


def test_all_as_a_zip(app, jpeg, downloads, monkeypatch):
    monkeypatch.setattr(downloads_module, "PART", 1000)  # so that it comes in many parts
    gif = encode(quarters(), "GIF")
    send(app, ("a.jpg", jpeg), ("A.jpg", jpeg), ("b.gif", gif), ("c.pdf", b"%PDF"))
    button(app, "Download all (zip)").click()
    with zipfile.ZipFile(io.BytesIO(downloads["landmark-tagger.zip"])) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a.jpg", "A (2).jpg", "b.gif", "b.gif.xmp", "tags.csv"]
        assert archive.read("b.gif") == gif
        assert b"Taj Mahal" in archive.read("a.jpg")
        rows = list(csv.DictReader(io.StringIO(archive.read("tags.csv").decode())))
    assert [row["path"] for row in rows] == ["a.jpg", "A (2).jpg", "b.gif"]
    assert [row["landmark"] for row in rows] == ["Taj Mahal"] * 3
    assert rows[0]["tags"] == "Taj Mahal;Agra;India;mausoleum"


def test_sidecars_in_a_zip_are_called_like_their_photos(app, downloads):
    """Two phones may both have an IMG_1; the second is renamed, and so is its sidecar."""
    gif = encode(quarters(), "GIF")
    send(app, ("IMG_1.gif", gif), ("IMG_1.gif", gif))
    button(app, "Download all (zip)").click()
    with zipfile.ZipFile(io.BytesIO(downloads["landmark-tagger.zip"])) as archive:
        names = archive.namelist()
    assert names == ["IMG_1.gif", "IMG_1.gif.xmp", "IMG_1 (2).gif", "IMG_1 (2).gif.xmp", "tags.csv"]


def test_a_file_after_one_that_broke_off_is_whole(app, jpeg, downloads, monkeypatch):
    monkeypatch.setattr(downloads_module, "PART", 1000)
    send(app, ("a.jpg", jpeg), ("b.gif", encode(quarters(), "GIF")))

    def fail(name):
        raise RuntimeError(name)

    monkeypatch.setattr(app.cards[1], "files", fail)
    button(app, "Download all (zip)").click()
    assert "landmark-tagger.zip" not in downloads
    assert "Something went wrong (RuntimeError); please try again." in app.status.value
    button(app, "Tagged copy").click()
    assert Image.open(io.BytesIO(downloads["a-tagged.jpg"])).size == Image.open(io.BytesIO(jpeg)).size


def test_photos_beyond_the_limit_are_forgotten(app, jpeg, downloads, monkeypatch):
    monkeypatch.setattr(app_module, "KEPT_BYTES", 2 * len(jpeg))
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        send(app, (name, jpeg))
    assert [card.size > 0 for card in app.cards] == [True, True, False]
    assert "To download this photo, upload it again." in cards(app)[2]
    button(app, "Download all (zip)").click()
    with zipfile.ZipFile(io.BytesIO(downloads["landmark-tagger.zip"])) as archive:
        assert archive.namelist() == ["c.jpg", "b.jpg", "tags.csv"]
