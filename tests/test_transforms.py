"""What networks see of pictures, in training and in evaluation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from src.data.folders import show_batch
from src.data.transforms import EvalTransform, LowResolution, TrainTransform

HALF = [0.5] * 3


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
