"""Photos at an address are found and read as those of a folder are."""

from collections import Counter

import pytest
from conftest import encode, quarters

from src.files import FileError
from src.inference.report import PhotoReport
from src.landmarks.evidence import Taken
from src.library.remote import Addressed, AddressError, is_address
from src.library.takeout import Takeout, add_takeout
from src.photos import decode as photos
from src.photos.errors import PhotoError

pytest.importorskip("pyarrow")


@pytest.fixture(params=["file", "memory"])
def library(request, tmp_path):
    """Photos and other files where pyarrow, or only fsspec, can read them: the address and the bytes."""
    jpeg = encode(quarters())
    files = {
        "a.jpg": jpeg,
        "below/b.PNG": b"another",
        "below/ü #%.webp": b"strange name",
        "empty.gif": b"",
        ".hidden.jpg": jpeg,
        ".thumbnails/a.jpg": jpeg,
        "below/@eaDir/b.PNG/SYNOPHOTO_THUMB_XL.jpg": jpeg,
        "Mine.photoslibrary/originals/0/a.jpg": jpeg,
        "below/b.PNG.json": b'{"geoData": {"latitude": 48.5, "longitude": 2.5}}',
        "notes.txt": b"text",
        "Makefile": b"text",
    }
    if request.param == "file":
        for name, data in files.items():
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        yield f"file://{tmp_path}/photos", files
    else:
        fsspec = pytest.importorskip("fsspec")
        memory = fsspec.filesystem("memory")
        memory.pipe({f"/photos/{name}": data for name, data in files.items()})
        yield "memory://photos", files
        memory.store.clear()


def test_photos_are_found_by_their_names_and_read(library):
    address, files = library
    place, others = Addressed(address), Counter()
    found = {one.path: one for one in place.find(others)}
    names = {path.partition("/photos/")[2]: path for path in found}
    assert set(names) == {"a.jpg", "below/b.PNG", "below/ü #%.webp", "empty.gif"}
    assert others == {".txt": 1, ".json": 1, "no suffix": 1}
    assert all(is_address(path) for path in found)
    assert {name: found[path].size for name, path in names.items()} == {n: len(files[n]) for n in names}
    assert {name: place.read(path) for name, path in names.items()} == {n: files[n] for n in names}


def test_the_json_of_a_takeout_is_read_beside_them(library):
    place = Addressed(library[0])
    reports = [PhotoReport(found.path, "") for found in place.find(Counter()) if "below" in found.path]
    taken = {report.name.rpartition("/")[2]: report.taken for report in add_takeout(reports, Takeout(place))}
    assert taken == {"b.PNG": Taken(None, 48.5, 2.5), "ü #%.webp": Taken()}
    one = next(report.name for report in reports if report.name.endswith("b.PNG"))
    assert place.read_start(f"{one}.json", 5) == b'{"geo'


def test_what_cannot_be_read_is_one_sentence(library, monkeypatch):
    address, files = library
    place = Addressed(f"{address}/")
    one = next(found.path for found in place.find(Counter()) if found.path.endswith("/a.jpg"))
    with pytest.raises(FileError, match=r"^gone.jpg cannot be read: .*; check the address and try again\.$"):
        place.read(one.replace("a.jpg", "gone.jpg"))
    monkeypatch.setattr(photos, "MAX_BYTES", len(files["a.jpg"]) - 1)
    with pytest.raises(PhotoError, match=r"^a.jpg has .* MB"):
        place.read(one)


@pytest.mark.parametrize("address", ["what://is/this", "file:///no/where", "memory://nothing"])
def test_an_address_of_nothing_is_one_sentence(address):
    with pytest.raises(AddressError, match=r"; check the address and try again\.$"):
        list(Addressed(address).find(Counter()))


def test_keys_and_options_stay_out_of_the_names():
    place = Addressed("s3://KEY:SECRET@bucket/photos?region=eu-west-1&endpoint_override=localhost:1")
    assert place._address("bucket/photos/a.jpg") == "s3://bucket/photos/a.jpg"
    with pytest.raises(AddressError) as error:
        Addressed("what://KEY:SECRET@bucket/photos")
    assert "SECRET" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://b/p", True),
        ("file:///p", True),
        ("photos", False),
        ("/p://q", False),
        ("C:\\p", False),
        ("C://p", False),
    ],
)
def test_addresses_are_told_from_paths(text, expected):
    assert is_address(text) is expected
