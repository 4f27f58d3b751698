"""What the tests of the review page in Chromium share: an open page, and what is done on it."""

from pathlib import Path

import pytest
from browsing import TIMEOUT
from tag_library import run

# A window that saves in place is the system's own: tests download, or take what would be written.
DOWNLOAD = "delete window.showSaveFilePicker"
IN_PLACE = """
window.written = [];
window.showSaveFilePicker = async () => ({
    name: "tags.review.csv",
    createWritable: async () => ({ write: async (blob) => written.push(await blob.text()), close() {} }),
})
"""


class Review:
    """An open page, and what it asked others for or complained of."""

    def __init__(self, browser, script=DOWNLOAD, width=1280, height=900, **options):
        self.page = browser.new_page(viewport={"width": width, "height": height}, **options)
        self.page.set_default_timeout(TIMEOUT)
        self.errors, self.asked = [], []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("dialog", lambda dialog: (self.errors.append(dialog.type), dialog.accept()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.add_init_script(script)
        self.page.goto(Path("tags.review.html").absolute().as_uri())

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def name(self, text):
        """Say which landmark it is, as one types."""
        self.press("e")
        self.page.keyboard.type(text)
        self.press("Enter")

    @property
    def states(self):
        return self.page.locator(".photo .state").all_inner_texts()

    def save(self):
        with self.page.expect_download() as download:
            self.press("Control+s")
        assert download.value.suggested_filename == "tags.review.csv"
        download.value.save_as("tags.review.csv")

    def wait_for_kept(self, count):
        """Until the browser has kept so many decisions.

        One that is busy may load a page again before it wrote what the page kept when it was left.
        """
        decided = "JSON.parse(text).filter(([decision]) => decision).length"
        for _ in range(TIMEOUT // 100):
            if count in self.page.evaluate(f"Object.values(localStorage).map((text) => {decided})"):
                return
            self.page.wait_for_timeout(100)
        pytest.fail(f"{count} decisions were not kept")

    def close(self):
        assert self.errors == []
        assert all(url.startswith(("file:", "data:", "blob:")) for url in self.asked)
        self.page.close()


@pytest.fixture
def one_review(library, chromium):
    run(library, "--review")
    review = Review(chromium)
    yield review
    review.close()
