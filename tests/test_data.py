"""Finding, splitting and serving pictures."""

import os
from collections import Counter

import numpy as np
import pytest
import torch
from conftest import encode, make_unknown, quarters

from src.data.dataset import EpochSampler
from src.data.folders import (
    UNKNOWN,
    DataError,
    class_folders,
    find_data_set,
    list_photos,
    list_pictures,
    load_pictures,
    stratified_split,
)


def _niceness(_picture, _epoch):
    return torch.tensor(os.nice(0))


def test_argument_comes_before_environment(data_set, tmp_path, monkeypatch):
    monkeypatch.setenv("LANDMARK_IMAGES", str(tmp_path))
    assert find_data_set(data_set) == data_set
    with pytest.raises(DataError, match="train/ and test/"):
        find_data_set()  # named but no data set: never silently something else
    monkeypatch.setenv("LANDMARK_IMAGES", str(data_set))
    assert find_data_set() == data_set


def test_data_set_beside_the_notebooks_is_found(data_set, tmp_path, monkeypatch):
    monkeypatch.delenv("LANDMARK_IMAGES", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "landmark_images").symlink_to(data_set)
    assert find_data_set(download=False).resolve() == data_set


@pytest.mark.parametrize("fault", ["missing", "empty", "no pictures"])
def test_faulty_folders_are_named(tmp_path, fault):
    folder = tmp_path / "train"
    if fault != "missing":
        folder.mkdir()
    if fault == "no pictures":
        folder = folder / "00.Empty"
        folder.mkdir()
        (folder / "notes.txt").write_text("no picture")
    with pytest.raises(DataError, match=str(folder)):
        list_pictures(tmp_path / "train")


def test_hidden_folders_are_no_classes(data_set):
    """Jupyter makes .ipynb_checkpoints where a notebook is looked at; an empty one stopped the training."""
    expected = list_pictures(data_set / "train")
    for part in ("train", "test"):
        (data_set / part / ".ipynb_checkpoints").mkdir()
        (data_set / part / "00.Alpha" / ".ipynb_checkpoints").mkdir()
        (data_set / part / "00.Alpha" / ".DS_Store").write_bytes(b"not a picture")
    (data_set / "test" / ".ipynb_checkpoints" / "1.jpg").write_bytes(encode(quarters()))
    assert list_pictures(data_set / "train") == expected
    assert [folder.name for folder in class_folders(data_set / "train")] == expected[2]
    assert load_pictures(data_set, workers=0).class_names == expected[2]


def test_broken_picture_is_named(data_set, tmp_path):
    broken = data_set / "train" / "01.Beta" / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 this is no picture")
    with pytest.raises(DataError, match=r"broken\.jpg.*remove"):
        load_pictures(data_set, sizes=(32,), cache=tmp_path / "cache")
    left = {file.suffix for file in (tmp_path / "cache").iterdir()}
    assert left <= {".u8", ".npy", ".json"}  # nothing half-written stays


def test_different_classes_in_train_and_test_are_an_error(data_set, tmp_path):
    (data_set / "test" / "02.Gamma").rename(data_set / "test" / "02.Delta")
    with pytest.raises(DataError, match=r"02\.Delta, 02\.Gamma"):
        load_pictures(data_set, cache=tmp_path / "cache")


def test_split_is_stratified_disjoint_and_always_the_same():
    labels = [0] * 40 + [1] * 20 + [2] * 2 + [3]
    train, valid = stratified_split(labels, 0.25, seed=3)
    assert sorted(train + valid) == list(range(len(labels)))
    assert np.bincount([labels[i] for i in valid], minlength=4).tolist() == [10, 5, 1, 0]
    np.random.seed(1)  # noqa: NPY002 - the split must not depend on the global generator
    assert stratified_split(labels, 0.25, seed=3) == (train, valid)
    assert stratified_split(labels, 0.25, seed=4) != (train, valid)


def test_three_sets_are_disjoint_and_test_is_the_test_folder(data_set, tmp_path):
    pictures = load_pictures(data_set, sizes=(32,), workers=0, cache=tmp_path / "cache")
    train, valid, test = (set(part.dataset.paths) for part in (pictures.train, pictures.valid, pictures.test))
    assert not (train & valid or train & test or valid & test)
    assert train | valid == set((data_set / "train").rglob("*.jpg"))
    assert test == set((data_set / "test").rglob("*.jpg"))
    served = sum(len(labels) for _, labels in pictures.test)
    assert served == len(test)


def test_each_epoch_serves_every_picture_once_in_a_new_order(data_set, tmp_path):
    pictures = load_pictures(data_set, sizes=(32,), batch_size=5, workers=0, cache=tmp_path / "cache")
    sampler, count = pictures.train.sampler, len(pictures.train.dataset)
    orders = []
    for epoch in range(2):
        sampler.epoch = epoch
        orders.append([item - epoch * count for item in sampler])
        assert sorted(orders[-1]) == list(range(count))
    assert orders[0] != orders[1]


def test_batches_do_not_depend_on_workers_or_on_what_ran_before(data_set, tmp_path):
    def first_batches(workers):
        pictures = load_pictures(
            data_set, sizes=(32,), batch_size=8, workers=workers, cache=tmp_path / "cache", seed=5
        )
        pictures.train.sampler.epoch = 2
        return [x for x, _ in pictures.train]

    torch.manual_seed(1)
    alone = first_batches(0)
    torch.rand(17)
    for a, b in zip(alone, first_batches(2), strict=True):
        assert torch.equal(a, b)


@pytest.mark.skipif(not hasattr(os, "nice") or torch.cuda.is_available(), reason="not of this machine")
def test_loading_processes_leave_the_cores_to_the_network(data_set, tmp_path):
    pictures = load_pictures(data_set, sizes=(32,), workers=1, cache=tmp_path / "cache")
    pictures.train.dataset.transform = _niceness
    niceness, _ = next(iter(pictures.train))
    assert niceness.unique().tolist() == [19]


def test_limit_takes_every_class(data_set, tmp_path):
    pictures = load_pictures(data_set, sizes=(32,), limit=6, workers=0, cache=tmp_path / "cache")
    for part in (pictures.train, pictures.valid, pictures.test):
        assert set(part.dataset.labels) == {0, 1, 2}
    assert len(pictures.train.dataset) == 6


def test_unknown_photos_join_the_training_pictures_alone(data_set, tmp_path):
    unknown = sorted(make_unknown(tmp_path / "unknown").iterdir())[:12]
    common = {"sizes": (32,), "workers": 0, "unknown": unknown, "cache": tmp_path / "cache"}
    pictures, fewer = load_pictures(data_set, **common), load_pictures(data_set, limit=12, **common)
    train = pictures.train.dataset
    labels = dict(zip(train.paths, train.labels, strict=True))
    assert [path for path, label in labels.items() if label == UNKNOWN] == unknown
    assert UNKNOWN not in pictures.valid.dataset.labels + pictures.test.dataset.labels
    assert len(train) == 24 + 12
    assert Counter(fewer.train.dataset.labels) == {0: 4, 1: 4, 2: 4, UNKNOWN: 6}, "the same share"


def test_training_pictures_can_be_seen_as_in_evaluation(data_set, tmp_path):
    unknown = sorted(make_unknown(tmp_path / "unknown").iterdir())
    pictures = load_pictures(
        data_set, sizes=(40,), eval_size=32, workers=0, unknown=unknown, cache=tmp_path / "cache"
    )
    train, positions = pictures.train.dataset, [30, 2, 17, 2]
    plain = pictures.plain(positions)
    assert plain.dataset.paths == [train.paths[i] for i in positions]
    seen, labels = next(iter(plain))
    assert labels.tolist() == [train.labels[i] for i in positions] and labels[0] == UNKNOWN
    expected = torch.stack([pictures.valid.dataset.transform(train.picture(i)) for i in positions])
    assert torch.equal(seen, expected)


def test_each_process_takes_its_share_of_every_batch():
    alone = EpochSampler(10, 3)
    alone.epoch = 2
    shares = [EpochSampler(10, 3, rank, 3) for rank in range(3)]
    for share in shares:
        share.epoch = 2
    taken = [item for batch in zip(*shares, strict=True) for item in batch]
    assert [len(share) for share in shares] == [4, 4, 4]
    assert taken[:10] == list(alone)
    assert set(taken) == set(alone)


def test_photos_are_those_that_the_tagger_finds(tmp_path):
    for name in ("b/2.JPG", "a.webp", "b/.hidden.jpg", ".thumbnails/1.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list_photos(tmp_path) == [tmp_path / "a.webp", tmp_path / "b/2.JPG"]
    os.mkfifo(tmp_path / "b" / "pipe.jpg")
    with pytest.raises(DataError, match=r"pipe\.jpg"):
        list_photos(tmp_path)
