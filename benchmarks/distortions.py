"""What happens to photos on their way: each function takes an upright RGB picture and gives one."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps


def _short_side(picture: Image.Image, side: int) -> Image.Image:
    scale = side / min(picture.size)
    width, height = (max(side, round(length * scale)) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def _jpeg(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def _noisy(picture: Image.Image, sigma: float) -> Image.Image:
    noise = np.random.default_rng(0).normal(0, sigma, (picture.height, picture.width, 3))
    return Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8))


def _middle_half(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    return picture.crop((width // 4, height // 4, width - width // 4, height - height // 4))


def _screenshot(picture: Image.Image) -> Image.Image:
    page = Image.new("RGB", (picture.width, round(1.5 * picture.height)), "white")
    page.paste(picture, (0, picture.height // 4))
    return page


def _hidden(picture: Image.Image) -> Image.Image:
    covered = picture.copy()
    third = picture.width // 3
    ImageDraw.Draw(covered).rectangle((third, 0, 2 * third, picture.height), (128, 128, 128))
    return covered


DISTORTIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "untouched": lambda picture: picture,
    "JPEG of quality 15": lambda picture: _jpeg(picture, 15),
    "shrunk to a short side of 96 px": lambda picture: _short_side(picture, 96),
    "Gaussian blur of 3 px at 256 px": lambda picture: _short_side(picture, 256).filter(
        ImageFilter.GaussianBlur(3)
    ),
    "Gaussian noise, σ 25 of 255": lambda picture: _noisy(picture, 25),
    "brightness × 0.35": lambda picture: ImageEnhance.Brightness(picture).enhance(0.35),
    "grey": lambda picture: ImageOps.grayscale(picture).convert("RGB"),
    "turned by 15°": lambda picture: picture.rotate(15, Image.Resampling.BICUBIC),
    "turned by 90°": lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
    "the middle half of each side": _middle_half,
    "white bars of a screenshot": _screenshot,
    "middle third hidden": _hidden,
}
