"""The page's script by itself, in Chromium: what it does with files that cannot be read or come in part."""

import pytest
from browsing import CHROMIUM

from src.app.uploads import _MARKUP, SCRIPT

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM, reason="needs Debian's chromium")]

MODEL = """
    window.model = {
        listeners: [], sent: [],
        get(name) { return { markup: MARKUP, limit: 50 }[name]; },
        on(_, listener) { this.listeners.push(listener); },
        off(_, listener) { this.listeners = this.listeners.filter((one) => one !== listener); },
        receive(content, buffers = []) { for (const one of [...this.listeners]) one(content, buffers); },
        send({ name, size }, _, [data]) {
            this.sent.push([name, size, data.byteLength]);
            setTimeout(() => this.receive({ kind: "received" }));
        },
    };
    window.saved = [];
    HTMLAnchorElement.prototype.click = function () {
        saved.push(fetch(this.href).then((response) => response.text()));
    };
    render({ model, el: document.body.appendChild(document.createElement("div")) });
"""


@pytest.fixture
def page(chromium):
    """A page with the script, a model that notes what it is sent, and texts of the files that are saved."""
    page = chromium.new_page()
    page.add_script_tag(content=SCRIPT.replace("export default { render };", "window.render = render;"))
    page.evaluate(f"(MARKUP) => {{ {MODEL} }}", _MARKUP)
    yield page
    page.close()


def test_a_file_that_cannot_be_read_stops_no_other(page):
    """Chromium gives a folder that is dropped as a file with a size, which it then cannot read."""
    page.evaluate(
        """() => {
            const folder = new File(["abcd"], "folder");
            folder.slice = () => ({ arrayBuffer: () => Promise.reject(new Error("NotFoundError")) });
            const drop = new DragEvent("drop", { cancelable: true });
            const value = { files: [folder, new File(["ab"], "a.jpg")] };
            Object.defineProperty(drop, "dataTransfer", { value });
            document.querySelector(".lt-drop").dispatchEvent(drop);
        }"""
    )
    page.wait_for_function("model.sent.length === 2")
    assert page.evaluate("model.sent") == [["folder", 4, 0], ["a.jpg", 2, 2]]
    assert page.inner_text(".lt-sending") == ""


def test_a_file_after_one_that_broke_off_is_saved_whole(page):
    page.evaluate(
        """() => {
            const file = (name, part, last, text) => model.receive(
                { kind: "file", name, type: "text/plain", part, last }, [new TextEncoder().encode(text)]);
            file("all.zip", 1, false, "broken");
            file("a.txt", 1, false, "who");
            file("a.txt", 2, true, "le");
        }"""
    )
    assert page.evaluate("() => Promise.all(saved)") == ["whole"]
