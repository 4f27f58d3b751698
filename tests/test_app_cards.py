"""The app's widgets, without a browser: what is shown for good and bad photos, and what is kept of them."""

import base64
import io
import re
from dataclasses import replace
from html import escape

import pytest
from app_library import OTHERS, TAJ, FakePredictor, button, cards, inside, send, text
from conftest import encode, quarters
from PIL import Image
from raw_samples import raw

from src.app.card import PhotoCard
from src.app.page import LandmarkApp
from src.app.wording import percent
from src.inference.answers import InferenceError
from src.landmarks.answer import Answer, Guess
from src.landmarks.evidence import Revised
from src.photos.formats import FORMATS


def test_a_recognised_photo(app, jpeg):
    send(app, ("IMG_1.jpg", jpeg))
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
    assert "<details" not in card
    assert text(app.status.value) == "Looked at 1 photo."


@pytest.mark.parametrize(
    ("shares", "summary"),
    [
        ((0.97, 0.0, 0.0, 0.0, 0.0), "4 others, each below 1 %"),
        ((0.6, 0.37, 0.01, 0.0099, 0.002), "2 others, each below 1 %"),
        ((0.6, 0.3, 0.02, 0.01, 0.009), "1 other, below 1 %"),
    ],
)
def test_what_is_hardly_likely_is_folded_away(jpeg, shares, summary):
    predictor = FakePredictor()
    guesses = tuple(map(Guess, predictor.landmarks, shares))
    predictor.predict = lambda pictures: [Answer(guesses, 0.97, True)]
    app = LandmarkApp(predictor)
    send(app, ("IMG_1.jpg", jpeg))
    seen, folded = cards(app)[0].split("<details")
    likely = sum(share >= 0.01 for share in shares)
    assert (seen.count("<li>"), folded.count("<li>")) == (likely, 5 - likely)
    assert text(re.search("<summary>(.*?)</summary>", folded)[1]) == summary


def test_what_is_closest_is_shown_however_little_it_is(jpeg):
    predictor = FakePredictor()
    guesses = tuple(map(Guess, predictor.landmarks, (0.009, 0.005, 0.003, 0.002, 0.001)))
    predictor.predict = lambda pictures: [Answer(guesses, 0.02, False)]
    app = LandmarkApp(predictor)
    send(app, ("IMG_1.jpg", jpeg))
    seen, folded = cards(app)[0].split("<details")
    assert "What is closest" in seen
    assert (seen.count("<li>"), folded.count("<li>")) == (1, 4)


def test_an_unknown_photo_gets_no_name_as_its_headline(jpeg):
    app = LandmarkApp(FakePredictor(known=0.12, best=0.12))
    send(app, ("IMG_1.jpg", jpeg))
    [card] = cards(app)
    sentence = "It looks most like Taj Mahal, but I am not sure enough to say so: 12 %, and it takes 50 %."
    assert f"No landmark that I know. {sentence}" in text(card)
    assert "Taj Mahal" not in re.search("<h2>(.*?)</h2>", card)[1]
    assert "lt-unknown" in card
    assert "lt-known" not in card
    assert "What is closest" in card
    assert card.count("<li>") == 5


def test_what_looks_like_no_landmark_at_all_gets_no_list(jpeg):
    app = LandmarkApp(FakePredictor(known=0.004, best=0.004))
    send(app, ("IMG_1.jpg", jpeg))
    [card] = cards(app)
    assert "No landmark that I know. It looks like none of them." in text(card)
    assert "<li>" not in card
    assert "Taj Mahal" not in card


@pytest.mark.parametrize(
    ("probability", "shown"),
    [(0, "< 1 %"), (0.004, "< 1 %"), (0.126, "13 %"), (0.994, "> 99 %"), (1, "> 99 %")],
)
def test_never_quite_sure(probability, shown):
    assert text(percent(probability)) == shown


def test_fewer_than_five_landmarks(jpeg):
    predictor = FakePredictor()
    predictor.predict = lambda pictures: [Answer((Guess(TAJ, 0.7), Guess(OTHERS[0], 0.3)), 0.7, True)]
    app = LandmarkApp(predictor)
    send(app, ("IMG_1.jpg", jpeg))
    assert cards(app)[0].count("<li>") == 2


def test_one_bad_photo_says_why_and_the_others_go_on(app, jpeg):
    send(app, ("a.jpg", jpeg), ("holiday.pdf", b"%PDF"), ("cut.jpg", jpeg[:300]), ("b.jpg", jpeg))
    shown = cards(app)
    assert len(shown) == 4
    assert "a.jpg" in shown[0]
    assert f"holiday.pdf is not a picture that can be read here; use {escape(FORMATS)}." in shown[1]
    assert "cut.jpg is damaged or incomplete" in shown[2]
    assert "Taj Mahal — Agra, India" in shown[3]
    assert text(app.status.value) == "Looked at 4 photos; 2 of them could not be read."


def test_a_photo_that_lacks_a_little_is_answered_with_a_note(app):
    data = encode(quarters(320, 240), quality=95, subsampling=0, restart_marker_rows=1)
    send(app, ("a.jpg", data[: data.rindex(b"\xff\xd3")]), ("b.jpg", data))
    shown = cards(app)
    assert "a.jpg is incomplete: the lowest 3% of the picture are missing." in shown[0]
    assert "Taj Mahal — Agra, India" in shown[0]
    assert "incomplete" not in shown[1]


def test_raw_photos_are_answered_and_get_a_sidecar_but_no_copy(app):
    send(app, ("IMG_1.CR2", raw("CR2", quarters(320, 240))))
    assert "Taj Mahal — Agra, India" in cards(app)[0]
    labels = {getattr(part, "description", "") for part in inside(app)}
    assert "Sidecar (XMP)" in labels
    assert not labels & {"Tagged copy", "Copy without any metadata"}


def test_an_error_inside_is_a_sentence(app, jpeg):
    def fail(pictures):
        raise RuntimeError("secret path /srv/model")

    app._predictor.predict = fail
    send(app, ("a.jpg", jpeg))
    assert "a.jpg could not be read (RuntimeError); try another copy of it." in cards(app)[0]
    assert "secret" not in str(cards(app)) + app.status.value
    assert text(app.status.value) == "This photo could not be read."


@pytest.mark.parametrize("data", [b"no picture", None])
def test_names_are_text(app, jpeg, data):
    name = "<img src=x onerror=alert(1)>\"'&amp;.jpg"
    send(app, (name, data or jpeg))
    [card] = cards(app)
    assert "<img src=x" not in card
    assert "&lt;img src=x onerror=alert(1)&gt;" in card
    assert 'alert(1)>"' not in card


def test_the_photo_is_seen_upright_and_small(app):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Secret camera"
    stored = quarters(2000, 1600).transpose(Image.Transpose.ROTATE_90)
    send(app, ("turned.jpg", encode(stored, exif=exif, quality=95)))
    [card] = cards(app)
    source = re.search('src="data:image/jpeg;base64,([^"]+)"', card)[1]
    small = Image.open(io.BytesIO(base64.b64decode(source)))
    assert small.size == (640, 512)
    assert 'width="640" height="512"' in card
    assert small.getpixel((9, 9))[0] > 240  # red is at the top left
    assert not small.getexif()
    assert app._predictor.seen[0].size == (1000, 800)


def test_a_map_with_pin_and_extent(app, jpeg):
    send(app, ("a.jpg", jpeg))
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
    send(app, ("a.jpg", encode(quarters(320, 240), exif=exif)))
    [card] = cards(app)
    assert "The file itself says 27.1750° N, 78.0417° E</b>, 40 m from Taj Mahal: whoever gets" in card
    assert card.count('class="lt-mark"') == 2
    assert "can be located" not in card


def test_an_unknown_photo_has_no_map_and_no_tags(jpeg):
    app = LandmarkApp(FakePredictor(known=0.12, best=0.12))
    send(app, ("a.jpg", jpeg))
    labels = [getattr(part, "description", "") for part in inside(app)]
    assert "lt-map" not in cards(app)[0]
    assert "Tagged copy" not in labels
    assert "Copy without any metadata" in labels


def test_the_heat_map_is_laid_over_the_picture(app):
    send(app, ("a.jpg", encode(Image.new("RGB", (400, 200), "white"))))

    def pixel(x, y):
        source = re.search('src="data:image/jpeg;base64,([^"]+)"', cards(app)[0])[1]
        return Image.open(io.BytesIO(base64.b64decode(source))).getpixel((x, y))

    assert min(pixel(120, 10)) > 250
    button(app, "Show heat map").value = True
    assert "Orange: what decided most." in cards(app)[0]
    assert pixel(120, 10)[2] < 130  # the upper left of the middle square
    assert min(pixel(280, 190)) > 240
    assert min(pixel(50, 10)) > 250  # left of the square
    button(app, "Hide heat map").value = False
    assert "Orange" not in cards(app)[0]
    assert min(pixel(120, 10)) > 250


def test_landmarks_by_country(app):
    footer = app.children[-1].value
    assert "It knows 5 landmarks" in footer
    order = ["France", "Eiffel Tower", "India", "Hawa Mahal", "Taj Mahal", "United Kingdom", "Elsewhere"]
    places = [footer.index(f">{word}<") for word in order]
    assert places == sorted(places)
    assert "&lt;b&gt;Nowhere&lt;/b&gt;" in footer


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("/srv/model"), "Something went wrong (ValueError); please try again."),
        (InferenceError("The model does not answer."), "The model does not answer."),
    ],
)
def test_a_heat_map_that_fails_is_a_sentence(app, jpeg, error, sentence):
    def fail(picture):
        raise error

    app._predictor.heat = fail
    send(app, ("a.jpg", jpeg))
    button(app, "Show heat map").value = True
    assert f'<p class="lt-alert" role="alert">{sentence}</p>' in cards(app)[0]
    assert button(app, "Show heat map").value is False


def test_tags_stay_switched_off_when_a_card_is_shown_again(app, jpeg):
    send(app, ("a.jpg", jpeg))
    [card] = app.cards
    button(app, "Agra").value = False
    card.show(Revised(card.report.answer, card.report.answer, 1))
    assert button(app, "Agra").value is False
    assert "#TajMahal #India #Mausoleum" in cards(app)[0]
    button(app, "Agra").value = True
    card.show(Revised(card.report.answer, card.report.answer, 2))
    assert "Agra" in card.tags.keywords


def test_a_forgotten_card_offers_no_download_when_it_is_shown_again(app, jpeg):
    send(app, ("a.jpg", jpeg))
    [card] = app.cards
    assert "<h3>Download</h3>" in cards(app)[0]
    card.forget()
    card.show(Revised(card.report.answer, card.report.answer, 1))
    labels = {getattr(part, "description", "") for part in inside(card)}
    assert not labels & {"Tagged copy", "Sidecar (XMP)", "Copy without any metadata"}
    assert "<h3>Download</h3>" not in cards(app)[0]
    button(app, "Show heat map").value = True
    assert "To download this photo, upload it again." in cards(app)[0]


def test_only_what_evidence_changed_is_shown_again(app, jpeg):
    """Chips and buttons of a card are made once, and not again when its upload ends."""
    send(app, ("a.jpg", jpeg), of=2)
    former = list(inside(app.cards[0]))
    send(app, ("b.jpg", jpeg), photo=2)
    assert list(inside(app.cards[0])) == former


def test_making_a_card_asks_no_model(app, jpeg):
    send(app, ("a.jpg", jpeg))
    [card] = app.cards
    app._predictor.predict = app._predictor.heat = None
    PhotoCard(card.report, jpeg, app._predictor, lambda name, make: None)
    with pytest.raises(ValueError, match="not asked"):
        PhotoCard(replace(card.report, answer=None), jpeg, app._predictor, lambda name, make: None)
