"""The review page as a person meets it, opened from a file in Chromium: keyboard, saving, hostile names."""

import csv
import os
import random
import re
from pathlib import Path

import pytest
from browsing import CHROMIUM, sync_api
from review_page import DOWNLOAD, IN_PLACE, Review, one_review
from tag_library import contents, photo, run

axe = pytest.importorskip("axe_playwright_python.sync_playwright")
expect = sync_api.expect

pytest_plugins = ("tag_fixtures",)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="needs Debian's chromium"),
]
reviewing = one_review


def test_500_mixed_photos_are_reviewed_by_keyboard_written_and_undone(tmp_path, fake, chromium, capsys):
    folder, chance = tmp_path / "library", random.Random(0)
    for number in range(500):
        shade = chance.randrange(40)
        strong, weak = 200 + shade, 40 + chance.randrange(30)
        colours = [
            (strong, weak, shade),
            (weak, strong, shade),
            (weak, shade, strong),
            (100, 100, 60 + shade),
        ]
        path = folder / f"{number % 7}" / f"{number}.jpg"
        photo(path, colours[number % 4], side=40 + number // 4)
    before = contents(folder)
    assert run(folder, "--review") == 0
    capsys.readouterr()

    review = Review(chromium)
    left = review.page.locator("#left")
    expect(left).to_have_text("375 of 375 recognised photos are not decided")
    review.press(*"y" * 20, *"n" * 10)
    review.name("taj")
    review.name("Grandma's house")
    review.press("e", "Escape")
    expect(left).to_have_text("343 of 375 recognised photos are not decided")
    review.press("r")  # the Eiffel Tower comes first
    expect(left).to_have_text("250 of 375 recognised photos are not decided")
    review.press("u")
    expect(left).to_have_text("343 of 375 recognised photos are not decided")
    review.press("r", "Tab", "Enter", "ArrowDown")
    expect(left).to_have_text("125 of 375 recognised photos are not decided")
    states = review.states
    review.wait_for_kept(250)
    review.page.reload()
    expect(left).to_have_text("125 of 375 recognised photos are not decided")
    assert review.states == states
    assert [states.count(f"{words}") for words in ("✗ wrong", "→ Taj Mahal", "→ Grandma's house")] == [
        10,
        1,
        1,
    ]
    review.save()
    expect(review.page.get_by_role("status")).to_contain_text("put it beside this page")
    review.close()

    with open("tags.review.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["approve"] for row in rows].count("no") == 10 and len(rows) == 375
    assert sum(row["correct"] == row["landmark"] for row in rows) == 238
    assert run(folder, "--write", "sidecar") == 0
    assert "10 rejected, 365 written" in capsys.readouterr().out
    [own] = [path for path in folder.rglob("*.xmp") if "Grandma's house" in path.read_text()]
    assert "Eiffel" not in own.read_text()
    assert run(folder, "--undo") == 0
    assert contents(folder) == before


def test_arrow_keys_go_by_photos_and_rows(reviewing):
    page = reviewing.page
    focused = page.locator(":focus")
    for key, name in (
        ("ArrowRight", "Hawa"),
        ("ArrowDown", "Taj"),
        ("ArrowLeft", "Hawa"),
        ("ArrowUp", "Eiffel"),
    ):
        reviewing.press(key)
        expect(focused).to_have_attribute("aria-label", re.compile(name))
    assert page.locator('.photo[tabindex="0"]').count() == 1
    reviewing.press("ArrowUp")
    expect(focused).to_have_attribute("data-number", "0")


def test_what_was_not_recognised_can_be_named_or_said_to_be_no_landmark(reviewing):
    reviewing.press(*["ArrowRight"] * 3, "y")
    assert reviewing.states == ["", "", "", ""]
    reviewing.name("हवा")  # by its name in the language of the place
    assert reviewing.states[3] == "→ Hawa Mahal"
    reviewing.press("n")
    assert reviewing.states[3] == "✗ no landmark"
    reviewing.save()
    assert Path("tags.review.csv").read_text("utf-8-sig").splitlines()[-1].startswith("no,,,")
    reviewing.press("u", "u", "u")
    assert reviewing.states == ["", "", "", ""]


def test_what_may_have_been_missed_comes_first_of_what_was_not_recognised(library, chromium):
    photo(library / "near.jpg", (120, 100, 160))
    (library / "broken.jpg").write_bytes(b"not a photo")
    run(library, "--review")
    review = Review(chromium)
    section = review.page.locator("section", has_text="No landmark that is known")
    expect(section.locator(".photo")).to_have_text(
        [re.compile("near.jpg.*5[12] % Hawa Mahal"), re.compile("nothing.webp.*33 % Taj Mahal")]
    )
    broken = review.page.locator("section", has_text="Could not be read").locator(".photo")
    expect(broken).to_have_text(re.compile("^broken.jpgis not a picture that can be read here"))
    broken.click()
    expect(review.page.locator("#sure")).to_have_text(re.compile("^broken.jpg is not a picture"))
    review.close()


def test_decisions_are_kept_also_of_someone_who_never_pauses(reviewing):
    reviewing.press("y")
    kept = reviewing.page.evaluate("""async () => {
        for (let i = 0; i < 12; i++) {
            const press = new KeyboardEvent("keydown", {key: "yu"[i % 2], bubbles: true});
            document.activeElement.dispatchEvent(press);
            await new Promise((done) => setTimeout(done, 100));
        }
        return Object.values(localStorage).length;
    }""")
    assert kept == 1


@pytest.mark.parametrize(("decided", "saved", "asks"), [(1, 0, ["beforeunload"]), (1, 1, []), (0, 0, [])])
def test_a_browser_that_keeps_nothing_asks_before_the_page_is_left(library, chromium, decided, saved, asks):
    run(library, "--review")
    forbidden = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('no') } });"
    review = Review(chromium, forbidden + DOWNLOAD)
    review.press("ArrowRight", *"y" * decided)
    if saved:
        review.save()
    review.page.reload()
    assert review.errors == asks
    review.page.close()


def test_the_browser_may_write_the_table_in_place(library, chromium):
    run(library, "--review")
    review = Review(chromium, IN_PLACE)
    review.press("n")
    review.page.get_by_role("button", name="Save decisions").click()
    expect(review.page.get_by_role("status")).to_have_text("Saved as tags.review.csv.")
    [text] = review.page.evaluate("written")
    former = Path("tags.review.csv").read_bytes().decode("utf-8-sig")
    assert text == former.replace("yes,Eiffel Tower", "no,Eiffel Tower", 1)
    review.close()


def test_hostile_names_are_text_and_paths_keep_their_bytes(tmp_path, fake, chromium):
    folder = tmp_path / "</script><img src=x onerror=alert(1)>"
    paths = ["<img src=x onerror=alert(1)>.jpg", "=1+1.jpg", os.fsdecode(b"caf\xe9.jpg"), "🏰‮gpj.jpg"]
    for side, name in enumerate(paths, 50):
        photo(folder / name, "red", side=side)
    run(folder, "--review")
    review = Review(chromium)
    assert review.page.locator("img[onerror]").count() == 0
    assert review.page.locator(".photo").count() == 4
    for _ in paths:
        review.name("</li><img src=x onerror=alert(1)>")
    review.name("=cmd|'/c calc'!A0, and \"more\"")
    before = Path("tags.review.csv").read_bytes()
    review.save()
    with open("tags.review.csv", encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["path"] for row in rows} == {str(path) for path in folder.iterdir()}
    assert "'=cmd|'/c calc'!A0, and \"more\"" in {row["correct"] for row in rows}
    review.press(*"u" * 5)
    review.save()
    assert Path("tags.review.csv").read_bytes() == before
    review.close()


def test_unnamed_places_are_named_or_declined_by_keyboard(places, chromium, capsys):
    pytest.importorskip("sklearn")
    run(places, "--suggest", "--review")
    review = Review(chromium, width=390)
    page = review.page
    expect(page.locator("#unnamed")).to_have_text("2 groups of photos may show a place that nobody has named")
    expect(page.locator("#said")).to_have_text("Taj Mahal")
    page.locator("#unnamed a").click()
    expect(page.locator("#said")).to_have_text("No landmark that is known")
    bottom = page.locator("#tools").bounding_box()
    assert page.locator("#unnamed-places").bounding_box()["y"] >= bottom["y"] + bottom["height"]
    sections = {
        name: page.locator("section", has=page.locator("form")).filter(has_text=f"{name}0.png")
        for name in ("house", "church")
    }
    house = sections["house"]
    house.locator(".photo").first.focus()
    review.press("o", "ArrowRight", "o", "o")
    expect(house.locator(".state").first).to_have_text("– taken out")
    field = house.get_by_role("textbox").or_(house.get_by_role("combobox"))
    field.focus()
    review.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Type the name of the place first.")
    page.keyboard.type("Yonder  house")  # letters that are keys elsewhere
    review.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("9 photos: Yonder house")
    expect(house.get_by_role("heading")).to_have_text("Yonder house")
    expect(sections["church"].get_by_role("heading")).to_have_text(re.compile("Unnamed place [12]"))
    expect(house.locator(".state", has_text="→ Yonder house")).to_have_count(9)
    sections["church"].get_by_role("button", name="Not a place").press("Enter")
    expect(sections["church"].locator(".state", has_text="✗ no landmark")).to_have_count(10)
    expect(page.locator("#unnamed")).to_be_hidden()
    review.wait_for_kept(19)
    page.reload()
    expect(house.locator(".state").first).to_have_text("– taken out")
    expect(field).to_have_value("Yonder house")
    response = axe.Axe().run(page).response
    assert response["passes"] and [found["id"] for found in response["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    review.save()
    review.close()
    capsys.readouterr()
    assert run(places, "--suggest") == 0
    out = capsys.readouterr().out
    assert "Yonder house: 9" in out and "No photos look like a place that nobody has named." in out
