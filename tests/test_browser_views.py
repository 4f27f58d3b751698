"""The page at every width, in light and dark, and its maps: the real Voila server, driven in Chromium."""

import re
from itertools import accumulate

import pytest
from app_own_library import RED
from browsing import CHROMIUM, GRAY, GREEN, ROOT, assert_fits, sync_api
from conftest import cleared_visit

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM, reason="needs Debian's chromium")]

LONG = "a-rather-long-file-name-without-a-single-space-as-some-cameras-give-them-0123456789.jpg"

visit = cleared_visit


def test_phone_window_has_nothing_to_scroll_sideways(visit):
    visit.page.set_viewport_size({"width": 390, "height": 844})
    visit.upload(("a.jpg", RED), (LONG, GREEN), (LONG, b"rubbish"), ("gray.jpg", GRAY))
    visit.page.get_by_text("It knows 3 landmarks").click()
    widths = visit.page.evaluate(
        "[document.documentElement.scrollWidth, document.body.scrollWidth, "
        "...[...document.querySelectorAll('.lt-app *:not(svg *)')].map(e => e.getBoundingClientRect().right)]"
    )
    assert max(widths) <= 390
    photo, answer = (visit.page.locator(f".lt-card {part}").first.bounding_box() for part in ("figure", "h2"))
    assert answer["y"] > photo["y"] + photo["height"] - 1  # below each other


def test_on_a_phone_photos_come_first_once_there_are_some(visit):
    visit.page.set_viewport_size({"width": 390, "height": 844})
    formats = visit.page.locator("#lt-formats")
    sync_api.expect(formats).to_be_visible()
    visit.upload(("a.jpg", RED))
    sync_api.expect(formats).to_be_hidden()
    box = visit.page.get_by_role("heading", name="Taj Mahal — Agra, India").bounding_box()
    assert box["y"] + box["height"] < 844
    for control in visit.page.locator(".lt-card :is(button, summary)").all():
        if control.is_visible():
            assert control.bounding_box()["height"] >= 43  # pixels that a finger meets


def switch_off(visit):
    visit.upload(("a.jpg", RED))
    for name in ("Agra", "Taj Mahal"):
        visit.page.get_by_role("button", name=name, exact=True).click()
    visit.page.get_by_role("button", name="Tagged copy").click()
    sync_api.expect(visit.page.get_by_role("alert")).to_contain_text("Taj Mahal is switched off")


def show_heat(visit):
    visit.upload(("a.jpg", RED))
    visit.page.get_by_role("button", name="Show heat map").click()
    sync_api.expect(visit.page.get_by_role("button", name="Hide heat map")).to_be_visible()


STATES = {
    "empty": lambda visit: None,
    "one": lambda visit: visit.upload(("a.jpg", RED)),
    "ten": lambda visit: visit.upload(*[(f"{number}.jpg", RED) for number in range(10)]),
    "error": lambda visit: visit.upload(("holiday.pdf", b"%PDF-1.7")),
    "long name": lambda visit: visit.upload((LONG, RED), (LONG, b"rubbish")),
    "unknown": lambda visit: visit.upload(("gray.jpg", GRAY)),
    "switched off": switch_off,
    "heat": show_heat,
    "landmarks": lambda visit: visit.page.get_by_text("It knows 3 landmarks").click(),
    "ended": lambda visit: visit.page.evaluate("document.querySelector('.lt-ended').hidden = false"),
}


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_accessible_and_fits_its_window(new_visit, state):
    new_visit.page.set_viewport_size({"width": 390, "height": 844})
    sync_api.expect(new_visit.page.get_by_role("main")).to_be_visible()
    STATES[state](new_visit)
    new_visit.page.mouse.move(0, 0)
    assert_fits(new_visit)


def test_map_zooms_and_moves_and_its_pin_keeps_its_size(visit):
    visit.upload(("a.jpg", RED))
    svg, pin = visit.page.locator(".lt-map > svg"), visit.page.locator(".lt-mark")
    x, y, width, _ = map(float, svg.get_attribute("viewBox").split())
    size = pin.bounding_box()
    visit.page.get_by_role("button", name="Zoom in").click()
    assert float(svg.get_attribute("viewBox").split()[2]) == pytest.approx(width / 2)
    assert pin.bounding_box()["width"] == pytest.approx(size["width"], rel=0.05)
    assert pin.bounding_box()["height"] == pytest.approx(size["height"], rel=0.05)
    visit.page.get_by_role("button", name="Zoom out").click()
    svg.drag_to(svg, source_position={"x": 200, "y": 100}, target_position={"x": 150, "y": 120})
    moved = list(map(float, svg.get_attribute("viewBox").split()))
    scale = width / svg.bounding_box()["width"]
    assert moved[:3] == pytest.approx([x + 50 * scale, y - 20 * scale, width], abs=scale)


def outline_in(svg):
    """How many bends of coasts and borders a map shows."""
    x, y, width, height = map(float, svg.get_attribute("viewBox").split())
    return sum(x < east < x + width and y < south < y + height for east, south in outline())


def outline():
    for path in re.findall(r' d="([^"]*)"', (ROOT / "src" / "landmarks" / "world.svg").read_text()):
        for line in path.split("M")[1:]:
            steps = [int(number) for number in re.findall(r"-?\d+", line)]
            yield from zip(accumulate(steps[::2]), accumulate(steps[1::2]), strict=True)


def test_no_map_is_blank_however_near_one_looks(visit):
    """Agra lies far from any coast, and the middle of Australia farther."""
    visit.upload(("a.jpg", RED))
    card = visit.page.locator(".lt-card")
    svg, nearer = card.locator(".lt-map > svg"), card.get_by_role("button", name="Zoom in")
    sync_api.expect(nearer).to_be_enabled()
    for _ in range(9):
        nearer.click(force=True)
    sync_api.expect(nearer).to_be_disabled()
    assert outline_in(svg) >= 20
    assert 500 <= float(svg.get_attribute("viewBox").split()[2]) < 2500
    visit.page.get_by_role("button", name="Zoom out").click()
    sync_api.expect(nearer).to_be_enabled()

    visit.page.get_by_role("button", name="Right or wrong? Say so").click()
    visit.page.get_by_label("Which place is it?").fill("Camp")
    form = visit.page.locator(".lt-form")
    for _ in range(9):
        form.get_by_role("button", name="Zoom in").click(force=True)
    svg = form.locator("svg[data-pick]")
    visit.page.get_by_label("Where is it?").fill("-24.5, 133.5")
    pin = svg.locator(".lt-mark:not(.lt-cross)")
    sync_api.expect(pin).to_have_attribute("data-x", "13350")
    assert outline_in(svg) >= 20
    x, _, width, _ = map(float, svg.get_attribute("viewBox").split())
    assert x + width / 2 == pytest.approx(13350)  # still in the middle
    svg.focus()
    for _ in range(8):
        visit.page.keyboard.press("+")
        visit.page.keyboard.press("ArrowLeft")
        assert outline_in(svg) >= 20
