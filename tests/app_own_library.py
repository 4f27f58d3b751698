"""What the tests of places of a person's own in the app share: photos, and what a person does and reads."""

import re
from html import unescape

import pytest
from app_library import button, inside, text
from conftest import encode
from PIL import Image

from src.app.correcting import CORRECT, NAME_IT, Form
from src.app.page import LandmarkApp
from src.inference.predictor import Predictor


def picture(*colour, size=(320, 240), **options):
    return encode(Image.new("RGB", size, colour), **options)


CYAN, CYAN_TOO = picture(20, 200, 200), picture(30, 190, 190)
RED, YELLOW = picture(220, 20, 20), picture(200, 200, 20)
GARDEN = {"name": "Grandma's garden", "position": "51.5, -0.25", "tags": "family, garden , family"}


@pytest.fixture(scope="module")
def own_predictor(tiny_export):
    """A model that can be taught."""
    return Predictor.load(tiny_export)


@pytest.fixture
def own_app(own_predictor):
    """The app with it; a test file calls it `app`, in the place of the one that all have."""
    return LandmarkApp(own_predictor)


def asking(card):
    """The labels of what opens the form of a card."""
    labels = [getattr(part, "description", "") for part in inside(card)]
    return [label for label in labels if label in (CORRECT, NAME_IT)]


def open_form(card):
    [label] = asking(card)
    button(card, label).click()
    [form] = [part for part in inside(card) if isinstance(part, Form)]
    return form


def teach(card, name, position="", tags=""):
    form = open_form(card)
    form.name.value, form.position.value, form.tags.value = name, position, tags
    button(card, "Confirm").click()


def headline(card):
    return unescape(re.search("<h2>(.*?)</h2>", card._answer.value)[1])


def panel(app):
    return text(" ".join(part.value for part in inside(app.panel) if hasattr(part, "value")))
