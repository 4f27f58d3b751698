"""The app's widgets, without a browser: messages of the page's script become photos, within limits."""

import base64
import gc
import json
import logging
import re

import ipywidgets
import pytest
from app_library import FakePredictor, button, cards, inside, send, send_part, sent, text
from conftest import encode, quarters
from PIL import Image

from src.app import page as app_module
from src.app import uploads as uploads_module
from src.app.page import LandmarkApp
from src.photos import decode as photos


def test_progress_is_shown_photo_by_photo(app, jpeg):
    seen = []
    app.status.observe(lambda change: seen.append(text(change["new"])), "value")
    send(app, ("a.jpg", jpeg), ("b.jpg", jpeg))
    assert seen == ["Looking at photo 1 of 2 …", "Looking at photo 2 of 2 …", "Looked at 2 photos."]


def test_newest_upload_first_and_the_same_file_again(app, jpeg):
    send(app, ("a.jpg", jpeg), ("b.jpg", jpeg))
    send(app, ("c.jpg", jpeg))
    send(app, ("c.jpg", jpeg))
    names = [re.search("<figcaption>(.*?)<", card)[1] for card in cards(app)]
    assert names == ["c.jpg", "c.jpg", "a.jpg", "b.jpg"]


def test_clear(app, jpeg):
    assert app.clear.layout.display == "none"
    send(app, ("a.jpg", jpeg))
    assert app.clear.layout.display != "none"
    [card] = app.results.children
    parts = list(inside(card))
    app.clear.click()
    assert app.results.children == ()
    assert app.clear.layout.display == "none"
    assert text(app.status.value) == ""
    assert all(part.comm is None or part.model_id is None for part in parts)  # closed: held nowhere
    send(app, ("a.jpg", jpeg))
    assert len(cards(app)) == 1


def test_nothing_of_an_upload_reaches_the_page_the_disk_or_the_log(app, jpeg, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    caplog.set_level(logging.DEBUG)
    send(app, ("private.jpg", jpeg), ("rubbish-name.jpg", b"rubbish"))
    state = json.dumps(ipywidgets.Widget.get_manager_state(), default=lambda data: bytes(data).hex())
    assert base64.b64encode(jpeg).decode()[40:140] not in state
    assert jpeg[30:90].hex() not in state
    assert list(tmp_path.iterdir()) == []
    assert "private" not in caplog.text
    assert "rubbish" not in caplog.text


@pytest.mark.parametrize(
    ("about", "error"),
    [({"part": None}, "TypeError"), ({"of": "x"}, "ValueError"), ({"size": []}, "TypeError")],
)
def test_a_message_that_makes_no_sense_is_a_sentence_and_answered(app, monkeypatch, about, error):
    messages = sent(app, monkeypatch)
    send_part(app, b"x", **about)
    assert f"Something went wrong ({error}); please try again." in app.status.value
    assert messages == [({"kind": "received"}, [])]


def test_a_photo_in_parts(app, jpeg, monkeypatch):
    messages, third = sent(app, monkeypatch), len(jpeg) // 3
    pieces = [jpeg[:third], jpeg[third : 2 * third], jpeg[2 * third :]]
    for number, piece in enumerate(pieces, 1):
        assert cards(app) == []
        send_part(app, piece, photo=1, of=2, part=number, parts=3, size=len(jpeg))
        assert messages == number * [({"kind": "received"}, [])]
    assert "Taj Mahal — Agra, India" in cards(app)[0]
    send_part(app, jpeg, photo=2, of=2, name="next.jpg")
    assert len(cards(app)) == 2
    assert "next.jpg" in cards(app)[1]
    assert text(app.status.value) == "Looked at 2 photos."


def test_a_photo_that_broke_off_does_not_spoil_the_next(app, jpeg):
    size = len(jpeg)
    send_part(app, jpeg[:500], part=1, parts=2, size=size, name="first.jpg")
    send_part(app, jpeg[:200], part=1, parts=2, size=size, name="second.jpg")
    send_part(app, jpeg[200:], part=2, parts=2, size=size, name="second.jpg")
    assert "Taj Mahal — Agra, India" in cards(app)[0]


def test_a_photo_that_the_browser_did_not_send_for_its_size(app):
    send_part(app, b"", size=photos.MAX_BYTES + 2**20)
    assert "big.jpg has 51 MB, and at most 50 MB can be read; use a smaller copy." in cards(app)[0]


def test_parts_without_end_are_not_collected(app, monkeypatch):
    monkeypatch.setattr(uploads_module, "MAX_BYTES", 1000)
    monkeypatch.setattr(photos, "MAX_BYTES", 1000)
    for number in range(1, 21):
        send_part(app, b"x" * 400, part=number, parts=20, size=8000)
        assert sum(map(len, app.area._inbox._parts)) <= 1000
    assert "big.jpg has 1 MB, and at most" in cards(app)[0]


def test_a_photo_is_opened_once(app, jpeg, monkeypatch):
    opened, init = [], photos.OpenedPhoto.__init__

    def count(photo, name, *args):
        opened.append(name)
        init(photo, name, *args)

    monkeypatch.setattr(photos.OpenedPhoto, "__init__", count)
    send(app, ("a.jpg", jpeg), ("b.jpg", photo_of_an_outing(1)))
    assert opened == ["a.jpg", "b.jpg"]


def alive():
    """How many widgets there are, whether the page shows them or not."""
    gc.collect()
    return sum(issubclass(type(thing), ipywidgets.Widget) for thing in gc.get_objects())


def test_clear_leaves_no_widget_behind(app, jpeg):
    send(app, ("a.jpg", jpeg))
    button(app, "Show heat map").value = True
    app.clear.click()
    before = alive()
    for _ in range(2):
        send(app, ("a.jpg", jpeg), ("b.jpg", jpeg), ("bad.jpg", b"rubbish"))
        app.cards[0].forget()
        app.clear.click()
    assert alive() == before


def test_only_the_newest_cards_stay(app, jpeg, monkeypatch):
    monkeypatch.setattr(app_module, "KEPT_CARDS", 3)
    send(app, ("a.jpg", jpeg), ("b.jpg", jpeg))
    send(app, ("c.jpg", b"rubbish"))
    assert text(app.status.value) == "This photo could not be read. The page keeps the newest 3."
    before = alive()
    send(app, ("d.jpg", jpeg))
    assert [card.report.name for card in app.cards] == ["d.jpg", "b.jpg"]
    assert len(cards(app)) == 3
    assert alive() == before
    said = []
    app.status.observe(lambda change: said.append(text(change["new"])), "value")
    send(app, *[(f"{number}.jpg", jpeg) for number in range(5)])
    assert said[0] == "Looking at photo 1 of 5 … The page keeps the newest 3."
    assert [card.report.name for card in app.cards] == ["2.jpg", "3.jpg", "4.jpg"]
    assert text(app.status.value) == "Looked at 5 photos. The page keeps the newest 3."


class Doubting(FakePredictor):
    """Sure of the first photo, in doubt about the others."""

    def predict(self, pictures):
        self.known = self.best = 0.9 if not self.seen else 0.45
        return super().predict(pictures)


def photo_of_an_outing(minute, side=320):
    exif = Image.Exif()
    exif[0x8769] = {0x9003: f"2024:05:01 10:{minute:02}:00"}
    return encode(quarters(side, 240), exif=exif)


@pytest.mark.parametrize("together", [True, False])
def test_photos_of_one_upload_are_evidence_for_each_other(together):
    app = LandmarkApp(Doubting(), together=together)
    far = encode(quarters(320, 240))
    send(app, ("a.jpg", photo_of_an_outing(0)), ("b.jpg", photo_of_an_outing(1)), ("far.jpg", far))
    _, helped, far = cards(app)
    assert (
        "Counts 1 photo taken nearby as evidence; the picture alone: Taj Mahal, 45 %." in text(helped)
    ) is together
    assert ("lt-known" in helped) is together
    assert "evidence" not in far
    assert "lt-unknown" in far


def test_photos_that_are_added_while_others_are_sent_start_from_the_answers_alone():
    """The upload grows after its last photo came: all are revised again, each neighbour counts once."""
    files = [(f"{minute}.jpg", photo_of_an_outing(minute)) for minute in range(3)]
    grown, at_once = LandmarkApp(Doubting()), LandmarkApp(Doubting())
    send(grown, *files[:2], of=2)
    send(grown, *files[2:], photo=3, of=3)
    send(at_once, *files)
    assert "the picture alone: Taj Mahal, 45 %." in text(cards(grown)[1])
    assert [card.record for card in grown.cards] == [card.record for card in at_once.cards]
    assert grown.cards[1].record.probability_alone == 0.45


def test_copies_of_one_photo_are_no_evidence_for_each_other():
    app = LandmarkApp(FakePredictor(known=0.45, best=0.45))
    send(app, *[(f"{number}.jpg", photo_of_an_outing(0)) for number in range(3)])
    assert [card.record.probability for card in app.cards] == [0.45] * 3


def test_what_is_too_far_to_be_seen_is_said():
    app = LandmarkApp(FakePredictor())
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)}
    send(app, ("paris.jpg", encode(quarters(320, 240), exif=exif)))
    said = text(cards(app)[0])
    evidence = r"Taken 6,\d{3} km from Taj Mahal, too far to see it; the picture alone: Taj Mahal, 90 %\."
    assert re.search(evidence, said)
    assert "No landmark that I know." in said
    assert "none of them" not in said  # the picture does look like one


def test_its_position_is_evidence_that_is_said():
    app = LandmarkApp(FakePredictor(known=0.6, best=0.6))
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (27.0, 10.0, 30.0), 3: "E", 4: (78.0, 2.0, 30.0)}
    send(app, ("agra.jpg", encode(quarters(320, 240), exif=exif)))
    assert "Counts its position as evidence; the picture alone: Taj Mahal, 60 %." in text(cards(app)[0])
