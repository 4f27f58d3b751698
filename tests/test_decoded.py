"""Decoded pictures and their cache: as the app decodes them, once, and never those of other data."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import encode, make_data_set, make_unknown, png, quarters
from PIL import Image

from src.data import decoded as decoding
from src.data.dataset import PictureDataset
from src.data.decoded import CACHED_SIDE, DECODERS, DecodedPictures, channel_statistics, decoder_version
from src.data.folders import list_pictures, load_pictures
from src.photos import decode
from src.photos.decode import read_photo

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


def test_large_pictures_are_cached_small_and_upright(tmp_path):
    path = tmp_path / "c" / "turned.jpg"
    path.parent.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: 600 × 400 pixels are shown as 400 × 600
    Image.new("RGB", (600, 400), "teal").save(path, exif=exif)
    assert DecodedPictures([path], tmp_path / "cache", side=128)[path].shape == (192, 128, 3)
