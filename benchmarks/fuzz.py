"""Hostile photos: mutated files through all that reads them, in processes with limits.

Files of every kind that is read, with EXIF, XMP and IPTC, and sidecars are cut, spliced, flipped,
overwritten and padded at random, half of the time in their first bytes, where headers are. Each photo is
decoded (Pillow, libheif, libavif, libtiff, libjxl), asked when and where it was taken (expat), copied
without metadata, copied with tags and given a sidecar, sometimes beside a mutated older one.
Each step must end in its result or in one sentence, within five seconds, and all of them within a
gigabyte of memory. Copies must show the picture of their photo, and an older sidecar must come back
byte for byte; nothing stays of one that was made here. A crash or a hang of the process is seen too.
"""

from __future__ import annotations

import argparse
import importlib
import io
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from library_runs import peak_memory
from PIL import Image, ImageChops, ImageCms, PngImagePlugin

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[1] / "tests"))

from src.landmarks.tags import Tags
from src.photos import jxl
from src.photos.decode import open_photo, read_photo
from src.photos.errors import MetadataError, PhotoError
from src.photos.read_metadata import read_taken
from src.photos.strip import strip_metadata
from src.photos.write_tags import embed, sidecar, undone
from src.photos.xmp import NAMESPACES

SECONDS = 5.0
MEMORY = 2**30  # bytes that a process may take beyond what it has before the first file
INTERESTING = (b"\0", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff")
RUNS = (100, 10_000, 60_000)  # how often a byte is repeated

TAGS = Tags(
    landmark="Taj Mahal",
    keywords=("Taj Mahal", "Agra"),
    paths=("Places/India/Agra/Taj Mahal",),
    hashtags=("#TajMahal",),
    caption="Taj Mahal, Agra, India",
    city="Agra",
    country="India",
    latitude=27.1751,
    longitude=78.0421,
    radius_m=300.0,
    model="fuzz",
    probability=0.97,
)
XMP = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{NAMESPACES["rdf"]}">
<rdf:Description rdf:about="" xmlns:dc="{NAMESPACES["dc"]}" xmlns:exif="{NAMESPACES["exif"]}"
 exif:GPSLatitude="27,10.506N" exif:GPSLongitude="78,2.526E"><dc:subject><rdf:Bag>
<rdf:li>holiday</rdf:li><rdf:li>a &amp; b</rdf:li></rdf:Bag></dc:subject></rdf:Description>
</rdf:RDF></x:xmpmeta>""".encode()
BLANKS = b" " * 20_000  # in three places of XMP in which a search may begin anew at each
PADDED = XMP.replace(b'26E"', b'26E"' + BLANKS).replace(b"</rdf:RDF>", BLANKS + b"</rdf:RDF>" + BLANKS)
PADDED_UTF_16 = (b"<?xml" + BLANKS + b"?>" + XMP).decode().encode("utf-16")


def seeds() -> list[bytes]:
    """A file of every kind that is read: formats, modes, progressive, animated, with metadata and profile.

    The raw ones are put together as cameras do it, with a preview and without a sensor's data; one HEIC as
    phones do it, of tiles that are turned and cut.
    """
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    colour = Image.fromarray(noise)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    exif[0x8769] = {0x9003: "2024:05:01 12:34:56"}
    exif[0x8825] = {1: "N", 2: (27.0, 10.0, 30.0), 3: "E", 4: (78.0, 2.0, 31.5)}
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    more = [colour.rotate(90, expand=True).resize(colour.size)]
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
    made: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (colour, "JPEG", {"exif": exif, "icc_profile": profile}),
        (colour, "JPEG", {"exif": exif, "xmp": XMP}),
        (colour, "JPEG", {"xmp": PADDED}),
        (colour, "JPEG", {"progressive": True}),
        (colour, "JPEG", {"restart_marker_rows": 1}),
        (colour, "MPO", {"save_all": True, "append_images": more}),
        (colour.convert("CMYK"), "JPEG", {}),
        (colour.convert("L"), "JPEG", {}),
        (colour, "PNG", {"exif": exif, "icc_profile": profile, "pnginfo": text}),
        (colour.convert("RGBA"), "PNG", {}),
        (colour.convert("P"), "PNG", {"transparency": 3}),
        (Image.new("I;16", (64, 48), 999), "PNG", {}),
        (colour, "PNG", {"save_all": True, "append_images": more}),
        (colour, "WEBP", {"exif": exif, "xmp": XMP}),
        (colour, "WEBP", {"lossless": True, "xmp": PADDED_UTF_16}),
        (colour, "WEBP", {"save_all": True, "append_images": more}),
        (colour.convert("P"), "GIF", {"save_all": True, "append_images": more}),
        (colour, "HEIF", {"exif": exif.tobytes(), "xmp": XMP}),
        (colour, "AVIF", {"exif": exif.tobytes(), "xmp": XMP, "icc_profile": profile}),
        (colour, "AVIF", {"save_all": True, "append_images": more}),
        (colour, "TIFF", {"tiffinfo": {700: XMP}, "icc_profile": profile}),
        (colour, "TIFF", {"compression": "tiff_lzw", "save_all": True, "append_images": [more[0].copy()]}),
        (colour, "TIFF", {"compression": "jpeg"}),
        (colour.convert("CMYK"), "TIFF", {"compression": "tiff_adobe_deflate"}),
        (colour.convert("RGBA"), "TIFF", {"compression": "packbits"}),
        (Image.new("I;16", (64, 48), 999), "TIFF", {"compression": "tiff_lzw"}),
        (colour, "BMP", {}),
        (colour.convert("P"), "BMP", {}),
    ]
    if jxl.can_decode():
        importlib.import_module("pillow_jxl")  # which makes Pillow write such files
        said = {"exif": exif.tobytes(), "xmp": XMP}
        made += [
            (colour, "JXL", {}),
            (colour.convert("RGBA"), "JXL", {"lossless": True}),
            (colour, "JXL", said),
            (colour.convert("L"), "JXL", {**said, "compress_metadata": True}),
        ]
    files = []
    for picture, kind, options in made:
        file = io.BytesIO()
        picture.copy().save(file, kind, **options)  # Pillow keeps settings of one format for the next
        files.append(file.getvalue())
    files.append(importlib.import_module("heic_samples").tiled(colour, 32, turns=1, shown=(0, 0, 60, 44)))
    samples = importlib.import_module("raw_samples")  # of the tests
    files += [samples.raw(kind, colour) for kind in samples.RAW_KINDS]
    return [*files, embed(files[0], TAGS), embed(files[1], TAGS)]  # the last two with IPTC


def mutated(photo: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """The file with one to eight random changes."""
    data = bytearray(photo)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        end = min(len(data), chance.choice((200, 2000))) if chance.random() < 0.5 else len(data)
        at = chance.randrange(max(1, end))
        kind = chance.randrange(7)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            new = chance.choice(INTERESTING)
            data[at : at + len(new)] = new
        elif kind == 2:
            del data[at : at + chance.randrange(1, 40)]
        elif kind == 3:
            data[at:at] = data[at : at + chance.randrange(1, 200)]
        elif kind == 4:
            data[at:at] = chance.choice((b" ", b"\n", b"\0", b"\xff", b"<", b'"')) * chance.choice(RUNS)
        elif kind == 5:
            other = chance.choice(others)
            start = chance.randrange(len(other))
            data[at : at + 64] = other[start : start + 64]
        else:
            del data[at : None if chance.random() < 0.2 else at + 1]
    return bytes(data)


def steps(data: bytes, old: bytes | None) -> dict[str, Callable[[], bool]]:
    """What is done with a photo; each says whether its result is right, or raises with one sentence."""

    def taken() -> bool:
        found = read_taken(open_photo(data, "photo.jpg"))
        return (found.latitude is None) == (found.longitude is None)

    def stripped() -> bool:
        return same_picture(data, strip_metadata(data, "photo.jpg"))

    def tagged() -> bool:
        return same_picture(data, embed(data, TAGS, "photo.jpg"))

    def with_sidecar() -> bool:
        new = sidecar(data, TAGS, old, name="photo.jpg", old_name="photo.jpg")
        return undone(new, "photo.jpg") == (None if old is None else undone(old, "photo.jpg"))

    def picture() -> bool:
        shown = read_photo(data, "photo.jpg")
        return shown.mode == "RGB" and min(shown.size) >= 32

    named = (picture, taken, stripped, tagged, with_sidecar)
    return {step.__name__: step for step in named}


def same_picture(photo: bytes, copy: bytes) -> bool:
    """Whether a copy shows what the photo shows, be it nothing."""
    try:
        shown = read_photo(photo)
    except PhotoError:
        return True
    return ImageChops.difference(shown, read_photo(copy)).getbbox() is None


def outcome(step: Callable[[], bool]) -> str:
    """What a step came to: "good", "sentence", or "wrong" with what."""
    try:
        return "good" if step() else "wrong"
    except (PhotoError, MetadataError) as error:
        said = str(error)
        plain = said.startswith("photo.jpg ") and said.endswith(".") and said.isprintable()
        return "sentence" if plain else f"wrong: {said!r}"
    except BaseException as error:
        return f"wrong: {type(error).__name__}: {error}"


def work(first: int, count: int, results: Connection) -> None:
    """Do all steps with so many files; tell each file's number before, and what each step came to."""
    files = seeds()
    odd = XMP.decode().replace("holiday", "").encode("utf-16") + bytes(3)
    sidecars = [XMP, PADDED, odd, *(sidecar(files[0], TAGS, old) for old in (None, XMP, odd))]
    used = peak_memory(os.getpid())  # not ru_maxrss, which begins with that of the parent
    for number in range(first, first + count):
        chance = random.Random(number)
        data = mutated(chance.choice(files), files, chance)
        old = mutated(chance.choice(sidecars), sidecars, chance) if chance.random() < 0.3 else None
        results.send(("at", number))
        for name, step in steps(data, old).items():
            start = time.perf_counter()
            came = outcome(step)
            results.send(("step", (name, came, time.perf_counter() - start)))
        results.send(("memory", 1024 * (peak_memory(os.getpid()) - used)))
    results.send(("done", None))


def run(first: int, count: int) -> tuple[Counter[str], float, int, list[tuple[int, str]]]:
    """One process; a crash or a hang is noted, and the files behind it go on in another."""
    bad: list[tuple[int, str]] = []
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    seen, slowest, peak, done = Counter[str](), 0.0, 0, False
    while not done:
        results, sender = context.Pipe(duplex=False)
        child = context.Process(target=work, args=(first, count, sender))
        child.start()
        sender.close()  # so that the end of the process is seen at once
        at = first
        with suppress(EOFError):
            while not done and results.poll(SECONDS * 4):
                kind, what = results.recv()
                done = kind == "done"
                if kind == "at":
                    at = what
                elif kind == "memory":
                    peak = max(peak, what)
                elif kind == "step":
                    name, came, seconds = what
                    seen[f"{name} {came.partition(':')[0]}"] += 1
                    slowest = max(slowest, seconds)
                    if came.startswith("wrong") or seconds > SECONDS:
                        bad.append((at, f"{name} {came}, {seconds:.1f} s"))
        child.kill()
        child.join()
        if not done:
            bad.append((at, "crash or hang"))
            count -= at + 1 - first
            first = at + 1
    return seen, slowest, peak, bad


def main() -> int:
    """Fuzz, and write the section of `RESULTS.md`; 1 where anything went wrong."""
    from report import write_section  # here, as it brings torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start = time.perf_counter()
    seen, slowest, peak, bad = run(options.seed * 10**9, options.files)
    minutes = (time.perf_counter() - start) / 60
    for one in bad[:20]:
        print("bad:", one)
    wrong = len(bad) + (peak > MEMORY)
    names = {
        "picture": "decoded",
        "taken": "when and where it was taken",
        "stripped": "copied without metadata",
        "tagged": "copied with tags",
        "with_sidecar": "sidecar",
    }
    rows = [
        f"| {said} | {seen[f'{name} good']:,} | {seen[f'{name} sentence']:,} | {seen[f'{name} wrong']} |"
        for name, said in names.items()
    ]
    table = (
        f"{options.files:,} files: {len(bad)} crashes, hangs or wrong results; the slowest step took "
        f"{slowest:.2f} s; {peak / 1e6:.0f} MB of memory.\n\n"
        "| step | done | sentences | wrong |\n| --- | --- | --- | --- |\n" + "\n".join(rows)
    )
    write_section("Hostile photos", f"{__doc__}\nIt took {minutes:.0f} minutes.", table)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
