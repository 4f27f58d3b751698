"""The one way of a photo, from bytes to its final answer: for the app, the tagger and its cluster."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from PIL import Image

from src.files import shown_name
from src.inference.answers import Answering, InferenceError
from src.inference.own import Own
from src.landmarks.answer import Answer
from src.landmarks.evidence import Revised, Taken, revise
from src.photos.decode import open_photo
from src.photos.errors import UNUSABLE
from src.photos.exports import shot_name
from src.photos.read_metadata import read_taken

FORESEEN = (*UNUSABLE, InferenceError)  # errors whose message is a sentence for whoever chose the photo


@dataclass(frozen=True)
class PhotoReport:
    """What one photo shows by itself.

    Attributes:
        name: of the file; a path where it is in a library.
        digest: BLAKE2b of the whole file, 32 hexadecimal digits: copies have the same.
        format: as `src.photos.formats` names it, "JPEG".
        picture: upright, RGB; None once it was given up, or left on another machine.
        thumbnail: a small JPEG of it.
        taken: when and where, as far as the file says.
        shot: what files of one shot have in common; empty where only their names may tell.
        answer: what the model says of the picture alone; None before it was asked.
        note: a sentence on what is missing of the picture; empty where nothing is.
    """

    name: str
    digest: str
    format: str = ""
    picture: Image.Image | None = None
    thumbnail: bytes = b""
    taken: Taken = field(default_factory=Taken)
    shot: str = ""
    answer: Answer | None = None
    note: str = ""


def read_report(data: bytes, name: str, *, short_side: int, thumbnail_side: int) -> PhotoReport:
    """Read a photo and what it says of itself; the file is opened once.

    Args:
        data: the whole file.
        name: of the file.
        short_side: pixels to which the picture may be shrunk, see `open_photo`.
        thumbnail_side: pixels, at most, of the longer side of the thumbnail.

    Raises:
        PhotoError: it is no photo that can be read.
    """
    photo = open_photo(data, name)
    picture = photo.picture(short_side)
    thumbnail, taken = _thumbnail(picture, thumbnail_side), read_taken(photo)
    return PhotoReport(name, content_of(data), photo.format, picture, thumbnail, taken, note=photo.note)


def content_of(data: bytes) -> str:
    """What tells the content of one photo file from another: its digest, 32 hexadecimal digits."""
    return blake2b(data, digest_size=16).hexdigest()


def answer_report(report: PhotoReport, predictor: Answering) -> PhotoReport:
    """The report with the model's answer, and without the picture."""
    if report.picture is None:
        raise ValueError(f"The picture of {report.name} was given up.")
    [answer] = predictor.predict([report.picture])
    return replace(report, answer=answer, picture=None)


def answers_of(reports: Sequence[PhotoReport]) -> list[tuple[str, Answer, Taken]]:
    """Digest and answer of each photo, and where it was taken, for `Own.adapted`."""
    return [(one.digest, one.answer, one.taken) for one in reports if one.answer is not None]


def final_answers(
    reports: Sequence[PhotoReport],
    threshold: float,
    classes: int,
    *,
    together: bool = True,
    own: Own | None = None,
) -> list[Revised]:
    """The final answers of photos that belong together: of one folder, or of one upload.

    Args:
        reports: with answers.
        threshold: the smallest ``known`` at which an answer is given.
        classes: how many landmarks the model knows.
        together: whether photos that were taken close to each other are evidence for each other; a photo's
            own position is evidence in any case.
        own: the person's own landmarks, weighed against those of the model before all other evidence.

    Raises:
        ValueError: a report has no answer.
    """
    answers = [report.answer for report in reports if report.answer is not None]
    if len(answers) < len(reports):
        raise ValueError("The model was not asked about one of these photos.")
    if own:
        judged, classes = own.judge(answers), classes + len(own.landmarks)
        answers = [Answer.judged(one.guesses, one.known, threshold, one.features) for one in judged]
    taken, digests = [report.taken for report in reports], [report.digest for report in reports]
    return revise(answers, taken, digests, threshold, classes, together=together, shots=_shots(reports))


def _shots(reports: Sequence[PhotoReport]) -> list[str]:
    """What tells files of one shot; those of the very same name are different ones: phones upload such."""
    count = Counter(report.name for report in reports)
    return [
        report.shot or (shot_name(report.name) if count[report.name] == 1 else report.digest)
        for report in reports
    ]


def failure(name: str, error: Exception, done: str = "read") -> str:
    """One sentence on why a photo could not be `done`, also for an error that nobody foresaw."""
    if isinstance(error, FORESEEN):
        return str(error)
    return f"{shown_name(name)} could not be {done} ({type(error).__name__}); try another copy of it."


def _thumbnail(picture: Image.Image, side: int) -> bytes:
    scale = min(1.0, side / max(picture.size))
    width, height = (max(1, round(length * scale)) for length in picture.size)
    small = picture.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=1.0)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=80)
    return file.getvalue()
