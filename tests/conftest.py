"""What several test files share: little pictures and a little export."""

import io
import os
import shutil
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

if "PYTEST_XDIST_WORKER" in os.environ:  # the workers share the cores; read when torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest.register_assert_rewrite(
    "download_server", "review_page"
)  # what differs is shown, as in the tests themselves


# These take longest: begun first, they leave no worker alone at the end.
LONGEST = (
    "test_notebooks.py",
    "test_parallel.py",
    "test_cluster.py",
    "test_train.py",
    "test_browser.py",
    "test_browser_views.py",
    "test_tag_review_page.py",
    "test_tag_kills.py",
)


def pytest_collection_modifyitems(items):
    """Begin with the longest files; needs xdist's --no-loadscope-reorder."""
    unwanted = pytest.mark.skip(reason="takes a minute; set CLUSTER_TESTS=1 to run it")
    for item in items:
        if item.get_closest_marker("cluster") and not os.environ.get("CLUSTER_TESTS"):
            item.add_marker(unwanted)
    rank = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


def quarters(width: int = 64, height: int = 48) -> Image.Image:
    """A picture whose four quarters are red, green, blue and yellow, so that every turn shows."""
    picture = Image.new("RGB", (width, height), "red")
    picture.paste("lime", (width // 2, 0, width, height // 2))
    picture.paste("blue", (0, height // 2, width // 2, height))
    picture.paste("yellow", (width // 2, height // 2, width, height))
    return picture


def encode(picture: Image.Image, kind: str = "JPEG", **options) -> bytes:
    """The picture as a file of Pillow's format `kind`."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def png(width, height, depth=8, colour_type=0, rows=b""):
    """A PNG file put together by hand."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def wait_until(condition, seconds=120):
    """Wait for what another process or thread does; a test machine may be busy with something else."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "that took too long"
        time.sleep(0.05)


@pytest.fixture
def jpeg() -> bytes:
    """A small photo file."""
    return encode(quarters(320, 240), quality=95)


@pytest.fixture
def photo(tmp_path, jpeg) -> Path:
    """The same in a folder of its own."""
    path = tmp_path / "IMG_1.jpg"
    path.write_bytes(jpeg)
    return path


@pytest.fixture
def exiv2():
    """The library that writes into copies; without it the test is skipped."""
    return pytest.importorskip("exiv2")


@pytest.fixture
def app():
    """The app's widgets, with a network that always says the same."""
    from app_library import FakePredictor

    from src.app.page import LandmarkApp

    return LandmarkApp(FakePredictor())


@pytest.fixture(scope="module")
def table():
    """The table of landmarks that is built in."""
    from src.landmarks.table import read_landmarks

    return read_landmarks()


def make_data_set(root: Path, *, seed: int = 0, train: int = 10, test: int = 3) -> Path:
    """Three classes that differ in colour, as JPEGs of 60 × 40 pixels with noise."""
    generator = np.random.default_rng(seed)
    for part, count in (("train", train), ("test", test)):
        for name, colour in (
            ("00.Alpha", (200, 40, 40)),
            ("01.Beta", (40, 200, 40)),
            ("02.Gamma", (40, 40, 200)),
        ):
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                noise = generator.integers(-40, 40, (40, 60, 3))
                picture = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
                Image.fromarray(picture).save(folder / f"{number}.jpg", quality=90)
    return root


def make_unknown(folder: Path, count: int = 20) -> Path:
    """Photos of no class: dark red, as JPEGs of 60 × 40 pixels with noise."""
    generator = np.random.default_rng(1)
    folder.mkdir(parents=True)
    for number in range(count):
        noise = generator.integers(-10, 10, (40, 60, 3))
        picture = (np.array((70, 15, 15)) + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{number}.jpg", quality=90)
    return folder


def colour_net(strength: float):
    """A network of three features, the mean colours; the strongest is the class. Needs no training."""
    from torch import nn  # here, as most tests do without torch

    class ColourNet(nn.Module):
        architecture = {"model": "colour"}

        def __init__(self):
            super().__init__()
            self.head = nn.Linear(3, 3, bias=False)
            nn.init.eye_(self.head.weight)

        def features_and_maps(self, x):
            return strength * x.mean(dim=(2, 3)), strength * x

        def features(self, x):
            return self.features_and_maps(x)[0]

        def forward(self, x):
            return self.head(self.features(x))

    return ColourNet()


@pytest.fixture
def data_set(tmp_path) -> Path:
    """A tiny data set in the layout of the real one."""
    return make_data_set(tmp_path / "data")


@pytest.fixture(scope="session")
def tiny_export(tmp_path_factory) -> Path:
    """A real export that takes red for the Taj Mahal, green for the Eiffel Tower, blue for the Hawa Mahal.

    Gray pictures are none of them. No training is needed.
    """
    from src.data.folders import load_pictures
    from src.inference.exporter import Calibration, export
    from src.inference.space import fit_space

    folder = tmp_path_factory.mktemp("export")
    root = make_data_set(folder / "data")
    names = {"00.Alpha": "00.Taj_Mahal", "01.Beta": "01.Eiffel_Tower", "02.Gamma": "02.Hawa_Mahal"}
    for part in ("train", "test"):
        for old, new in names.items():
            (root / part / old).rename(root / part / new)
    gray = ([0.5, 0.5, 0.5], [0.25, 0.25, 0.25])
    pictures = load_pictures(root, sizes=(32,), normalise=gray, workers=0, cache=folder / "cache")
    owners = np.repeat([0, 1, 2], 10)
    seen = 6 * np.eye(3)[owners] + np.random.default_rng(2).uniform(0, 0.5, (30, 3))
    calibration = Calibration(threshold=0.6, space=fit_space(seen, owners))
    export(colour_net(6), pictures, folder / "tiny.pt", calibration)
    return folder / "tiny.pt"


@pytest.fixture(scope="module")
def chromium():
    """Debian's Chromium without a window."""
    from browsing import ARGUMENTS, CHROMIUM, TIMEOUT, sync_api

    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        sync_api.expect.set_options(timeout=TIMEOUT)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def repository(tmp_path_factory, tiny_export):
    """The address of the app served as from a clone of the repository."""
    from browsing import copy_app, served

    folder = copy_app(tmp_path_factory.mktemp("served") / "clone", "src", "voila.json")
    shutil.copy(tiny_export, folder / "checkpoints" / "transfer_exported.pt")
    with served(folder) as address:
        yield address


@pytest.fixture
def new_visit(chromium, repository):
    """A page that nobody else has."""
    from browsing import Visit

    visit = Visit(chromium, repository)
    yield visit
    assert visit.errors == []
    visit.page.close()


@pytest.fixture(scope="module")
def first_visit(chromium, repository):
    """A page for all tests of a file."""
    from browsing import Visit

    visit = Visit(chromium, repository)
    yield visit
    visit.page.close()


@pytest.fixture
def cleared_visit(first_visit):
    """The page that the tests of a file share, without photos; a file calls it `visit`."""
    first_visit.clear()
    first_visit.page.set_viewport_size({"width": 1280, "height": 900})
    yield first_visit
    assert first_visit.errors == []
