"""What the tests of metadata share: tags, sidecars of other programs, and photos that say something."""

import dataclasses
import json
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from conftest import encode, quarters
from PIL import Image, TiffImagePlugin

from src.landmarks.evidence import Taken
from src.landmarks.tags import Tags
from src.photos import sidecar_names, write_tags, xmp
from src.photos.decode import open_photo
from src.photos.read_metadata import read_taken

needs_exiftool = pytest.mark.skipif(
    shutil.which("exiftool") is None, reason="exiftool is missing (Debian: libimage-exiftool-perl)"
)

TAJ = Tags(
    landmark="Taj Mahal",
    keywords=("Taj Mahal", "Agra", "India", "mausoleum"),
    paths=("Places/India/Agra/Taj Mahal", "Landmarks/Taj Mahal"),
    hashtags=("#TajMahal",),
    caption="Taj Mahal, Agra, India",
    city="Agra",
    country="India",
    latitude=27.1751,
    longitude=78.0421,
    radius_m=300.0,
    model="landmark-tagger test",
    probability=0.973,
)
TAJ_SPOT = (27 + 10.5 / 60, 78 + 2.5 / 60)  # as exact as its radius
TAJ_TREE = [*TAJ.paths, "Places/India/Agra", "Places/India", "mausoleum"]  # every keyword ends a path
BARE = dataclasses.replace(TAJ, city="", country="", latitude=None, longitude=None, radius_m=None)

RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
DC = 'xmlns:dc="http://purl.org/dc/elements/1.1/"'
PEOPLE = f"""<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>
<x:xmpmeta xmlns:x='adobe:ns:meta/' x:xmptk='Image::ExifTool 12.57'>
<rdf:RDF {RDF}>

 <!-- by hand -->
 <rdf:Description rdf:about='uuid:1'
  {DC}>
  <dc:subject>
   <rdf:Bag>
    <rdf:li>famille &amp; amis</rdf:li>
    <rdf:li>india</rdf:li>
   </rdf:Bag>
  </dc:subject>
 </rdf:Description>
 <rdf:Description rdf:about='uuid:1' xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/'>
  <photoshop:City>Paris</photoshop:City>
 </rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end='w'?>"""
FORMS = {
    "by exiftool": PEOPLE,
    "Windows lines": PEOPLE.replace("\n", "\r\n"),
    "one line": "".join(line.strip() + " " for line in PEOPLE.splitlines()),
    "attributes": f'<r:RDF {RDF.replace(":rdf", ":r")}><r:Description r:about="" {DC} '
    'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5" xmp:Label=\'a "b" &gt; c>\'/></r:RDF>',
    "empty list": f"<rdf:RDF {RDF}><rdf:Description {DC}><dc:subject><rdf:Bag /></dc:subject>"
    "</rdf:Description></rdf:RDF>",
    "empty list with space": f"<rdf:RDF {RDF}><rdf:Description {DC}><dc:subject><rdf:Bag> \n </rdf:Bag>"
    "</dc:subject></rdf:Description></rdf:RDF>",
    "nothing said": f'<rdf:RDF {RDF}><rdf:Description rdf:about=""/></rdf:RDF>',
    "no description": f"<rdf:RDF {RDF}/>",
    "default namespace": f'<RDF xmlns="{xmp.NAMESPACES["rdf"]}"><Description {DC}><dc:subject><Seq>'
    "<li>x</li></Seq></dc:subject></Description></RDF>",
    "byte order mark": "\ufeff<?xml version='1.0' encoding='utf-8'?>" + PEOPLE,
    "single value": f'<rdf:RDF {RDF}><rdf:Description {DC} dc:subject="x"/></rdf:RDF>',
    "Apple": f"<x:xml_doc xmlns:x='adobe:ns:meta/'><rdf:RDF {RDF}>\n</rdf:RDF></x:xml_doc>",
}


def packet(*properties: str) -> bytes:
    """A little XMP packet."""
    names = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in xmp.NAMESPACES.items())
    text = "".join(properties)
    return f"<rdf:RDF {RDF}><rdf:Description {names}>{text}</rdf:Description></rdf:RDF>".encode()


def rational(*numbers: float) -> tuple:
    return tuple(TiffImagePlugin.IFDRational(number) for number in numbers)


def gps(latitude: float, longitude: float) -> dict:
    """The GPS block of a place in degrees."""
    return {
        1: "S" if latitude < 0 else "N",
        2: rational(abs(latitude), 0, 0),
        3: "W" if longitude < 0 else "E",
        4: rational(abs(longitude), 0, 0),
    }


CAMERA = {1: "S", 2: rational(13, 9, 47.88), 3: "W", 4: rational(72, 32, 44.16)}
HERE = (-(13 + 9 / 60 + 47.88 / 3600), -(72 + 32 / 60 + 44.16 / 3600))
HERE_IN_XMP = packet(
    "<exif:GPSLatitude>13,9.798S</exif:GPSLatitude><exif:GPSLongitude>72,32.736W</exif:GPSLongitude>"
)


def with_exif(gps: dict | None = None, taken: str | None = None, orientation: int = 1, **options) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    if gps:
        exif[0x8825] = gps
    if taken:
        exif[0x8769] = {0x9003: taken}
    return encode(quarters(), exif=exif, **options)


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def taken(photo: bytes | Path) -> Taken:
    """When and where a photo says that it was taken."""
    return read_taken(open_photo(photo if isinstance(photo, bytes) else photo.read_bytes()))


def place(photo: bytes | Path) -> tuple[float | None, float | None]:
    """Only where."""
    return taken(photo).latitude, taken(photo).longitude


NOWHERE = (None, None)


def exiftool(path: Path, *options: str) -> dict:
    """All that exiftool reads of a file, by group and name."""
    return exiftool_all(path, *options)[0]


def exiftool_all(path: Path, *options: str) -> list[dict]:
    """The same of each file in a folder, in the order of their names."""
    command = ["exiftool", "-j", "-n", "-G1", "-a", "-struct", "-fileOrder", "FileName", *options, str(path)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_sidecar(photo, tags):
    """Write tags into the sidecar that is the photo's, and give its path."""
    path = sidecar_names.find_sidecar(photo)
    write_tags.write_sidecar(photo, path, tags)
    return path


def undo_sidecar(path):
    """Undo a sidecar, or that of a photo."""
    return write_tags.undo_sidecar(path if path.suffix == ".xmp" else sidecar_names.find_sidecar(path))
