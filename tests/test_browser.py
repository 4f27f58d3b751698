"""The app as a visitor meets it: the real Voila server on loopback, driven in Chromium."""

import json
import re
import shutil
import subprocess
import urllib.request
import zipfile

import pytest
from app_own_library import RED
from browsing import CHROMIUM, GRAY, GREEN, Visit, copy_app, served, sync_api
from conftest import cleared_visit, encode, quarters
from PIL import Image

from src.photos.formats import FORMATS

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and shutil.which("exiftool")), reason="needs Debian's chromium and exiftool"
    ),
]

visit = cleared_visit


@pytest.fixture(scope="module")
def alone(tmp_path_factory, tiny_export):
    """The address of the app served from a folder with nothing but the notebook and the export."""
    folder = copy_app(tmp_path_factory.mktemp("served") / "alone")
    shutil.copy(tiny_export, folder / "checkpoints" / "transfer_exported.pt")
    with served(folder, "--show_tracebacks=True") as address:
        yield address
    assert sorted(path.name for path in folder.iterdir()) == ["app.ipynb", "checkpoints"]


@pytest.fixture(scope="module")
def visit_alone(chromium, alone):
    visit = Visit(chromium, alone)
    yield visit
    visit.page.close()


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


def test_a_session_that_the_server_ended_is_said_and_reload_begins_another(new_visit):
    page = new_visit.page
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
    assert "Taj Mahal" in new_visit.upload(("a.jpg", RED))[0]


def test_photos_that_are_dropped_while_others_are_sent_come_after_them(visit):
    visit.drop(*[(f"{number}.jpg", RED) for number in range(3)])
    visit.drop(("late.jpg", GREEN))
    names = visit.page.locator("figcaption")
    sync_api.expect(names).to_have_text(["0.jpg", "1.jpg", "2.jpg", "late.jpg"])
    sync_api.expect(visit.page.get_by_text("Looked at 4 photos.")).to_be_visible()


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
