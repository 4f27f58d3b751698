"""Photos of no landmark: which folders are taken, and how their sources are divided."""

import csv
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from src.data.errors import DataError
from src.data.unknown import SHARES, find_unknown, split_unknown


def folder_of(folder, sizes, table="SOURCES.csv"):
    """A folder with so many photos of each source, in no order, and its table; returns source by photo."""
    names = [source for source, size in sizes.items() for _ in range(size)]
    random.Random(0).shuffle(names)
    sources = {folder / f"kind{n % 3}" / f"{n}.jpg": source for n, source in enumerate(names)}
    for photo in sources:
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.touch()
    write_table(folder / table, {photo.relative_to(folder): source for photo, source in sources.items()})
    return sources


def write_table(path, sources, encoding="utf-8"):
    with open(path, "w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows([("file", "source"), *sources.items()])


def photos_alone(folder, count):
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.jpg").touch()
    return folder


def sources_of(parts, sources):
    return [Counter(sources[photo] for photo in part) for part in parts]


def test_no_source_is_in_two_parts_and_the_shares_are_about_those_asked_for(tmp_path):
    sizes = {f"source {number}": 1 + 7 * number % 20 for number in range(40)}
    sources = folder_of(tmp_path / "mixed", sizes)
    parts = split_unknown([tmp_path / "mixed"])
    assert sorted(photo for part in parts for photo in part) == sorted(sources)
    found = sources_of(parts, sources)
    assert sum(found, Counter()) == sizes
    assert sum(len(counts) for counts in found) == len(sizes)
    assert [len(part) / len(sources) for part in parts] == pytest.approx(SHARES, abs=0.01)


def test_the_largest_source_goes_where_most_is_lacking(tmp_path):
    sources = folder_of(tmp_path / "few", {"d": 1, "b": 3, "a": 6, "c": 2})
    parts = split_unknown([tmp_path / "few"])
    assert sources_of(parts, sources) == [{"a": 6, "d": 1}, {"b": 3}, {"c": 2}]


def test_the_split_depends_on_nothing_but_the_sources_and_the_seed(tmp_path):
    sources = folder_of(tmp_path / "mixed", {f"source {number}": 2 for number in range(20)})
    before = split_unknown([tmp_path / "mixed"])
    named = {photo.relative_to(tmp_path / "mixed"): source for photo, source in sources.items()}
    write_table(tmp_path / "mixed" / "SOURCES.csv", dict(reversed(named.items())), "utf-8-sig")  # by Excel
    np.random.seed(1)  # noqa: NPY002 - the split must not depend on the global generator
    assert split_unknown([tmp_path / "mixed"]) == before
    assert split_unknown([tmp_path / "mixed"], seed=1) != before
    (tmp_path / "mixed").rename(tmp_path / "moved")
    assert [p.name for p in split_unknown([tmp_path / "moved"]).judge] == [p.name for p in before.judge]


def test_photos_without_a_table_are_sources_of_their_own(tmp_path):
    folder = photos_alone(tmp_path / "unknown", 20)
    assert [len(part) for part in split_unknown([folder])] == [12, 4, 4]


@pytest.mark.parametrize("row", ["", "{},\n", "{}\n"])
def test_a_photo_of_which_the_table_says_no_source_is_one_of_its_own(tmp_path, row):
    folder = photos_alone(tmp_path / "unknown", 15)
    blog = [f"{number}.jpg,a blog\n" for number in range(9)]
    rest = [row.format(f"{number}.jpg") for number in range(9, 15)]
    (folder / "SOURCES.csv").write_text("file,source\n" + "".join(blog + rest))
    parts = split_unknown([folder])
    assert [len(part) for part in parts] == [9, 3, 3]
    assert parts.learn == sorted(folder / f"{number}.jpg" for number in range(9))


@pytest.mark.parametrize(
    "content",
    [b"name,source\n1.jpg,a\n", b"file\n1.jpg\n", b"file,source\n\xff.jpg,a\n", b"source,file\na\n",
     b"file,source\n" + b"x" * 200_000],
)  # fmt: skip
def test_a_table_that_cannot_be_read_is_named(tmp_path, content):
    folder = photos_alone(tmp_path / "unknown", 5)
    (folder / "SOURCES.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"SOURCES\.csv must be a table with the columns file and source"):
        split_unknown([folder])


@pytest.mark.parametrize("sizes", [{"a": 30}, {"a": 20, "b": 10}, {"a": 5, "b": 5, "c": 5}])
def test_too_few_sources_for_three_parts_are_an_error(tmp_path, sizes):
    folder_of(tmp_path / "few", sizes)
    with pytest.raises(DataError, match="few has photos of too few sources"):
        split_unknown([tmp_path / "few"])


def test_a_folder_without_photos_is_an_error(tmp_path):
    photos_alone(tmp_path / "empty", 0)
    with pytest.raises(DataError, match="empty has no pictures"):
        split_unknown([tmp_path / "empty"])


def test_each_of_several_folders_is_split_and_the_parts_are_joined(tmp_path):
    folders = [photos_alone(tmp_path / "many", 40), photos_alone(tmp_path / "few", 5)]
    together = split_unknown(folders)
    first, second = (split_unknown([folder]) for folder in folders)
    assert [len(part) for part in first] == [24, 8, 8]
    assert [len(part) for part in second] == [3, 1, 1]
    assert together == tuple(a + b for a, b in zip(first, second, strict=True))
    assert split_unknown([]) == ([], [], [])


def test_folders_beside_the_data_set_are_taken_where_none_is_given(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    assert find_unknown(None, root) == []
    (tmp_path / "not_landmarks").mkdir()
    assert find_unknown(None, root) == [tmp_path / "not_landmarks"]
    (tmp_path / "ordinary").mkdir()
    assert find_unknown([], root) == [tmp_path / "ordinary", tmp_path / "not_landmarks"]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link").symlink_to(root)
    assert find_unknown(None, tmp_path / "elsewhere" / "link") == find_unknown(None, root)
    assert find_unknown(["one", "two"], root) == [Path("one"), Path("two")]
