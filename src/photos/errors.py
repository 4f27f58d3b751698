"""What can be wrong with a photo or its metadata; messages are one sentence for the person who chose it."""

from src.files import FileError


class PhotoError(ValueError):
    """The photo cannot be used; the message says why and what to do."""


class NotAPictureError(PhotoError):
    """The bytes are no picture of a format that is read, whatever the file is called."""


class MetadataError(ValueError):
    """Metadata cannot be read or written; the message names the file and says what to do."""


UNUSABLE = (PhotoError, MetadataError, FileError)  # for `except`: what may be wrong with a file
