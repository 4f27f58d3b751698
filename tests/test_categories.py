"""ACDSee's categories, in which digiKam writes all keywords again: ours go with what we wrote."""

import time
from xml.sax.saxutils import escape, quoteattr

import pytest
from conftest import encode, quarters
from metadata_samples import TAJ, TAJ_TREE, packet

from src.photos.categories import without_categories
from src.photos.packet import Packet
from src.photos.write_tags import sidecar, undone

KEY = "http://ns.acdsee.com/iptc/1.0/:categories"
NAME = 'xmlns:acdsee="http://ns.acdsee.com/iptc/1.0/"'


def category(name: str, *inside: str, given: bool = False) -> str:
    return f'<Category Assigned="{given:d}">{name}{"".join(inside)}</Category>'


def categories(*inside: str) -> str:
    return f"<Categories>{''.join(inside)}</Categories>"


INDIA = category("India", given=True)
FRIENDS = category("Family & friends", given=True)  # not escaped by digiKam, either
AGRA = category("Agra", category("Taj Mahal", given=True), given=True)
COPIED = categories(  # of TAJ_TREE, in which "Taj Mahal" ends two paths, and the keywords of a person
    category("Places", category("India", AGRA, given=True)),
    category("Landmarks"),
    category("mausoleum", given=True),
    category("Trips", FRIENDS),
)


def as_element(text: str) -> str:
    return f"<rdf:Description {NAME}><acdsee:categories>{escape(text)}</acdsee:categories></rdf:Description>"


def as_attribute(text: str) -> str:
    return f"<rdf:Description {NAME} acdsee:categories={quoteattr(text)}/>"


@pytest.mark.parametrize("form", [as_element, as_attribute])
@pytest.mark.parametrize("theirs", ["", category("Trips", FRIENDS)])
def test_our_tags_go_from_the_text_that_digikam_copied_them_to(form, theirs):
    """digiKam showed them again after --undo, as it reads this text where there are no other keywords."""
    new = sidecar(encode(quarters()), TAJ, packet("<dc:title>mine</dc:title>"))
    text = COPIED if theirs else COPIED.replace(category("Trips", FRIENDS), "")
    changed = new.replace(b"</rdf:RDF>", f"{form(text)}</rdf:RDF>".encode())
    assert Packet(changed, "x").values(KEY) == [text]
    left = Packet(undone(changed, "x"), "x")
    assert left.values(KEY) == ([categories(theirs)] if theirs else [])
    assert left.values("dc:title") == ["mine"]
    assert (b"acdsee" in left.data) == bool(theirs)


@pytest.mark.parametrize("theirs", [COPIED, "", categories()])
@pytest.mark.parametrize("form", [as_element, as_attribute])
def test_categories_of_a_person_come_back_byte_for_byte(form, theirs):
    old = packet("<dc:title>mine</dc:title>").replace(b"</rdf:RDF>", f"{form(theirs)}</rdf:RDF>".encode())
    assert undone(sidecar(encode(quarters()), TAJ, old), "x") == old


@pytest.mark.parametrize(
    ("text", "others", "left"),
    [
        (COPIED, [], categories(category("Trips", FRIENDS))),
        (COPIED, ["Home|India"], categories(category("Places", INDIA), category("Trips", FRIENDS))),
        (COPIED, TAJ_TREE, COPIED),
        (categories(category("Landmarks", FRIENDS)), [], categories(category("Landmarks", FRIENDS))),
        (categories(category("Landmarks", given=True)), [], categories(category("Landmarks", given=True))),
        (categories(category("Agra", FRIENDS, given=True)), [], categories(category("Agra", FRIENDS))),
        (categories(category("Agra", given=True)), [], ""),
        (categories(), [], categories()),
        ("", [], ""),
        ("Agra", [], "Agra"),
    ],
)
def test_what_is_left_of_categories(text, others, left):
    assert without_categories(text, TAJ_TREE, others) == left


def test_what_has_another_form_stays():
    for broken in (
        COPIED.replace("</Category>", "", 1),
        COPIED.replace("</Category>", "</Category></Category>", 1),
        COPIED.replace("<Categories>", "<Categories>Agra"),
        COPIED.replace("</Categories>", ""),
    ):
        assert without_categories(broken, TAJ_TREE, []) == broken


@pytest.mark.parametrize(("name", "stays"), [("Agra", False), ("Home", True)])
def test_very_deep_categories_are_read_in_time(name, stays):
    """In a text, the depth of XML has no limit; copying each level took seconds."""
    deep = f'<Category Assigned="1">{name}' * 20_000 + "</Category>" * 20_000
    began = time.perf_counter()
    found = without_categories(categories(deep, category("Agra", given=True)), TAJ_TREE, [])
    assert time.perf_counter() - began < 2
    assert found == (categories(deep) if stays else "")
