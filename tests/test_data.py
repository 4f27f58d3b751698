"""Finding, splitting, caching, transforming and serving pictures."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import encode, make_data_set, make_unknown, png, quarters
from PIL import Image

from src.data import decoded as decoding
from src.data.dataset import EpochSampler, PictureDataset
from src.data.decoded import CACHED_SIDE, DECODERS, DecodedPictures, channel_statistics, decoder_version
from src.data.folders import (
    UNKNOWN,
    DataError,
    class_folders,
    find_data_set,
    list_photos,
    list_pictures,
    load_pictures,
    show_batch,
    stratified_split,
)
from src.data.transforms import EvalTransform, LowResolution, TrainTransform
from src.photos import decode
from src.photos.decode import read_photo

HALF = [0.5] * 3
ROTATED = Image.Exif()
ROTATED[0x0112] = 6  # the camera was turned
SEE_THROUGH = Image.new("RGBA", (300, 280), (0, 0, 0, 0))
SEE_THROUGH.paste((200, 30, 30, 128), (40, 40, 200, 200))
# files that decoders disagree about, and the first pixel as it is meant
DISPUTED = {
    "transparent.png": (encode(SEE_THROUGH, "PNG"), (255, 255, 255)),
    "gray16.png": (
        png(64, 48, 16, 0, b"".join(b"\0" + b"\x80\x00" * 64 for _ in range(48))),
        (128, 128, 128),
    ),
    "cmyk.jpg": (encode(Image.new("CMYK", (600, 520), (0, 255, 255, 0)), quality=95), None),
    "rotated.jpg": (encode(quarters(700, 600), exif=ROTATED), None),
}


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


def test_statistics_are_those_of_the_training_pictures_alone(data_set, tmp_path):
    paths, *_ = list_pictures(data_set / "train")
    mean, std = channel_statistics(DecodedPictures(paths, tmp_path / "cache"), paths)
    pixels = np.concatenate([np.asarray(Image.open(p)).reshape(-1, 3) for p in paths]) / 255
    assert mean == pytest.approx(pixels.mean(0).tolist())
    assert std == pytest.approx(pixels.std(0).tolist())
    before = load_pictures(data_set, sizes=(32,), cache=tmp_path / "cache")
    for path in (data_set / "test").rglob("*.jpg"):
        Image.new("RGB", (60, 40), "white").save(path)
    after = load_pictures(data_set, sizes=(32,), cache=tmp_path / "cache")
    assert (before.mean, before.std) == (after.mean, after.std)


def test_other_data_never_reads_the_cache(tmp_path):
    cache = tmp_path / "cache"
    one, two = make_data_set(tmp_path / "one", seed=1), make_data_set(tmp_path / "two", seed=2)
    paths = [list_pictures(root / "train")[0] for root in (one, two)]
    files = set()
    for chosen in paths:
        decoded = DecodedPictures(chosen, cache)
        again = DecodedPictures(chosen, cache)
        files.add(decoded.file)
        for path in chosen:
            truth = np.asarray(Image.open(path))
            assert np.array_equal(decoded[path], truth)
            assert np.array_equal(again[path], truth)
    assert len(files) == 2


def test_an_item_changes_neither_the_cache_nor_the_random_numbers_of_others(data_set, tmp_path):
    dataset = load_pictures(data_set, sizes=(32,), workers=0, cache=tmp_path / "cache").train.dataset
    before, state = dataset.decoded.file.read_bytes(), torch.random.get_rng_state()
    dataset[0]
    dataset.picture(0).zero_()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert dataset.decoded.file.read_bytes() == before


@pytest.mark.parametrize("name", DISPUTED)
def test_pictures_are_decoded_for_training_as_the_app_decodes_them(tmp_path, name):
    data, first = DISPUTED[name]
    path = tmp_path / "class" / name
    path.parent.mkdir()
    path.write_bytes(data)
    product = read_photo(data, name, CACHED_SIDE)
    shrunk = product.resize([round(side * CACHED_SIDE / min(product.size)) for side in product.size])
    expected = np.asarray(shrunk if min(product.size) > CACHED_SIDE else product)
    cached = PictureDataset([path], [0], ["class"], None, decoded=DecodedPictures([path], tmp_path / "cache"))
    for dataset in (cached, PictureDataset([path], [0], ["class"], None)):
        array = dataset.picture(0).permute(1, 2, 0).numpy()
        assert np.array_equal(array, expected)
        assert min(array.shape[:2]) == min(CACHED_SIDE, *product.size)
        assert first is None or tuple(array[0, 0]) == first


def test_what_another_decoder_left_in_the_cache_is_not_read(data_set, tmp_path, monkeypatch):
    paths, *_ = list_pictures(data_set / "train")
    before = DecodedPictures(paths, tmp_path / "cache")
    statistics = channel_statistics(before, paths)
    changed = tmp_path / "decode.py"
    changed.write_text(Path(decode.__file__).read_text() + "# changed\n")
    monkeypatch.setattr(decode, "__file__", str(changed))
    monkeypatch.setattr(decoding, "read_picture", lambda path, side: Image.new("RGB", (60, 40), (51,) * 3))
    decoder_version.cache_clear()
    try:
        after = DecodedPictures(paths, tmp_path / "cache")
        assert (after[paths[0]] == 51).all()
        assert channel_statistics(after, paths)[0] == pytest.approx([0.2] * 3) != statistics[0]
    finally:
        decoder_version.cache_clear()


def test_the_name_of_the_decoder_stands_for_all_modules_that_decode():
    lines = [line for module in DECODERS for line in Path(module.__file__).read_text().splitlines()]
    imported = {line.split()[1] for line in lines if line.startswith("from src.photos")}
    assert imported <= {module.__name__ for module in DECODERS} | {"src.photos.errors"}


def test_files_are_hashed_once_and_decoded_once_for_all_splits(data_set, tmp_path, monkeypatch):
    unknown = sorted(make_unknown(tmp_path / "unknown", 10).iterdir())
    reads, read_bytes = Counter(), Path.read_bytes

    def counted(path):
        reads[path.parent.name, path.name] += path.suffix == ".jpg"
        return read_bytes(path)

    def most_reads(valid_fraction):
        reads.clear()
        load_pictures(
            data_set, sizes=(32,), valid_fraction=valid_fraction, unknown=unknown, cache=tmp_path / "cache"
        )
        return max(reads.values()), sum(reads.values())

    monkeypatch.setattr(Path, "read_bytes", counted)
    assert most_reads(0.2) == (2, 2 * (30 + 10))  # hashed, and decoded
    assert most_reads(0.2) == (1, 30 + 10)
    assert most_reads(0.4) == (1, 30 + 10)  # another split, the same pictures


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


def test_large_pictures_are_cached_small_and_upright(tmp_path):
    path = tmp_path / "c" / "turned.jpg"
    path.parent.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: 600 × 400 pixels are shown as 400 × 600
    Image.new("RGB", (600, 400), "teal").save(path, exif=exif)
    assert DecodedPictures([path], tmp_path / "cache", side=128)[path].shape == (192, 128, 3)


@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (32, 32), (700, 300), (33, 500)])
def test_evaluation_sees_the_middle_of_the_picture(shape):
    picture = torch.randint(0, 256, (3, *shape), dtype=torch.uint8)
    transform = EvalTransform(32, HALF, HALF)
    seen = transform(picture)
    assert seen.shape == (3, 32, 32)
    assert torch.equal(seen, transform(picture))
    height, width = shape
    scale = 32 / min(shape)
    resized = F.interpolate(
        picture[None] / 255, (round(height * scale), round(width * scale)), mode="bilinear", antialias=True
    )
    top, left = (resized.shape[2] - 32) // 2, (resized.shape[3] - 32) // 2
    expected = (resized[0, :, top : top + 32, left : left + 32] - 0.5) / 0.5
    assert torch.allclose(seen, expected, atol=1e-5)


def test_shrinking_averages_instead_of_skipping_pixels():
    stripes = torch.zeros(3, 320, 320, dtype=torch.uint8)
    stripes[:, :, ::2] = 255
    seen = EvalTransform(32, [0.0] * 3, [1.0] * 3)(stripes)
    assert (seen[:, :, 2:-2] - 0.5).abs().max() < 0.05


def test_training_sizes_grow_with_the_epochs():
    transform = TrainTransform((32, 48, 64), HALF, HALF, epochs=6)
    picture = torch.randint(0, 256, (3, 80, 100), dtype=torch.uint8)
    assert [transform(picture, epoch).shape[-1] for epoch in range(7)] == [32, 32, 48, 48, 64, 64, 64]


def test_shown_batch_has_its_real_colours():
    picture = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    x = EvalTransform(32, [0.4, 0.5, 0.6], [0.2, 0.3, 0.4])(picture)[None]
    figure = show_batch(x, ["Taj Mahal"], [0.4, 0.5, 0.6], [0.2, 0.3, 0.4])
    shown = figure.axes[0].images[0].get_array()
    assert np.array_equal(shown, picture.permute(1, 2, 0).numpy())
    assert figure.axes[0].get_title() == "Taj Mahal"


def test_low_resolution_blurs_large_pictures_and_leaves_small_ones():
    torch.manual_seed(0)
    stripes = torch.tensor([0, 255], dtype=torch.uint8).repeat_interleave(1).repeat(3, 200, 150)  # 200 × 300
    blurred = LowResolution((64, 100))(stripes)
    assert blurred.shape == stripes.shape and blurred.dtype == torch.uint8
    assert blurred.float().std() < 20 < stripes.float().std(), "stripes of one pixel are gone"
    assert abs(blurred.float().mean() - 127.5) < 2
    small = stripes[:, :60, :70]
    assert LowResolution((64, 160))(small) is small


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_low_resolution_is_part_of_the_training_where_it_is_asked_for(share):
    stripes = torch.tensor([0, 255], dtype=torch.uint8).repeat(3, 256, 128)
    transform = TrainTransform((256,), [0.5] * 3, [0.5] * 3, zoom=1.0, strong=False, low_resolution=share)
    transform.stages[0].transforms = [
        one
        for one in transform.stages[0].transforms
        if "Rotation" not in str(one) and "Jitter" not in str(one)
    ]
    torch.manual_seed(0)
    assert (transform(stripes).std() > 0.3) == (share == 0)
