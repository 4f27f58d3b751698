"""Places of a person's own as a visitor teaches them: in Chromium, by keyboard alone and at every width."""

import shutil

import pytest
from app_own_library import CYAN, CYAN_TOO, RED, YELLOW
from browsing import CHROMIUM, Visit, assert_fits, copy_app, served, sync_api
from conftest import new_visit

from src.inference.own import Taught
from src.inference.own_file import save_own
from src.inference.predictor import Predictor
from src.inference.teaching import see
from src.landmarks.table import Landmark

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM, reason="needs Debian's chromium")]

visit = new_visit


def expect_headlines(visit, *headlines):
    sync_api.expect(visit.page.locator(".lt-card h2")).to_have_text(list(headlines))


def test_taught_saved_loaded_in_another_visit_and_named_again(visit, tmp_path):
    page = visit.page
    visit.upload(("a.jpg", CYAN), ("b.jpg", CYAN_TOO), ("yellow.jpg", YELLOW))
    page.get_by_role("button", name="Name this place").first.click()
    page.get_by_label("Which place is it?").fill("Grandma's garden")
    page.locator("svg[data-pick]").click(position={"x": 100, "y": 80})
    sync_api.expect(page.get_by_label("Where is it?")).not_to_have_value("")
    page.get_by_label("Tags").fill("family")
    page.get_by_role("button", name="Confirm").click()
    expect_headlines(visit, "Grandma's garden", "Grandma's garden", "No landmark that I know.")
    sync_api.expect(page.get_by_text("1 photo is answered otherwise now.").first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save my landmarks").click()
    assert download.value.suggested_filename == "my_landmarks.npz"
    saved = tmp_path / "my_landmarks.npz"
    download.value.save_as(saved)

    page.reload()
    visit.upload(("b.jpg", CYAN_TOO))
    expect_headlines(visit, "No landmark that I know.")
    page.get_by_label("Load my landmarks").set_input_files(saved)
    expect_headlines(visit, "Grandma's garden")
    sync_api.expect(page.get_by_text("It knows 3 landmarks and 1 of your own")).to_be_visible()
    visit.upload(("a.jpg", CYAN), ("red.jpg", RED), ("yellow.jpg", YELLOW))
    expect_headlines(
        visit, "Grandma's garden", "Taj Mahal — Agra, India", "No landmark that I know.", "Grandma's garden"
    )


def test_by_keyboard_alone(visit):
    """The focus stays on the card, from the button to the form and to what was said."""
    page = visit.page
    visit.upload(("a.jpg", CYAN), ("b.jpg", CYAN_TOO))
    page.get_by_role("button", name="Name this place").first.focus()
    page.keyboard.press("Enter")
    sync_api.expect(page.get_by_label("Which place is it?")).to_be_focused()
    page.keyboard.type("Garden")
    sync_api.expect(page.get_by_text("A place of your own")).to_be_visible()
    page.keyboard.press("Tab")
    sync_api.expect(page.get_by_label("Where is it?")).to_be_focused()
    page.keyboard.press("Tab")
    for key in ("+", "+", "ArrowUp", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    sync_api.expect(page.get_by_label("Where is it?")).to_have_value("42.9, 5.6")
    for _ in range(3):
        page.keyboard.press("Tab")
    sync_api.expect(page.get_by_label("Tags")).to_be_focused()
    page.keyboard.type("family")
    page.keyboard.press("Enter")
    expect_headlines(visit, "Garden", "Garden")
    sync_api.expect(page.get_by_role("button", name="Take back")).to_be_focused()
    page.keyboard.press("Enter")
    expect_headlines(visit, "No landmark that I know.", "No landmark that I know.")
    sync_api.expect(page.get_by_role("button", name="Name this place").first).to_be_focused()


def test_a_position_that_is_written_is_shown_on_the_map(visit):
    visit.upload(("a.jpg", CYAN))
    visit.page.get_by_role("button", name="Name this place").click()
    visit.page.get_by_label("Which place is it?").fill("Garden")
    pin = visit.page.locator("svg[data-pick] .lt-mark:not(.lt-cross)")
    sync_api.expect(pin).to_be_hidden()
    visit.page.get_by_label("Where is it?").fill("48.8584, 2.2945")
    sync_api.expect(pin).to_be_visible()
    assert float(pin.get_attribute("data-x")) == pytest.approx(229.45)
    assert float(pin.get_attribute("data-y")) == pytest.approx(-5615.2, abs=0.1)  # EPSG:3857: 6,250,869 m
    svg = visit.page.locator("svg[data-pick]")
    assert frame(svg) == pytest.approx(
        [229.4, -5615.2, 6000], abs=1
    )  # its middle and width: there, and nearer
    visit.page.get_by_role("button", name="Zoom in").click()
    visit.page.get_by_label("Where is it?").fill("-33.8546, 151.2130")
    assert frame(svg) == pytest.approx([15121.3, 3601.6, 3000], abs=1)
    svg.click(position={"x": 20, "y": 20})
    sync_api.expect(visit.page.get_by_label("Where is it?")).not_to_have_value("-33.8546, 151.2130")
    assert frame(svg) == pytest.approx([15121.3, 3601.6, 3000], abs=1)  # as it was picked there


def frame(svg):
    x, y, width, height = map(float, svg.get_attribute("viewBox").split())
    return [x + width / 2, y + height / 2, width]


def test_a_map_that_is_moved_picks_nothing(visit):
    visit.upload(("a.jpg", CYAN))
    visit.page.get_by_role("button", name="Name this place").click()
    visit.page.get_by_label("Which place is it?").fill("Garden")
    svg = visit.page.locator("svg[data-pick]")
    svg.drag_to(svg, source_position={"x": 200, "y": 100}, target_position={"x": 150, "y": 120})
    visit.page.wait_for_timeout(300)
    sync_api.expect(visit.page.get_by_label("Where is it?")).to_have_value("")


def test_every_state_is_accessible_and_fits_its_window(visit):
    page = visit.page
    long = "A-rather-long-name-without-a-single-space-as-nobody-would-give-it-0123456789-0123456789"
    visit.upload(("a.jpg", CYAN), ("b.jpg", CYAN_TOO))
    page.get_by_role("button", name="Name this place").first.click()
    page.get_by_label("Which place is it?").fill(long)
    sync_api.expect(page.get_by_text("A place of your own")).to_be_visible()
    assert_fits(visit)
    page.get_by_role("button", name="Confirm").click()
    expect_headlines(visit, long, long)
    assert_fits(visit)
    page.get_by_label("Load my landmarks").set_input_files(
        {"name": "x.npz", "mimeType": "application/octet-stream", "buffer": b"rubbish"}
    )
    sync_api.expect(page.get_by_role("alert")).to_contain_text("x.npz is damaged")
    assert_fits(visit)


def test_a_host_gives_its_file_to_every_visitor_and_keeps_nothing(chromium, tmp_path, tiny_export):
    predictor = Predictor.load(tiny_export)
    garden = Landmark("Grandma's garden", "Grandma's garden", latitude=51.5, longitude=-0.25)
    examples = (see(CYAN, "a.jpg", predictor).example,)
    folder = copy_app(tmp_path / "clone", "src", "voila.json")
    shutil.copy(tiny_export, folder / "checkpoints" / "transfer_exported.pt")
    own = tmp_path / "shared.npz"
    save_own(own, {garden.name: Taught(garden, examples)}, predictor.space_id)
    before = own.read_bytes()
    # what lies beside the notebook is for whoever runs it alone
    save_own(
        folder / "my_landmarks.npz",
        {"Secret": Taught(Landmark("Secret", "Secret"), examples)},
        predictor.space_id,
    )
    with served(folder, f"--own={own}", module="src.host") as address:
        visits = [Visit(chromium, address) for _ in range(2)]  # both are there at once
        for visit in visits:
            visit.upload(("b.jpg", CYAN_TOO), ("yellow.jpg", YELLOW))
            expect_headlines(visit, "Grandma's garden", "No landmark that I know.")
            visit.page.get_by_role("button", name="Name this place").last.click()
            visit.page.get_by_label("Which place is it?").fill("Shed")
            visit.page.get_by_role("button", name="Confirm").click()
            expect_headlines(visit, "Grandma's garden", "Shed")
            assert "Secret" not in visit.page.inner_text("body")
            assert visit.errors == []
        for visit in visits:
            visit.page.close()
    assert own.read_bytes() == before
