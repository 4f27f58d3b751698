"""How the review page looks in Chromium: widths, dark and light, words on buttons, and thumbnails."""

import re

import pytest
from browsing import CHROMIUM, sync_api
from review_page import Review, one_review
from tag_library import LANDMARKS, photo, run

from src.landmarks.answer import Answer, Guess

axe = pytest.importorskip("axe_playwright_python.sync_playwright")
expect = sync_api.expect

pytest_plugins = ("tag_fixtures",)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="needs Debian's chromium"),
]
reviewing = one_review


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "light"), (390, "dark")])
def test_page_is_accessible_and_fits(library, chromium, width, scheme):
    run(library, "--review")
    review = Review(chromium, width=width, color_scheme=scheme, reduced_motion="reduce")
    review.press("y", "n")
    review.name("taj")
    for step in ("photos", "map", "dialog"):
        if step == "map":
            review.page.get_by_text("Map", exact=True).click()
        if step == "dialog":
            review.page.locator('.photo[tabindex="0"]').focus()
            review.press("e")
        response = axe.Axe().run(review.page).response
        assert response["passes"] and [found["id"] for found in response["violations"]] == []
    assert review.page.evaluate("document.documentElement.scrollWidth") <= width
    review.close()


def test_on_a_phone_photos_are_seen_at_once(library, chromium):
    run(library, "--review")
    review = Review(chromium, width=390, height=844)
    photo, panel = (review.page.locator(name).first.bounding_box() for name in (".photo", "#panel"))
    assert photo["y"] + photo["height"] <= panel["y"]
    for button in review.page.locator("button:visible").all():
        assert button.bounding_box()["height"] >= 43  # pixels that a finger meets
    review.close()


def test_what_is_hardly_likely_is_not_offered(library, fake, chromium, monkeypatch):
    rest = Guess(LANDMARKS[1], 0.012), Guess(LANDMARKS[2], 0.009)
    answer = Answer((Guess(LANDMARKS[0], 0.979), *rest), 0.979, True)
    monkeypatch.setattr(fake, "answer", lambda self, picture: answer)
    run(library, "--review")
    review = Review(chromium)
    expect(review.page.locator("#guesses button")).to_have_text("Eiffel Tower 1 %")
    review.close()


def test_what_is_almost_certain_is_not_100_percent_and_no_photo_may_be_recognised(
    library, fake, chromium, monkeypatch
):
    answer = Answer((Guess(LANDMARKS[0], 0.999), Guess(LANDMARKS[1], 0.001)), 0.5, False)
    monkeypatch.setattr(fake, "answer", lambda self, picture: answer)
    run(library, "--review")
    review = Review(chromium)
    expect(review.page.locator("#guesses button")).to_have_text("Taj Mahal > 99 %")
    expect(review.page.locator("#left")).to_have_text("No photo shows a known landmark")
    review.close()


def test_buttons_say_what_they_are_for(reviewing):
    names = lambda: reviewing.page.locator("#panel .bar button:visible").all_inner_texts()  # noqa: E731
    assert names() == ["Right Y", "Wrong N", "Correct it E"]
    reviewing.press(*["ArrowRight"] * 3)
    assert names() == ["No landmark N", "Name it E"]
    guesses = reviewing.page.get_by_role("group", name="What else it may be")
    expect(guesses.get_by_role("heading")).to_have_text("Is it one of these?")
    guesses.get_by_role("button", name=re.compile("Hawa Mahal 33 %")).click()
    assert reviewing.states[3] == "→ Hawa Mahal"


def test_only_thumbnails_near_the_window_are_there(tmp_path, fake, chromium):
    for number in range(300):
        photo(tmp_path / "library" / f"{number}.jpg", "red", side=40 + number)
    run(tmp_path / "library", "--review")
    review = Review(chromium)
    images, there = review.page.locator(".photo img"), review.page.locator(".photo img[src]")
    expect(images.first).to_have_attribute("src", re.compile("^data:image/jpeg"))
    assert 20 < there.count() < 150
    review.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(images.last).to_have_attribute("src", re.compile("^data:image/jpeg"))
    expect(images.first).not_to_have_attribute("src", re.compile("."))
    assert 20 < there.count() < 150
    review.close()
