"""What the tests of the file of own landmarks share: one such file, and others with something else in it."""

import io
import json

import numpy as np

from src.inference.own import Example, Taught
from src.inference.own_file import to_bytes
from src.landmarks.table import Landmark

EXPORT = "0123456789abcdef"
HOUSE = Taught(
    Landmark(
        "Grandma's house", "Grandma's house", "Ulm", "Germany", "DE", 48.4, 9.99, tags=("family", "garden")
    ),
    (
        Example("a" * 32, "IMG_1.jpg", bytes([1, 2, 3, 255]), "/photos/IMG_1.jpg"),
        Example("b" * 32, "früh\udcff.jpg", bytes(4), "/photos/früh\udcff.jpg"),  # the last is no UTF-8
    ),
)
BRIDGE = Taught(Landmark("橋", "橋"), (Example("c" * 32, "3.heic", bytes([9, 9, 9, 9])),))
TAUGHT = {"Grandma's house": HOUSE, "橋": BRIDGE}
DATA = to_bytes(TAUGHT, EXPORT)


def about(data=DATA):
    with np.load(io.BytesIO(data)) as arrays:
        return json.loads(arrays["about"].tobytes())


def file_with(text=None, features=None, **changes):
    """A file with something else in it."""
    with np.load(io.BytesIO(DATA)) as arrays:
        features = arrays["features"] if features is None else features
    text = json.dumps(about() | changes).encode() if text is None else text
    file = io.BytesIO()
    np.savez_compressed(file, about=np.frombuffer(text, np.uint8), features=features)
    return file.getvalue()
