"""Own landmarks that were taught to another export: renewed from their photos by `src.teach`."""

from dataclasses import replace
from pathlib import Path

import pytest
from teach_photos import FILE, PINK, YELLOW, landmarks, named, photo

from src.inference.own_file import load_any, save_own

pytest_plugins = ("teach_fixtures",)


@pytest.fixture
def former(run, photos, here):
    """A file that another export made, with more features: of a house, a barn, and one taught in the app."""
    run("House", *photos, "--tags", "home")
    run("Barn", photo(here / "barn.jpg", PINK), photo(here / "barn2.jpg", PINK, seed=1))
    run("Shed", photo(here / "shed.jpg", (30, 235, 235)))
    taught = {name: seen_by_another(one, path=name != "Shed") for name, one in load_any(FILE)[1].items()}
    save_own(FILE, taught, "another export")
    return taught


def seen_by_another(one, path):
    examples = [
        replace(example, features=bytes(7), path=example.path if path else "") for example in one.examples
    ]
    return replace(one, examples=tuple(examples))


def test_the_file_of_another_export_is_not_added_to(run, photos, former):
    before = FILE.read_bytes()
    status, _, errors = run("New", photos[0])
    assert status == 2
    assert errors == [
        "my_landmarks.npz was made with another export: renew it (python -m src.teach --renew), or teach its "
        "landmarks again from their photos."
    ]
    assert FILE.read_bytes() == before
    assert [line.split(":")[0] for line in run("--list")[1]] == ["Barn", "House", "Shed"]
    assert run("--forget", "Barn")[0] == 0
    assert load_any(FILE)[0] == "another export"


def test_it_is_renewed_from_photos_that_are_where_they_were(run, photos, former, tiny_export):
    before = FILE.read_bytes()
    Path("barn2.jpg").write_bytes(b"another file")
    status, said, errors = run("--renew")
    assert (status, errors) == (0, [])
    assert said == [
        "my_landmarks.npz fits the export; landmarks in it: 2.",
        "Barn has lost photos that are not where they were.",
        "Shed must be taught again: none of its photos is where it was.",
        "What was there before is kept in my_landmarks.before.npz.",
    ]
    assert Path("my_landmarks.before.npz").read_bytes() == before
    taught = landmarks()
    assert [len(taught[name].examples) for name in ("House", "Barn")] == [5, 1]
    assert taught["House"].landmark == former["House"].landmark
    assert named(tiny_export, YELLOW) == "House"
    assert run("--renew")[1] == ["my_landmarks.npz fits the export; landmarks in it: 2."]


def test_what_was_kept_before_is_never_replaced(run, former):
    Path("my_landmarks.before.npz").write_bytes(b"kept")
    before = FILE.read_bytes()
    assert run("--renew")[1][-1] == "What was there before is kept in my_landmarks.before1.npz."
    assert Path("my_landmarks.before.npz").read_bytes() == b"kept"
    assert Path("my_landmarks.before1.npz").read_bytes() == before


def test_nothing_is_kept_where_nothing_is_lost(run, former):
    run("--forget", "Shed")
    assert run("--renew")[1] == ["my_landmarks.npz fits the export; landmarks in it: 2."]
    assert not Path("my_landmarks.before.npz").exists()


def test_where_no_photo_is_left_nothing_is_renewed(run, former, photos):
    before = FILE.read_bytes()
    for path in (*photos, Path("barn.jpg"), Path("barn2.jpg")):
        path.unlink()
    status, _, errors = run("--renew")
    assert status == 2
    assert errors[0].startswith("None of the photos that my_landmarks.npz was made from is where it was")
    assert FILE.read_bytes() == before
