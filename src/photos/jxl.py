"""JPEG XL: its parts, its size, and its pixels, which another process decodes.

A still picture may be of any number of layers, each as large as the whole and stored in a few bytes, and
nothing less than a decoder can count them. So libjxl runs in a process of its own, with limits on time and
memory, and a crash ends only that. It sees the codestream alone: no metadata, and no data from which a
former JPEG file could be had back.

ISO/IEC 18181-1 (codestream: Annex D, image header), 18181-2 (file format: boxes).
"""

from __future__ import annotations

import struct
import subprocess
import sys
from importlib.util import find_spec

from PIL import Image

from src.photos.containers import MAX_BLOCK, Contents
from src.photos.errors import PhotoError
from src.photos.isobmff import boxes
from src.photos.tiff import ORDERS

CODESTREAM = b"\xff\x0a"
CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
PACKAGES = ("pillow_jxl", "brotli")  # decode the picture, and what is packed of its metadata

SECONDS = 20  # for decoding
MEMORY = 2**30  # bytes that the decoder may take
_MOST_BYTES = 36  # a pixel; with less, memory is enough for a picture of one layer, as measured

_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # of width to height, from number 1 on
_ANSWER = "<4sLLL"  # before profile and pixels: mode, width, height, bytes of the profile

# What the decoding process runs; its own limit of time is for when nobody waits for it any more. Of gray it
# gets samples of any width, and of other pictures bytes.
_DECODE = f"""
import struct, sys
try:
    import resource
    for limit, most in (("AS", {MEMORY}), ("CPU", {2 * SECONDS}), ("CORE", 0)):
        resource.setrlimit(getattr(resource, "RLIMIT_" + limit), (most, most))
except (ImportError, OSError, ValueError):  # not on every system
    pass
from PIL import Image
from pillow_jxl import Decoder
_, info, pixels, profile, *_ = Decoder(num_threads=0)(sys.stdin.buffer.read())
mode = {{"I;16": "L", "F": "L", "F;16": "L"}}.get(info.mode, info.mode)
samples = info.width * len(mode)
width = len(pixels) // (samples * info.height)
if width == 2:
    pixels = pixels[1::2]
elif width == 4:  # floating point
    numbers = Image.frombytes("F", (samples, info.height), pixels)
    pixels = numbers.point(lambda value: value * 255 + 0.5).convert("L").tobytes()
profile = profile or b""
sys.stdout.buffer.write(struct.pack("{_ANSWER}", mode.encode(), info.width, info.height, len(profile)))
sys.stdout.buffer.write(profile)
sys.stdout.buffer.write(pixels)
"""


def can_decode() -> bool:
    """Whether the packages are installed that JPEG XL takes."""
    return all(map(find_spec, PACKAGES))


def take_apart_jxl(photo: bytes) -> Contents:
    """The parts of a JPEG XL file; what is packed with Brotli takes the package of that name.

    Raises:
        ValueError: it has too many of them.
    """
    if photo.startswith(CODESTREAM):
        return Contents(photo)
    pieces, found = [], dict[bytes, bytes]()
    for kind, start, end in boxes(photo):
        if kind == b"jxlc":
            pieces.append(photo[start:end])
        elif kind == b"jxlp":
            pieces.append(photo[start + 4 : end])  # behind its number; they are in order
        elif kind in (b"Exif", b"xml "):
            found.setdefault(kind, photo[start : min(end, start + MAX_BLOCK + 1)])
        elif kind == b"brob" and (packed := photo[start : start + 4]) in (b"Exif", b"xml "):
            found.setdefault(packed, _unpacked(photo[start + 4 : end]))
    exif = found.get(b"Exif", b"")
    if exif[:4] not in ORDERS:  # as old encoders forgot to say how far from here the structure is
        exif = exif[4 + int.from_bytes(exif[:4]) :]
    return Contents(b"".join(pieces), exif, found.get(b"xml ", b""))


def _unpacked(packed: bytes) -> bytes:
    """Up to one byte more of a block than is read; empty where it is broken."""
    import brotli

    try:
        return brotli.Decompressor().process(packed, output_buffer_limit=MAX_BLOCK + 1)[: MAX_BLOCK + 1]
    except brotli.error:
        return b""


class JxlImage(Image.Image):
    """A JPEG XL codestream, of which `load` makes an upright picture: libjxl turns it as the header says.

    Args:
        codestream: without metadata.
        name: of its file, used in messages only.

    Raises:
        PhotoError: it is an animation; or, at `load`, decoding takes too much time or memory.
        ValueError: it is damaged.
    """

    format = "JXL"

    def __init__(self, codestream: bytes, name: str):
        super().__init__()
        header = _Header(codestream)
        if header.animated:  # the decoder would make all of its pictures, and give the last
            raise PhotoError(
                f"{name} is an animation in JPEG XL, which cannot be read here; save a picture of it as JPEG."
            )
        self._size, self._mode = header.size, "RGB"
        self._codestream, self._name = codestream, name

    def load(self) -> Image.core.PixelAccess | None:
        if self._codestream:
            picture = self._decoded()
            self._codestream = b""
            self._size, self._mode, self.im, self.info = picture.size, picture.mode, picture.im, picture.info
        return super().load()

    def _decoded(self) -> Image.Image:
        command = [sys.executable, "-P", "-c", _DECODE]
        try:
            done = subprocess.run(
                command,
                input=self._codestream,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise PhotoError(f"{self._name} takes too long to be read; save the picture as JPEG.") from error
        head = struct.calcsize(_ANSWER)
        if done.returncode or len(done.stdout) < head:
            if self.width * self.height * _MOST_BYTES > MEMORY:
                raise PhotoError(
                    f"{self._name} is damaged, or takes too much memory to be read; use a smaller copy."
                )
            raise ValueError("it cannot be decoded")
        mode, width, height, size = struct.unpack_from(_ANSWER, done.stdout)
        if sorted((width, height)) != sorted(self.size):
            raise ValueError("it is of another size")
        pixels = memoryview(done.stdout)[head + size :]
        picture = Image.frombytes(mode.rstrip(b"\0").decode(), (width, height), pixels)
        picture.info = {"icc_profile": done.stdout[head : head + size]} if size else {}
        return picture


class _Header:
    """The first fields of a codestream: SizeHeader and, of ImageMetadata, up to whether it is an animation.

    Numbers are stored with their lowest bit first.
    """

    LONGEST = 64  # bytes, more than these fields take

    def __init__(self, codestream: bytes):
        """
        Raises:
            ValueError: it ends early, or begins as none.
        """
        if not codestream.startswith(CODESTREAM):
            raise ValueError("it is no codestream")
        self._bits = int.from_bytes(codestream[2 : self.LONGEST], "little")
        self._left = 8 * (min(len(codestream), self.LONGEST) - 2)
        self.size = self._take_size()
        self.animated = False
        if self._take(1) or not self._take(1):  # all by default, or no fields of the rare kind
            return
        self._take(3)  # orientation
        if self._take(1):
            self._take_size()  # at which it is meant to be shown
        if self._take(1):
            self._take_preview()
        self.animated = bool(self._take(1))

    def _take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("it ends early")
        value = self._bits & (1 << count) - 1
        self._bits >>= count
        self._left -= count
        return value

    def _take_one_of(self, *widths: int) -> int:
        """A number of one of four widths in bits, which stands before it."""
        return self._take(widths[self._take(2)])

    def _take_size(self) -> tuple[int, int]:
        """Width and height."""
        by_eight = self._take(1)

        def side() -> int:
            return 8 * (1 + self._take(5)) if by_eight else 1 + self._take_one_of(9, 13, 18, 30)

        height = side()
        ratio = self._take(3)
        if not ratio:
            return side(), height
        above, below = _RATIOS[ratio - 1]
        return height * above // below, height

    def _take_preview(self) -> None:
        widths = (0, 0, 5, 9) if self._take(1) else (6, 8, 10, 12)
        self._take_one_of(*widths)
        if not self._take(3):
            self._take_one_of(*widths)
