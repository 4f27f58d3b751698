"""The photos in the body of a request: raw bytes, a form, or JSON with base64."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping

from tornado.httputil import HTTPFile, HTTPInputError, parse_body_arguments

from src.api.errors import RequestError
from src.photos.decode import MAX_BYTES

MAX_BODY = MAX_BYTES * 4 // 3 + 2**20  # bytes: a photo in base64, and what is around it
MAX_IMAGES = 16  # of one request
PHOTO = "The photo"  # what it is called where it has no name
_ADDRESS = re.compile(r"\s{0,20}[a-z][a-z0-9+.-]{0,20}://", re.IGNORECASE | re.ASCII)


def photo_in(content_type: str, body: bytes) -> tuple[bytes, str]:
    """The one photo of a body, and its name.

    Args:
        content_type: "application/json" (an object with `image`) and "multipart/form-data" (one file) say so;
            anything else is the photo itself, which is told by its content.
        body: the whole body.

    Raises:
        RequestError: there is not exactly one photo.
    """
    kind = kind_of(content_type)
    if kind == "multipart/form-data":
        return _photo_of_form(content_type, body)
    if kind == "application/json":
        image = json_object(body).get("image")
        if not isinstance(image, str):
            raise RequestError(422, 'Give the photo as base64 in "image".')
        return from_base64(image, PHOTO), PHOTO
    return body, PHOTO


def kind_of(content_type: str) -> str:
    """The media type without parameters."""
    return content_type.partition(";")[0].strip().lower()


def json_object(body: bytes) -> dict:
    """The object of a JSON body; raises RequestError."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise RequestError(400, "The body is not JSON.") from error
    if not isinstance(found, dict):
        raise RequestError(422, "The body is JSON, but no object; send {...}.")
    return found


def images_of(request: Mapping) -> list[str]:
    """The images of PhotoPrism's request: base64, data URLs or addresses; raises RequestError."""
    images = request.get("images") or request.get("url")
    images = [images] if isinstance(images, str) else images
    if not isinstance(images, list) or not images or not all(isinstance(one, str) for one in images):
        raise RequestError(422, 'Give "images", a list of data URLs, or "url".')
    if len(images) > MAX_IMAGES:
        raise RequestError(413, f"These are {len(images)} images; send at most {MAX_IMAGES} at once.")
    return images


def is_address(image: str) -> bool:
    """Whether it says where an image is, and not the image itself."""
    return _ADDRESS.match(image) is not None


def from_base64(text: str, name: str) -> bytes:
    """The bytes of base64, in lines or not, perhaps in a data URL; raises RequestError."""
    head, comma, _ = text[:200].partition(",")
    if head.lower().startswith("data:") and comma:
        text = text[len(head) + 1 :] if head.lower().endswith(";base64") else head
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(422, f"{name} is not base64.") from error
    check_photo_size(len(data), name)
    return data


def check_photo_size(size: int, name: str) -> None:
    """Raise RequestError where a photo has more bytes than are read."""
    if size > MAX_BYTES:
        raise RequestError(413, f"{name} has more than {MAX_BYTES // 2**20} MB; send a smaller copy.")


def _photo_of_form(content_type: str, body: bytes) -> tuple[bytes, str]:
    files: dict[str, list[HTTPFile]] = {}
    try:
        parse_body_arguments(content_type, body, {}, files)
    except HTTPInputError as error:
        raise RequestError(400, "The body is not multipart/form-data.") from error
    found = [file for several in files.values() for file in several]
    if len(found) != 1:
        raise RequestError(422, f"The form has {len(found)} files; send exactly one.")
    return found[0].body, found[0].filename
