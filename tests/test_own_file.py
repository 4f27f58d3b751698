"""The file of own landmarks: it comes back as it was, and anything else is refused in one sentence."""

import io
import json
import os
import subprocess
import sys
import threading
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.files import FileError
from src.inference import own_file
from src.inference.own import Example, Own, OwnError, Taught
from src.inference.own_file import (
    LONGEST,
    MOST_BYTES,
    MOST_EXAMPLES,
    MOST_LANDMARKS,
    MOST_TEXT,
    OtherExportError,
    changing,
    from_any_export,
    from_bytes,
    load_any,
    load_own,
    save_own,
    to_bytes,
)
from src.inference.space import Space, unit
from src.landmarks.answer import Answer, Guess
from src.landmarks.table import Landmark

ROOT = Path(__file__).parents[1]
EXPORT = "0123456789abcdef"
NO_FILE = "is damaged or no file of own landmarks"
HOUSE = Taught(
    Landmark(
        "Grandma's house", "Grandma's house", "Ulm", "Germany", "DE", 48.4, 9.99, tags=("family", "garden")
    ),
    (
        Example("a" * 32, "IMG_1.jpg", bytes([1, 2, 3, 255]), "/photos/IMG_1.jpg"),
        Example("b" * 32, "früh\udcff.jpg", bytes(4), "/photos/früh\udcff.jpg"),  # the last is no UTF-8
    ),
)
BRIDGE = Taught(Landmark("橋", "橋"), (Example("c" * 32, "3.heic", bytes([9, 9, 9, 9])),))
TAUGHT = {"Grandma's house": HOUSE, "橋": BRIDGE}
DATA = to_bytes(TAUGHT, EXPORT)


def about(data=DATA):
    with np.load(io.BytesIO(data)) as arrays:
        return json.loads(arrays["about"].tobytes())


def packed(text=None, features=None, **changes):
    """A file with something else in it."""
    with np.load(io.BytesIO(DATA)) as arrays:
        features = arrays["features"] if features is None else features
    text = json.dumps(about() | changes).encode() if text is None else text
    file = io.BytesIO()
    np.savez_compressed(file, about=np.frombuffer(text, np.uint8), features=features)
    return file.getvalue()


def test_own_landmarks_come_back():
    assert from_bytes(DATA, EXPORT) == TAUGHT
    assert from_any_export(DATA) == (EXPORT, TAUGHT)
    assert from_bytes(to_bytes({}, EXPORT), EXPORT) == {}


def test_a_file_from_before_paths_were_kept():
    examples = [
        [{k: v for k, v in one.items() if k != "path"} for one in some] for some in about()["examples"]
    ]
    taught = from_bytes(packed(examples=examples), EXPORT)
    assert taught["橋"] == BRIDGE
    assert [example.path for example in taught["Grandma's house"].examples] == ["", ""]


def test_another_exports_file_is_told_from_a_damaged_one(tmp_path):
    save_own(tmp_path / "mine.npz", TAUGHT, EXPORT)
    with pytest.raises(
        OtherExportError, match=r"^mine\.npz was made with another export: renew it .*--renew"
    ):
        load_own(tmp_path / "mine.npz", "f" * 16)
    assert load_any(tmp_path / "mine.npz") == (EXPORT, TAUGHT)


def test_an_export_without_a_space_says_so():
    with pytest.raises(OwnError, match="from before places could be taught: take a newer one"):
        from_bytes(DATA, "")


def bomb():
    """Some 300 kB that would be 300 MB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("about.npy", array(np.frombuffer(json.dumps(about()).encode(), np.uint8)))
        archive.writestr("features.npy", claims((300 * 2**20, 1))[:-4] + bytes(300 * 2**20))
    return file.getvalue()


def pickled():
    """What `numpy.load` would run, were it asked to unpickle."""

    class Payload:
        def __reduce__(self):
            return os.mkdir, ("unpickled",)

    file = io.BytesIO()
    np.savez(file, about=np.array([Payload()], dtype=object), features=np.zeros((1, 4), np.uint8))
    return file.getvalue()


def claims(shape):
    """An array that says to be so large, and holds four numbers."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(4)


def lie(entries, kind=zipfile.ZIP_STORED):
    """A zip of other parts than it should have."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def array(values):
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


LANDMARK = HOUSE.landmark.to_dict()
SEEN = {"content": "a", "name": "b", "path": "c"}
WRONG = {
    "empty": b"",
    "text": b"Grandma's house",
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "array": array(np.zeros(3)),
    "other zip": lie({"readme.txt": "hello"}),
    "no array": lie({"about.npy": b"{}", "features.npy": b"1234"}),
    "no features": lie({"about.npy": array(np.frombuffer(b"{}", np.uint8))}),
    "header of an array": lie(
        {"about.npy": b"\x93NUMPY\x01\x00\x10\x00{'descr': ((((((", "features.npy": b""}
    ),
    "array too large for memory": lie({"about.npy": claims((10**15,)), "features.npy": b""}),
    "array too large for any": lie({"about.npy": claims((2**62, 8)), "features.npy": b""}),
    "fewer rows than it says": lie(
        {
            "about.npy": array(np.frombuffer(json.dumps(about()).encode(), np.uint8)),
            "features.npy": claims((3, 4)),
        }
    ),
    "packed by LZMA, damaged": lie({"about.npy": array(np.arange(99))}, zipfile.ZIP_LZMA).replace(
        b"]\x00\x00", b"]\xff\xff", 1
    ),
    "pickled": pickled(),
    "bomb": bomb(),
    "no JSON": packed(b"landmarks"),
    "no UTF-8": packed(b'"\xff"'),
    "list": packed(b"[]"),
    "nested": packed(b"[" * 100_000),
    "later version": packed(version=2),
    "no export": packed(export=None),
    "no landmarks": packed(landmarks=3),
    "fewer examples": packed(examples=about()["examples"][:1]),
    "fewer features": packed(features=np.zeros((2, 4), np.uint8)),
    "more features": packed(features=np.zeros((4, 4), np.uint8)),
    "other features": packed(features=np.zeros((3, 4), np.float32)),
    "flat features": packed(features=np.zeros(3, np.uint8)),
    "no examples": packed(examples=[[], [SEEN] * 3]),
    "example is text": packed(examples=[["a", "b"], ["c"]]),
    "example is list": packed(examples=[[[], []], [[]]]),
    "twice": packed(landmarks=[LANDMARK] * 2),
    "name is a number": packed(landmarks=[LANDMARK | {"name": 3}, LANDMARK]),
    "name too long": packed(landmarks=[LANDMARK | {"name": "x" * (LONGEST + 1)}, LANDMARK]),
    "no name": packed(landmarks=[LANDMARK | {"name": ""}, LANDMARK]),
    "nowhere": packed(landmarks=[LANDMARK | {"latitude": 91}, LANDMARK]),
    "nan": packed(landmarks=[LANDMARK | {"latitude": float("nan")}, LANDMARK]),
    "latitude is text": packed(landmarks=[LANDMARK | {"latitude": "48"}, LANDMARK]),
    "more of a landmark": packed(landmarks=[LANDMARK | {"run": "rm"}, LANDMARK]),
    "too many examples": packed(
        landmarks=[LANDMARK],
        examples=[[SEEN] * (MOST_EXAMPLES + 1)],
        features=np.zeros((MOST_EXAMPLES + 1, 4), np.uint8),
    ),
    "too many landmarks": packed(
        landmarks=[LANDMARK | {"name": str(i)} for i in range(MOST_LANDMARKS + 1)],
        examples=[[SEEN]] * (MOST_LANDMARKS + 1),
        features=np.zeros((MOST_LANDMARKS + 1, 4), np.uint8),
    ),
    "too much text": packed(json.dumps(about()).encode() + b" " * MOST_TEXT),
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG)
def test_what_is_no_such_file_is_refused_in_one_sentence(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start = time.monotonic()
    with pytest.raises(OwnError) as refused:
        from_bytes(data, EXPORT, "mine.npz")
    assert str(refused.value).startswith(f"mine.npz {NO_FILE}")
    assert time.monotonic() - start < 5
    assert list(tmp_path.iterdir()) == []  # nothing was unpickled


def test_names_in_a_strangers_file_are_such_as_can_be_written():
    """Half a character is none in UTF-8, and a name on two lines is never found again."""
    entry = LANDMARK | {"name": "The\n house \ud800", "city": "Ulm\ud800", "tags": ["a\tb", " "]}
    data = packed(landmarks=[entry], examples=[[SEEN]], features=np.zeros((1, 4), np.uint8))
    [(name, one)] = from_bytes(data, EXPORT).items()
    assert name == one.landmark.name == "The house \N{REPLACEMENT CHARACTER}"
    assert (one.landmark.city, one.landmark.tags) == ("Ulm\N{REPLACEMENT CHARACTER}", ("a b",))


def test_a_bomb_is_not_unpacked():
    tracemalloc.start()
    try:
        with pytest.raises(OwnError, match=NO_FILE):
            from_bytes(WRONG["bomb"], EXPORT)
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


def test_a_file_that_is_cut_off_is_refused():
    for length in range(0, len(DATA), 7):
        with pytest.raises(OwnError, match=NO_FILE):
            from_bytes(DATA[:length], EXPORT)


def read_or_refused(data):
    try:
        taught = from_bytes(data, EXPORT)
    except OwnError as error:
        sentence = str(error)
    else:
        assert all(isinstance(one, Taught) for one in taught.values())
        sentence = ""
    assert "\n" not in sentence


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_file_is_read_or_refused(changes):
    data = bytearray(DATA)
    for at, value in changes:
        data[at] = value
    read_or_refused(bytes(data))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*LANDMARK, *SEEN]), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["landmarks", "examples", "export", "version"]), json_values)
def test_any_text_in_the_file_is_read_or_refused(part, value):
    read_or_refused(packed(**{part: value}))


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "mine.npz"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(
        OwnError, match=r"^mine\.npz is larger than 256 MB: teach fewer landmarks in one file"
    ):
        load_own(path, EXPORT)


def test_what_can_be_no_file(tmp_path):
    with pytest.raises(FileError, match=r"mine\.npz cannot be read: it or its folder is not there"):
        load_own(tmp_path / "mine.npz", EXPORT)
    with pytest.raises(FileError, match="cannot be read: it is a folder"):
        load_own(tmp_path, EXPORT)
    if hasattr(os, "mkfifo"):  # which would be waited for without end
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(OwnError, match=f"pipe {NO_FILE}"):
            load_own(tmp_path / "pipe", EXPORT)


@pytest.mark.parametrize(
    ("taught", "sentence"),
    [
        (
            {"A": Taught(Landmark("A", "A"), (BRIDGE.examples[0],) * (MOST_EXAMPLES + 1))},
            "A would have 101 photos",
        ),
        ({"A": Taught(Landmark("A", "A"), ())}, "A would have 0 photos"),
        ({"A" * 201: Taught(Landmark("A" * 201, "A" * 201), BRIDGE.examples)}, "too long a name"),
        ({str(i): BRIDGE for i in range(MOST_LANDMARKS + 1)}, "at most 10,000 own landmarks"),
    ],
    ids=["examples", "none", "name", "landmarks"],
)
def test_what_could_not_be_read_again_is_not_written(taught, sentence, tmp_path):
    path = tmp_path / "mine.npz"
    save_own(path, TAUGHT, EXPORT)
    with pytest.raises(OwnError, match=sentence):
        save_own(path, taught, EXPORT)
    assert load_own(path, EXPORT) == TAUGHT


def test_too_much_text_is_not_written(monkeypatch):
    monkeypatch.setattr(own_file, "MOST_TEXT", 100)
    with pytest.raises(OwnError, match="more own landmarks than one file can hold"):
        to_bytes(TAUGHT, EXPORT)


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "mine.npz"
    save_own(path, TAUGHT, EXPORT)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FileError, match=r"mine\.npz cannot be written: the disk is full"):
        save_own(path, {}, EXPORT)
    monkeypatch.undo()
    assert load_own(path, EXPORT) == TAUGHT
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.npz"]


def test_where_no_lock_can_be_made_nothing_is_begun(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with (
        pytest.raises(FileError, match=r"mine\.npz cannot be written"),
        changing(tmp_path / "file" / "mine.npz"),
    ):
        pytest.fail("it was begun")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_two_runs_at_once_wait_for_each_other(tmp_path):
    """Each of four processes adds a landmark; the file is read and written while no other does."""
    code = """
import sys, time
from pathlib import Path
from src.inference.own import Example, Taught
from src.inference.own_file import changing, load_own, save_own
from src.landmarks.table import Landmark
path, name = Path(sys.argv[1]), sys.argv[2]
with changing(path):
    taught = load_own(path, "export") if path.exists() else {}
    time.sleep(0.3)
    save_own(path, {**taught, name: Taught(Landmark(name, name), (Example(name, name, bytes(4)),))}, "export")
"""
    path = tmp_path / "new" / "mine.npz"
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(path), name], cwd=ROOT)
        for name in ("a", "b", "c", "d")
    ]
    assert [run.wait(60) for run in runs] == [0] * 4
    assert sorted(load_own(path, "export")) == ["a", "b", "c", "d"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_a_lock_is_given_back_after_a_failure(tmp_path):
    with pytest.raises(OwnError), changing(tmp_path / "mine.npz"):
        raise OwnError
    entered = threading.Event()

    def enter():
        with changing(tmp_path / "mine.npz"):
            entered.set()

    threading.Thread(target=enter, daemon=True).start()
    assert entered.wait(10)


def test_ten_thousand_own_landmarks_are_read_and_judged():
    """With as many features as the committed model has."""
    width, generator = 2560, np.random.default_rng(0)
    features = generator.integers(0, 256, (MOST_LANDMARKS, width), np.uint8)
    taught = {}
    for i, row in enumerate(features):
        name = f"Place {i}"
        example = Example(f"{i:032}", "IMG_1.jpg", row.tobytes(), f"/home/somebody/{i}/IMG_1.jpg")
        taught[name] = Taught(Landmark(name, name, "Somewhere"), (example,))
    data = to_bytes(taught, EXPORT)
    start = time.monotonic()
    axes, cohort = np.eye(width, dtype=np.float32), unit(generator.random((300, width), np.float32))
    space = Space(axes[0] * 0, axes[:, :1], axes[0, :1], axes[:2], axes[:0], cohort)
    own = Own(space, from_bytes(data, EXPORT), [Landmark("a", "a"), Landmark("b", "b")], 0.9)
    silent = Answer.judged([Guess(Landmark("a", "a"), 0.01)], 0.01, 0.9, features[1234].tobytes())
    [found] = own.judge([silent])
    assert found.guesses[0].landmark.name == "Place 1234"
    assert time.monotonic() - start < 30  # two seconds on an idle core
