"""What the benchmark of robustness does to photos."""

import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import quarters
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from distortions import DISTORTIONS


@pytest.mark.parametrize("size", [(600, 400), (400, 600)])
@pytest.mark.parametrize("name", DISTORTIONS)
def test_a_photo_is_distorted_the_same_way_each_time(name, size):
    picture = quarters().resize(size, Image.Resampling.BICUBIC)
    before = np.asarray(picture).copy()
    distorted = DISTORTIONS[name](picture)
    assert distorted.mode == "RGB" and min(distorted.size) >= 96
    assert np.array_equal(np.asarray(picture), before), "the next distortion gets it untouched"
    assert np.array_equal(np.asarray(DISTORTIONS[name](picture)), np.asarray(distorted))
    same = distorted.size == picture.size and np.array_equal(np.asarray(distorted), before)
    assert same == (name == "untouched")


def test_sizes_after_a_distortion():
    picture = Image.new("RGB", (600, 400))
    sizes = {name: distort(picture).size for name, distort in DISTORTIONS.items()}
    assert sizes["shrunk to a short side of 96 px"] == (144, 96)
    assert sizes["the middle half of each side"] == (300, 200)
    assert sizes["white bars of a screenshot"] == (600, 600)
    assert sizes["turned by 90°"] == (400, 600)
