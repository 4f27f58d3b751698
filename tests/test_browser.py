"""The app as a visitor meets it: the real Voila server on loopback, driven in Chromium."""

import json
import re
import shutil
import subprocess
import urllib.request
import zipfile
from itertools import accumulate

import pytest
from browsing import CHROMIUM, ROOT, Visit, copy_app, served, sync_api
from conftest import encode, quarters
from PIL import Image

from src.photos.formats import FORMATS

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and shutil.which("exiftool")), reason="needs Debian's chromium and exiftool"
    ),
]


@pytest.fixture(scope="module")
def alone(tmp_path_factory, tiny_export):
    """The address of the app served from a folder with nothing but the notebook and the export."""
    folder = copy_app(tmp_path_factory.mktemp("served") / "alone")
    shutil.copy(tiny_export, folder / "checkpoints" / "transfer_exported.pt")
    with served(folder, "--show_tracebacks=True") as address:
        yield address
    assert sorted(path.name for path in folder.iterdir()) == ["app.ipynb", "checkpoints"]


@pytest.fixture(scope="module")
def first_visit(chromium, repository):
    visit = Visit(chromium, repository)
    yield visit
    visit.page.close()


@pytest.fixture
def visit(first_visit):
    first_visit.clear()
    first_visit.page.set_viewport_size({"width": 1280, "height": 900})
    yield first_visit
    assert first_visit.errors == []


@pytest.fixture(scope="module")
def visit_alone(chromium, alone):
    visit = Visit(chromium, alone)
    yield visit
    visit.page.close()


RED = encode(Image.new("RGB", (320, 240), (220, 20, 20)))
GREEN = encode(Image.new("RGB", (240, 320), (20, 220, 20)))
LONG = "a-rather-long-file-name-without-a-single-space-as-some-cameras-give-them-0123456789.jpg"
GRAY = encode(Image.new("RGB", (320, 240), (128, 128, 128)))


@pytest.fixture(scope="module")
def phone_photo():
    """A 12-megapixel JPEG of more than 15 MB, mostly red."""
    noise = Image.effect_noise((4000, 3000), 100)
    shade = noise.point(lambda value: value // 4)
    data = encode(Image.merge("RGB", (noise, shade, shade)), quality=90, subsampling=0)
    assert 15_000_000 < len(data) < 25_000_000
    return data


def assert_app_and_nothing_of_its_workings(visit):
    page = visit.page
    assert page.title() == "Landmark tagger"
    sync_api.expect(page.get_by_role("heading", name="Landmark tagger")).to_be_visible()
    sync_api.expect(page.get_by_role("button", name="Choose photos")).to_be_visible()
    sync_api.expect(page.get_by_text("It knows 3 landmarks")).to_be_visible()
    shown = page.inner_text("body")
    for word in ("import ", "show(", "Traceback", "Warning", "Error"):
        assert word not in shown
    assert "from src.app.page" not in page.content()


def test_app_is_there_and_its_source_is_not(visit):
    assert_app_and_nothing_of_its_workings(visit)


def test_standalone_app_is_there_and_its_source_is_not(visit_alone):
    assert_app_and_nothing_of_its_workings(visit_alone)


def test_page_asks_nobody_else_for_anything(visit):
    """Voila's page names a CDN for icons; the content security policy of voila.json stops that."""
    assert visit.went_out == []


def test_photo_is_answered_with_a_name_and_bars(visit):
    [card] = visit.upload(("IMG_1.jpg", RED))
    assert "Taj Mahal — Agra, India" in card
    assert "IMG_1.jpg" in card
    bars = visit.page.locator(".lt-guesses .lt-track > div")
    sync_api.expect(bars.last).to_be_hidden()
    visit.page.get_by_text("2 others, each below 1\N{NO-BREAK SPACE}%").click()
    sync_api.expect(bars.last).to_be_visible()
    widths = [bar.bounding_box()["width"] for bar in bars.all()]
    assert len(widths) == 3
    assert widths[0] > 10 * widths[1]
    image = visit.page.locator(".lt-card img")
    assert image.get_attribute("alt") == "Your photo IMG_1.jpg"
    assert image.evaluate("image => image.naturalWidth") == 80  # as large as this small model needs
    sync_api.expect(visit.page.get_by_role("status").get_by_text("Looked at 1 photo.")).to_be_visible()


def test_unknown_photo(visit):
    [card] = visit.upload(("gray.jpg", GRAY))
    assert "No landmark that I know." in card
    assert re.search(
        r"It looks most like .*, but I am not sure enough to say so: \d+\s%, and it takes [\d.]+\s%\.", card
    )


def test_rubbish_is_answered_with_a_sentence(visit):
    [card] = visit.upload(("holiday.pdf", b"%PDF-1.7"))
    assert f"holiday.pdf is not a picture that can be read here; use {FORMATS}." in card


def test_several_at_once_with_a_bad_one_and_then_the_same_again(visit):
    files = [("a.jpg", RED), ("bad.jpg", RED[:200]), ("c.jpg", GREEN)]
    for _ in range(2):
        cards = visit.upload(*files)[:3]
        assert "Taj Mahal" in cards[0]
        assert "bad.jpg is damaged" in cards[1]
        assert "Eiffel Tower — Paris, France" in cards[2]
        visit.clear()


def test_dropped_photos(visit):
    visit.drop(("a.jpg", RED), ("b.jpg", GREEN))
    cards = visit.page.locator(".lt-card")
    sync_api.expect(cards).to_have_count(2)
    assert "Eiffel Tower" in cards.nth(1).inner_text()


def test_file_name_is_text(visit):
    name = "<img src=x onerror=alert(1)>.jpg"
    cards = visit.upload((name, RED), (name, b"rubbish"))
    assert name in cards[0]
    assert f"{name} is not a picture" in cards[1]
    assert visit.page.locator("img[src=x]").count() == 0


def test_photo_is_turned_upright(visit):
    exif = Image.Exif()
    exif[0x0112] = 8
    visit.upload(("turned.jpg", encode(quarters(320, 240).transpose(Image.Transpose.ROTATE_270), exif=exif)))
    image = visit.page.locator(".lt-card img")
    assert image.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [80, 60]


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


def test_keyboard_reaches_the_file_input_and_opens_it(visit):
    page, button = visit.page, visit.page.get_by_role("button", name="Choose photos")
    choosers = []
    page.on("filechooser", lambda chooser: choosers.append(chooser))
    for _ in range(5):  # on a busy machine Chromium may miss a key, as no person would wait for it
        button.focus()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Tab")
        assert button.evaluate("button => button === document.activeElement")
        assert button.evaluate("button => getComputedStyle(button.closest('label')).outlineStyle") == "solid"
        page.keyboard.press("Space", delay=50)
        page.wait_for_timeout(5000 if not choosers else 0)
        if choosers:
            break
    assert choosers and choosers[0].is_multiple()


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
def test_every_state_is_accessible_and_fits_its_window(chromium, repository, state):
    """No violation of any rule of axe-core, best practices included."""
    visit = Visit(chromium, repository)
    visit.page.set_viewport_size({"width": 390, "height": 844})
    sync_api.expect(visit.page.get_by_role("main")).to_be_visible()
    STATES[state](visit)
    visit.page.mouse.move(0, 0)
    for width, scheme in ((390, "light"), (768, "light"), (1280, "light"), (1280, "dark")):
        visit.page.set_viewport_size({"width": width, "height": 844})
        visit.page.emulate_media(color_scheme=scheme)
        visit.page.wait_for_timeout(300)  # until colours have changed
        results = axe.Axe().run(visit.page)
        assert results.violations_count == 0, results.generate_report()
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        summary = visit.page.locator(".lt-summary")
        if summary.count():
            assert summary.bounding_box()["height"] < 60  # two lines
    assert visit.errors == []
    visit.page.close()


def test_a_session_that_the_server_ended_is_said_and_reload_begins_another(chromium, repository):
    visit = Visit(chromium, repository)
    page = visit.page
    sync_api.expect(page.get_by_role("main")).to_be_visible()
    alert = page.get_by_role("alert")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(500)
    sync_api.expect(alert).to_have_count(0)
    page.evaluate(
        """async () => {
            const config = document.getElementById("jupyter-config-data").textContent;
            const { baseUrl, kernelId } = JSON.parse(config);
            document.cookie = "_xsrf=token; path=/";
            const form = new FormData();
            form.append("_xsrf", "token");
            await fetch(`${baseUrl}voila/api/shutdown/${kernelId}`, { method: "POST", body: form });
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    sync_api.expect(alert).to_contain_text("The server ended this session because it was not used")
    alert.get_by_role("button", name="Reload the page").click()
    sync_api.expect(alert).to_have_count(0)
    assert "Taj Mahal" in visit.upload(("a.jpg", RED))[0]
    page.close()


def test_photos_that_are_dropped_while_others_are_sent_come_after_them(visit):
    visit.drop(*[(f"{number}.jpg", RED) for number in range(3)])
    visit.drop(("late.jpg", GREEN))
    names = visit.page.locator("figcaption")
    sync_api.expect(names).to_have_text(["0.jpg", "1.jpg", "2.jpg", "late.jpg"])
    sync_api.expect(visit.page.get_by_text("Looked at 4 photos.")).to_be_visible()


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


def test_tags_that_are_on_are_written_and_copied(visit, tmp_path):
    visit.upload(("IMG_1.jpg", RED))
    visit.page.get_by_role("button", name="Agra").click()
    hashtags = visit.page.locator(".lt-hashtags span")
    sync_api.expect(hashtags).not_to_contain_text("#Agra")
    visit.page.get_by_role("button", name="Copy", exact=True).click()
    sync_api.expect(visit.page.get_by_role("button", name="Copied")).to_be_visible()
    with visit.page.expect_download() as download:
        visit.page.get_by_role("button", name="Tagged copy").click()
    assert download.value.suggested_filename == "IMG_1-tagged.jpg"
    download.value.save_as(tmp_path / "copy.jpg")
    done = subprocess.run(["exiftool", "-json", "-n", tmp_path / "copy.jpg"], capture_output=True, check=True)
    [said] = json.loads(done.stdout)
    assert said["Subject"][:2] == ["Taj Mahal", "India"]
    assert said["Keywords"] == said["Subject"]
    assert (said["GPSLatitude"], said["GPSLongitude"]) == pytest.approx(
        (27.1751, 78.0421),
        abs=0.05 / 60,  # tenths of a minute, as the Taj Mahal is 600 m wide
    )
    assert (tmp_path / "copy.jpg").read_bytes()[-500:] == RED[-500:]


def test_phone_photo_of_15_mb(visit, phone_photo, tmp_path):
    assert "Taj Mahal" in visit.upload(("phone.jpg", phone_photo))[0]
    with visit.page.expect_download() as download:
        visit.page.get_by_role("button", name="Download all").click()
    download.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["phone.jpg", "tags.csv"]
        assert archive.read("phone.jpg")[-1000:] == phone_photo[-1000:]


def test_phone_photo_of_15_mb_standalone(visit_alone, phone_photo):
    """Here the server has its 10 MB limit: the photo comes in parts."""
    cards = visit_alone.upload(("phone.jpg", phone_photo), ("bad.jpg", b"rubbish"))
    assert "Taj Mahal" in cards[0]
    assert "bad.jpg is not a picture" in cards[1]
    assert "Traceback" not in visit_alone.page.inner_text("body")
    assert visit_alone.errors == []


@pytest.mark.parametrize(
    "path",
    [
        "app.ipynb",
        "voila.json",
        "src/app/page.py",
        "src/landmarks/landmarks.csv",
        "checkpoints/transfer_exported.pt",
        "../",
    ],
)
def test_files_are_not_served(repository, path):
    request = urllib.request.Request(f"{repository}voila/files/{path}")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30)
    assert refused.value.code in (403, 404)


def test_missing_export_is_a_sentence_even_with_tracebacks_on(chromium, tmp_path):
    folder = copy_app(tmp_path / "clone", "src", "voila.json")
    with served(folder, "--show_tracebacks=True", "--preheat_kernel=False") as address:
        visit = Visit(chromium, address)
        sync_api.expect(visit.page.get_by_role("alert")).to_contain_text("transfer_exported.pt")
        shown = visit.page.inner_text("body")
        visit.page.close()
    assert "Landmark tagger" in shown
    assert "Traceback" not in shown
    assert "Error" not in shown
