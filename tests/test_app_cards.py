"""The app's widgets, without a browser: what is shown for good and bad photos, and what is kept of them."""

import base64
import io
import json
import logging
import re

import ipywidgets
import pytest
from app_library import OTHERS, TAJ, FakePredictor, button, cards, chosen, inside, text
from conftest import encode, quarters
from PIL import Image

from src.app import card as cards_module
from src.app import page as app_module
from src.app.page import LandmarkApp
from src.landmarks.answer import Answer, Guess
from src.photos import decode as photos


def test_a_recognised_photo(app, jpeg):
    app.upload.value = chosen(("IMG_1.jpg", jpeg))
    [card] = cards(app)
    assert "<h2>Taj Mahal — Agra, India</h2>" in card
    assert "lt-known" in card
    assert "IMG_1.jpg" in card
    bars = re.findall(r"<li>(.*?)</li>", card)
    assert [text(bar) for bar in bars] == [
        "Taj Mahal Agra, India 93 %",
        "Eiffel Tower Paris, France 2 %",
        "Hawa Mahal Jaipur, India 2 %",
        "Stonehenge Wiltshire, United Kingdom 2 %",
        "&lt;b&gt;Nowhere&lt;/b&gt; 2 %",
    ]
    assert re.findall(r'style="width:([0-9.]+)%"', card)[0] == "93.0"
    assert text(app.status.value) == "Looked at 1 photo."


def test_an_unknown_photo_gets_no_name_as_its_headline(jpeg):
    app = LandmarkApp(FakePredictor(known=0.12, best=0.12))
    app.upload.value = chosen(("IMG_1.jpg", jpeg))
    [card] = cards(app)
    sentence = "It looks most like Taj Mahal, but I am not sure enough to say so (12 %)."
    assert f"No landmark that I know. {sentence}" in text(card)
    assert "Taj Mahal" not in re.search("<h2>(.*?)</h2>", card)[1]
    assert "lt-unknown" in card
    assert "lt-known" not in card
    assert "What is closest" in card
    assert card.count("<li>") == 5


@pytest.mark.parametrize(
    ("probability", "shown"),
    [(0, "< 1 %"), (0.004, "< 1 %"), (0.126, "13 %"), (0.994, "> 99 %"), (1, "> 99 %")],
)
def test_never_quite_sure(probability, shown):
    assert cards_module.percent(probability) == shown


def test_fewer_than_five_landmarks(jpeg):
    predictor = FakePredictor()
    predictor.predict = lambda pictures: [Answer((Guess(TAJ, 0.7), Guess(OTHERS[0], 0.3)), 0.7, True)]
    app = LandmarkApp(predictor)
    app.upload.value = chosen(("IMG_1.jpg", jpeg))
    assert cards(app)[0].count("<li>") == 2
    assert "five" not in cards(app)[0]


def test_one_bad_photo_says_why_and_the_others_go_on(app, jpeg):
    app.upload.value = chosen(
        ("a.jpg", jpeg), ("holiday.pdf", b"%PDF"), ("cut.jpg", jpeg[:300]), ("b.jpg", jpeg)
    )
    shown = cards(app)
    assert len(shown) == 4
    assert "a.jpg" in shown[0]
    assert "holiday.pdf is not a picture that can be read here; use JPEG, PNG, WebP, GIF or HEIC." in shown[1]
    assert "cut.jpg is damaged or incomplete" in shown[2]
    assert "Taj Mahal — Agra, India" in shown[3]
    assert text(app.status.value) == "Looked at 4 photos; 2 of them could not be read."


def test_progress_is_shown_photo_by_photo(app, jpeg):
    seen = []
    app.status.observe(lambda change: seen.append(text(change["new"])), "value")
    app.upload.value = chosen(("a.jpg", jpeg), ("b.jpg", jpeg))
    assert seen == ["Looking at photo 1 of 2 …", "Looking at photo 2 of 2 …", "Looked at 2 photos."]


def test_an_error_inside_is_a_sentence(app, jpeg):
    def fail(pictures):
        raise RuntimeError("secret path /srv/model")

    app._predictor.predict = fail
    app.upload.value = chosen(("a.jpg", jpeg))
    assert "a.jpg could not be looked at (RuntimeError); try another photo." in cards(app)[0]
    assert "secret" not in str(cards(app)) + app.status.value
    assert text(app.status.value) == "This photo could not be read."


def test_a_message_that_makes_no_sense_is_a_sentence(app):
    [file] = chosen(("a.jpg", b""))
    app.upload.value = (file | {"content": None},)
    assert "Something went wrong (TypeError); please try again." in app.status.value
    assert "data-received" in app.receipt.value


@pytest.mark.parametrize("data", [b"no picture", None])
def test_names_are_text(app, jpeg, data):
    name = "<img src=x onerror=alert(1)>\"'&amp;.jpg"
    app.upload.value = chosen((name, data or jpeg))
    [card] = cards(app)
    assert "<img src=x" not in card
    assert "&lt;img src=x onerror=alert(1)&gt;" in card
    assert 'alert(1)>"' not in card


def test_newest_upload_first_and_the_same_file_again(app, jpeg):
    app.upload.value = chosen(("a.jpg", jpeg), ("b.jpg", jpeg))
    app.upload.value = chosen(("c.jpg", jpeg))
    app.upload.value = chosen(("c.jpg", jpeg))
    names = [re.search("<figcaption>(.*?)<", card)[1] for card in cards(app)]
    assert names == ["c.jpg", "c.jpg", "a.jpg", "b.jpg"]


def test_clear(app, jpeg):
    assert app.clear.layout.display == "none"
    app.upload.value = chosen(("a.jpg", jpeg))
    assert app.clear.layout.display != "none"
    [card] = app.results.children
    parts = list(inside(card))
    app.clear.click()
    assert app.results.children == ()
    assert app.clear.layout.display == "none"
    assert text(app.status.value) == ""
    assert all(part.comm is None or part.model_id is None for part in parts)  # closed: held nowhere
    app.upload.value = chosen(("a.jpg", jpeg))
    assert len(cards(app)) == 1


def test_the_photo_is_seen_upright_and_small(app):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Secret camera"
    stored = quarters(2000, 1600).transpose(Image.Transpose.ROTATE_90)
    app.upload.value = chosen(("turned.jpg", encode(stored, exif=exif, quality=95)))
    [card] = cards(app)
    source = re.search('src="data:image/jpeg;base64,([^"]+)"', card)[1]
    small = Image.open(io.BytesIO(base64.b64decode(source)))
    assert small.size == (640, 512)
    assert 'width="640" height="512"' in card
    assert small.getpixel((9, 9))[0] > 240  # red is at the top left
    assert not small.getexif()
    assert app._predictor.seen[0].size == (1000, 800)


def test_nothing_of_an_upload_reaches_the_page_the_disk_or_the_log(app, jpeg, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    caplog.set_level(logging.DEBUG)
    app.upload.value = chosen(("private.jpg", jpeg), ("rubbish-name.jpg", b"rubbish"))
    assert app.upload.value == ()
    state = json.dumps(ipywidgets.Widget.get_manager_state(), default=lambda data: bytes(data).hex())
    assert base64.b64encode(jpeg).decode()[40:140] not in state
    assert jpeg[30:90].hex() not in state
    assert list(tmp_path.iterdir()) == []
    assert "private" not in caplog.text
    assert "rubbish" not in caplog.text


def part(data, photo=1, photos_=1, number=1, parts=1, size=None, name="big.jpg"):
    size = len(data) if size is None else size
    kind = f"application/x-photo-part; photo={photo}/{photos_}; part={number}/{parts}; size={size}"
    return chosen((name, data, kind))


def test_a_photo_in_parts(app, jpeg):
    third = len(jpeg) // 3
    pieces = [jpeg[:third], jpeg[third : 2 * third], jpeg[2 * third :]]
    for number, piece in enumerate(pieces, 1):
        assert cards(app) == []
        app.upload.value = part(piece, 1, 2, number, 3, len(jpeg))
        assert app.receipt.value == f'<i data-received="{number}"></i>'
    assert "Taj Mahal — Agra, India" in cards(app)[0]
    app.upload.value = part(jpeg, 2, 2, name="next.jpg")
    assert len(cards(app)) == 2
    assert "next.jpg" in cards(app)[1]
    assert text(app.status.value) == "Looked at 2 photos."


def test_a_photo_that_broke_off_does_not_spoil_the_next(app, jpeg):
    app.upload.value = part(jpeg[:500], 1, 1, 1, 2, len(jpeg), name="first.jpg")
    app.upload.value = part(jpeg[:200], 1, 1, 1, 2, len(jpeg), name="second.jpg")
    app.upload.value = part(jpeg[200:], 1, 1, 2, 2, len(jpeg), name="second.jpg")
    assert "Taj Mahal — Agra, India" in cards(app)[0]


def test_a_photo_that_the_browser_did_not_send_for_its_size(app):
    app.upload.value = part(b"", size=photos.MAX_BYTES + 2**20)
    assert "big.jpg has 51 MB, and at most 50 MB can be read; use a smaller copy." in cards(app)[0]


def test_parts_without_end_are_not_collected(app, monkeypatch):
    monkeypatch.setattr(app_module, "MAX_BYTES", 1000)
    monkeypatch.setattr(photos, "MAX_BYTES", 1000)
    for number in range(1, 21):
        app.upload.value = part(b"x" * 400, 1, 1, number, 20, 8000)
        assert sum(map(len, app._inbox._parts)) <= 1000
    assert "big.jpg has 0 MB, and at most" in cards(app)[0]


def test_a_map_with_pin_and_extent(app, jpeg):
    app.upload.value = chosen(("a.jpg", jpeg))
    [card] = cards(app)
    x, y = re.search('<g class="lt-mark" data-x="([^"]+)" data-y="([^"]+)"', card).groups()
    assert float(x) == pytest.approx(7804.2, abs=0.1)
    assert float(y) == pytest.approx(-2825.5, abs=0.1)  # EPSG:3857: 3,145,320 m north
    assert 'class="lt-extent"' in card
    assert "27.1751° N, 78.0421° E" in card
    assert "This photo can be located even though it carries no GPS position." in card


def test_a_photo_that_says_where_it_was_taken(app):
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (27.0, 10.0, 30.0), 3: "E", 4: (78.0, 2.0, 30.0)}
    app.upload.value = chosen(("a.jpg", encode(quarters(320, 240), exif=exif)))
    [card] = cards(app)
    assert "The file itself says 27.1750° N, 78.0417° E</b>, 40 m from Taj Mahal: whoever gets" in card
    assert card.count('class="lt-mark"') == 2
    assert "can be located" not in card


def test_an_unknown_photo_has_no_map_and_no_tags(jpeg):
    app = LandmarkApp(FakePredictor(known=0.12, best=0.12))
    app.upload.value = chosen(("a.jpg", jpeg))
    labels = [getattr(part, "description", "") for part in inside(app)]
    assert "lt-map" not in cards(app)[0]
    assert "Tagged copy" not in labels
    assert "Copy without any metadata" in labels


def test_where_it_looked_is_laid_over_the_picture(app):
    app.upload.value = chosen(("a.jpg", encode(Image.new("RGB", (400, 200), "white"))))

    def pixel(x, y):
        source = re.search('src="data:image/jpeg;base64,([^"]+)"', cards(app)[0])[1]
        return Image.open(io.BytesIO(base64.b64decode(source))).getpixel((x, y))

    assert min(pixel(120, 10)) > 250
    button(app, "Show where it looked").value = True
    assert pixel(120, 10)[2] < 130  # the upper left of the middle square
    assert min(pixel(280, 190)) > 240
    assert min(pixel(50, 10)) > 250  # left of the square
    button(app, "Hide where it looked").value = False
    assert min(pixel(120, 10)) > 250


class Doubting(FakePredictor):
    """Sure of the first photo, in doubt about the others."""

    def predict(self, pictures):
        self.known = self.best = 0.9 if not self.seen else 0.45
        return super().predict(pictures)


@pytest.mark.parametrize("together", [True, False])
def test_photos_of_one_upload_help_each_other(together):
    app = LandmarkApp(Doubting(), together=together)
    exif = Image.Exif()
    exif[0x8769] = {0x9003: "2024:05:01 10:00:00"}
    photo = encode(quarters(320, 240), exif=exif)
    app.upload.value = chosen(("a.jpg", photo), ("b.jpg", photo), ("far.jpg", encode(quarters(320, 240))))
    _, helped, far = cards(app)
    assert ("With 1 photo taken nearby heard as well; alone it was Taj Mahal, 45 %." in helped) is together
    assert ("lt-known" in helped) is together
    assert "heard" not in far
    assert "lt-unknown" in far


def test_landmarks_by_country(app):
    footer = app.children[-1].value
    assert "It knows 5 landmarks" in footer
    order = ["France", "Eiffel Tower", "India", "Hawa Mahal", "Taj Mahal", "United Kingdom", "Elsewhere"]
    places = [footer.index(f">{word}<") for word in order]
    assert places == sorted(places)
    assert "&lt;b&gt;Nowhere&lt;/b&gt;" in footer
