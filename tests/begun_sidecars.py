"""What the tests of new sidecars share: photos with texts that others wrote, and what is begun for them."""

from conftest import encode, quarters
from metadata_samples import BARE, RDF
from photo_parts import behind_start, xmp_segment
from PIL import Image

from src.photos.packet import Packet
from src.photos.write_tags import sidecar

NAMES = """xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
 xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:acdsee="http://ns.acdsee.com/iptc/1.0/" """


def described(attributes: str = "", *elements: str) -> bytes:
    text = "".join(elements)
    return f"<rdf:RDF {RDF}><rdf:Description {NAMES}{attributes}>{text}</rdf:Description></rdf:RDF>".encode()


def text_in(key: str, text: str) -> bytes:
    """A packet with a text in one language."""
    return described("", f'<{key}><rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt></{key}>')


def begun(photo: bytes, tags=BARE) -> Packet:
    return Packet(sidecar(photo, tags), "x")


def inside(xmp: bytes, photo: bytes | None = None) -> bytes:
    return behind_start(photo or encode(quarters()), xmp_segment(xmp))


def described_in_exif(text: str | bytes) -> bytes:
    exif = Image.Exif()
    exif[0x010E] = text
    return encode(quarters(), exif=exif)
