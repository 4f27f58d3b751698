"""What is no file of own landmarks is refused in one sentence, and nothing in it is run."""

import io
import json
import os
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from own_file_samples import DATA, EXPORT, HOUSE, about, file_with

from src.files import FileError
from src.inference.own import OwnError, Taught
from src.inference.own_file import (
    LONGEST,
    MOST_BYTES,
    MOST_EXAMPLES,
    MOST_LANDMARKS,
    MOST_TEXT,
    from_bytes,
    load_own,
)

NO_FILE = "is damaged or no file of own landmarks"
LANDMARK = HOUSE.landmark.to_dict()
SEEN = {"content": "a", "name": "b", "path": "c"}


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
    "no JSON": file_with(b"landmarks"),
    "no UTF-8": file_with(b'"\xff"'),
    "list": file_with(b"[]"),
    "nested": file_with(b"[" * 100_000),
    "later version": file_with(version=2),
    "no export": file_with(export=None),
    "no landmarks": file_with(landmarks=3),
    "fewer examples": file_with(examples=about()["examples"][:1]),
    "fewer features": file_with(features=np.zeros((2, 4), np.uint8)),
    "more features": file_with(features=np.zeros((4, 4), np.uint8)),
    "other features": file_with(features=np.zeros((3, 4), np.float32)),
    "flat features": file_with(features=np.zeros(3, np.uint8)),
    "no examples": file_with(examples=[[], [SEEN] * 3]),
    "example is text": file_with(examples=[["a", "b"], ["c"]]),
    "example is list": file_with(examples=[[[], []], [[]]]),
    "twice": file_with(landmarks=[LANDMARK] * 2),
    "name is a number": file_with(landmarks=[LANDMARK | {"name": 3}, LANDMARK]),
    "name too long": file_with(landmarks=[LANDMARK | {"name": "x" * (LONGEST + 1)}, LANDMARK]),
    "no name": file_with(landmarks=[LANDMARK | {"name": ""}, LANDMARK]),
    "nowhere": file_with(landmarks=[LANDMARK | {"latitude": 91}, LANDMARK]),
    "nan": file_with(landmarks=[LANDMARK | {"latitude": float("nan")}, LANDMARK]),
    "latitude is text": file_with(landmarks=[LANDMARK | {"latitude": "48"}, LANDMARK]),
    "more of a landmark": file_with(landmarks=[LANDMARK | {"run": "rm"}, LANDMARK]),
    "too many examples": file_with(
        landmarks=[LANDMARK],
        examples=[[SEEN] * (MOST_EXAMPLES + 1)],
        features=np.zeros((MOST_EXAMPLES + 1, 4), np.uint8),
    ),
    "too many landmarks": file_with(
        landmarks=[LANDMARK | {"name": str(i)} for i in range(MOST_LANDMARKS + 1)],
        examples=[[SEEN]] * (MOST_LANDMARKS + 1),
        features=np.zeros((MOST_LANDMARKS + 1, 4), np.uint8),
    ),
    "too much text": file_with(json.dumps(about()).encode() + b" " * MOST_TEXT),
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
    data = file_with(landmarks=[entry], examples=[[SEEN]], features=np.zeros((1, 4), np.uint8))
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
    read_or_refused(file_with(**{part: value}))


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
