"""Hostile photos: mutated files through the one decoder for photos, in processes with limits.

Files of every kind that is read are cut, spliced, flipped and overwritten at random, half of the time in
their first bytes, where headers are. Each must come back as an RGB picture or as one sentence, within five
seconds, and all of them within a gigabyte of memory. A crash or a hang of the process is seen too.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import random
import resource
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms
from report import write_section

sys.path.insert(0, str(Path(__file__).parents[1]))

from src.photos.decode import read_photo
from src.photos.errors import PhotoError

SECONDS = 5.0
MEMORY = 2**30  # bytes that a process may take beyond what it has before the first file
INTERESTING = (b"\0", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff")


def seeds() -> list[bytes]:
    """A file of every kind that is read: formats, modes, progressive, animated, with EXIF and profile."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    colour = Image.fromarray(noise)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    more = [colour.rotate(90, expand=True).resize(colour.size)]
    made = [
        (colour, "JPEG", {"exif": exif, "icc_profile": profile}),
        (colour, "JPEG", {"progressive": True}),
        (colour.convert("CMYK"), "JPEG", {}),
        (colour.convert("L"), "JPEG", {}),
        (colour, "PNG", {"exif": exif, "icc_profile": profile}),
        (colour.convert("RGBA"), "PNG", {}),
        (colour.convert("P"), "PNG", {"transparency": 3}),
        (Image.new("I;16", (64, 48), 999), "PNG", {}),
        (colour, "PNG", {"save_all": True, "append_images": more}),
        (colour, "WEBP", {"exif": exif}),
        (colour, "WEBP", {"lossless": True}),
        (colour, "WEBP", {"save_all": True, "append_images": more}),
        (colour.convert("P"), "GIF", {"save_all": True, "append_images": more}),
        (colour, "HEIF", {"exif": exif.tobytes()}),
    ]
    files = []
    for picture, kind, options in made:
        file = io.BytesIO()
        picture.save(file, kind, **options)
        files.append(file.getvalue())
    return files


def mutated(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """The file with one to eight random changes."""
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        end = min(len(data), 200) if chance.random() < 0.5 else len(data)
        at = chance.randrange(max(1, end))
        kind = chance.randrange(6)
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
            other = chance.choice(others)
            start = chance.randrange(len(other))
            data[at : at + 64] = other[start : start + 64]
        else:
            del data[at : None if chance.random() < 0.2 else at + 1]
    return bytes(data)


def work(first: int, count: int, results) -> None:
    """Read so many files; what is wrong with one goes to `results` with its number."""
    files, seen, slowest = seeds(), Counter(), 0.0
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for number in range(first, first + count):
        chance = random.Random(number)
        data = mutated(chance.choice(files), files, chance)
        results.put(("at", number))
        start = time.perf_counter()
        try:
            picture = read_photo(data, "photo.jpg")
            good = picture.mode == "RGB" and min(picture.size) >= 32
            kind = "pictures" if good else "wrong"
        except PhotoError as error:
            said = str(error)
            kind = "sentences" if said.startswith("photo.jpg ") and said.endswith(".") else "wrong"
        except BaseException as error:
            kind = f"wrong: {type(error).__name__}"
        seconds = time.perf_counter() - start
        slowest = max(slowest, seconds)
        seen[kind] += 1
        seen["slow"] += seconds > SECONDS
        if kind.startswith("wrong") or seconds > SECONDS:
            results.put(("bad", (number, kind, seconds)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - used
    results.put(("done", (seen, slowest, peak)))


def run(first: int, count: int) -> tuple[Counter, float, int, list]:
    """One process; a crash or a hang is counted, and the files behind it go on in another."""
    seen, slowest, peak, bad = Counter(), 0.0, 0, []
    while count > 0:
        results = multiprocessing.SimpleQueue()
        child = multiprocessing.Process(target=work, args=(first, count, results))
        child.start()
        at, done = first, False
        while not done:
            if not results._reader.poll(SECONDS * 4):
                break
            kind, what = results.get()
            if kind == "at":
                at = what
            elif kind == "bad":
                bad.append(what)
            else:
                done = True
                seen, slowest, peak = seen + what[0], max(slowest, what[1]), max(peak, what[2])
        if done:
            child.join()
            break
        child.kill()
        bad.append((at, "crash or hang", 0.0))
        seen["crashes"] += 1
        count -= at + 1 - first
        first = at + 1
    return seen, slowest, peak, bad


def main() -> int:
    """Fuzz, and write the section of `RESULTS.md`; 1 where anything went wrong."""
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
    table = (
        "| files | pictures | sentences | crashes, hangs, other errors | slowest | most memory |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        f"| {options.files:,} | {seen['pictures']:,} | {seen['sentences']:,} | {len(bad)} | {slowest:.2f} s "
        f"| {peak / 1e6:.0f} MB |"
    )
    write_section("Hostile photos", f"{__doc__}\nIt took {minutes:.0f} minutes.", table)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
