"""Files as cameras write them: TIFF structures, raw files with previews, boxes of ISO base media files."""

import io
import struct

from PIL import Image, TiffImagePlugin

HEADS = {"II": b"II*\0", "MM": b"MM\0*"}
WHEN = "2024:05:01 12:34:56"
WHERE = {1: "N", 2: (27.0, 10.0, 30.36), 3: "E", 4: (78.0, 2.0, 31.56)}
SENSOR = 32803  # photometric interpretation
LOSSLESS = b"\xff\xd8\xff\xc3\0\x0e\x0e" + struct.pack(">HH", 4000, 6000) + bytes(range(200)) * 50
RAW_KINDS = ("DNG", "NEF", "ARW", "CR2", "CR3", "RAF", "ORF", "RW2")


def structure(tags, order="II", at=8):
    """A TIFF directory that stands `at` so many bytes from the beginning, with its values."""
    directory = TiffImagePlugin.ImageFileDirectory_v2(HEADS[order] + b"\0\0\0\0")
    for tag, value in tags.items():
        directory[tag] = value
    written = bytearray(directory.tobytes(at))
    for entry in range(2, 2 + 12 * len(tags), 12):
        form = "<HHLL" if order == "II" else ">HHLL"
        tag, _, count, _ = struct.unpack_from(form, written, entry)
        if tag == 273:  # Pillow counts it from the directory's end
            struct.pack_into(form, written, entry, tag, 4, count, tags[273])
    return bytes(written)


def tiff(tags, order="II", head=None, gap=b""):
    """A TIFF structure, perhaps with another `head` in the place of TIFF's, and a `gap` behind it."""
    at = struct.pack("<L" if order == "II" else ">L", 8 + len(gap))
    return (head or HEADS[order]) + at + gap + structure(tags, order, 8 + len(gap))


def jpeg(picture, **options):
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=95, subsampling=0, **options)
    return file.getvalue()


def box(kind, *parts):
    body = b"".join(parts)
    return struct.pack(">L4s", len(body) + 8, kind) + body


def raw(kind, preview, *, orientation=1, where=True):
    """A raw file of a kind, with a thumbnail, this preview and what stands for a sensor's pixels.

    It was taken at `WHEN` and, unless told otherwise, `WHERE`.
    """
    main = {0x010F: "camera", 0x0112: orientation}
    photo, gps = {0x9003: WHEN}, WHERE if where else {}
    thumbnail = jpeg(Image.new("RGB", (40, 32), "gray"))
    pictures = thumbnail + jpeg(preview) + LOSSLESS
    if kind == "CR3":
        said = [(b"CMT1", main), (b"CMT2", photo), (b"CMT4", gps)]
        canon = [box(name, tiff(tags)) for name, tags in said]
        moov = box(b"moov", box(b"uuid", bytes.fromhex("85c0b687820f11e08111f4ce462b6a48"), *canon))
        return box(b"ftyp", b"crx \0\0\0\1crx isom") + moov + box(b"mdat", pictures)
    if kind == "RAF":
        exif = Image.Exif()
        for tag, value in {**main, 0x8769: photo, 0x8825: gps}.items():
            exif[tag] = value
        head = b"FUJIFILMCCD-RAW 0201".ljust(84, b"\0")
        return head + struct.pack(">LL", 92, len(pictures)) + jpeg(preview, exif=exif) + pictures
    main |= {0x8769: photo, 0x8825: gps}
    if kind == "CR2":
        return tiff(main, gap=b"CR\2\0\0\0\0\0") + pictures
    if kind in ("ORF", "RW2"):
        return tiff(main, head={"ORF": b"IIRO", "RW2": b"IIU\0"}[kind]) + pictures
    if kind == "DNG":
        return tiff(main | {50706: b"\1\4\0\0"}, "MM") + pictures
    first = tiff(main | {262: 2, 330: 0xFFFFFF})  # the sensor's directory is within the first
    inside = structure({256: 6000, 257: 4000, 262: SENSOR}, at=len(first))
    return first.replace(struct.pack("<L", 0xFFFFFF), struct.pack("<L", len(first))) + inside + pictures
