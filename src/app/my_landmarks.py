"""The landmarks of a visitor's own, in the memory of their page and nowhere else."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from src.app.uploads import Upload
from src.files import exists
from src.inference.answers import Answering
from src.inference.own import Example, Fit, Own, Taught
from src.inference.own_file import DAMAGED, MOST_EXAMPLES, OwnError, from_bytes, load_own, to_bytes
from src.inference.space import Space
from src.landmarks.table import Landmark

FILE = "LANDMARK_OWN"  # the environment variable in which `src.host` names a file for all its visitors
LIMIT = 10 * 2**20  # bytes of a file that is loaded, and of all features: some 8,000 photos


class MyLandmarks:
    """What a visitor taught. The space that photos are compared in is asked for with the first of them.

    Attributes:
        taught: by name, the one that was changed last at the end.
    """

    def __init__(self, predictor: Answering) -> None:
        self._predictor = predictor
        self.taught: dict[str, Taught] = {}
        self._own: Own | None = None

    @property
    def possible(self) -> bool:
        """Whether the export can be taught at all."""
        return bool(self._predictor.space_id)

    @property
    def own(self) -> Own | None:
        """What photos are compared with; None before anything was taught."""
        if self.taught and self._own is None:
            predictor = self._predictor
            self._own = Own(self._space, self.taught, predictor.landmarks, predictor.known_threshold)
        return self._own

    @property
    def landmarks(self) -> list[Landmark]:
        """Those that the model does not know by itself, in the order in which they were taught."""
        known = {landmark.name for landmark in self._predictor.landmarks}
        return [one.landmark for name, one in self.taught.items() if name not in known]

    def teach(self, landmark: Landmark, example: Example) -> None:
        """Add a photo, which then teaches no other landmark; of too many of one the oldest goes."""
        self._change(_without(self.taught, example.content))
        former = self.taught.pop(landmark.name, Taught(landmark, ()))
        kept = (*former.examples, example)[-MOST_EXAMPLES:]
        self.taught[landmark.name] = Taught(former.landmark, kept)

    def take_back(self, content: str) -> None:
        """Let the photo of this digest teach nothing."""
        self._change(_without(self.taught, content))

    def remove(self, name: str) -> None:
        """Forget a landmark."""
        self._change({other: one for other, one in self.taught.items() if other != name})

    def load(self, upload: Upload) -> int:
        """Add what a file holds, and say how many landmarks that are; what is known here already stays.

        Raises:
            OwnError: see `from_bytes`; or it is more than a page keeps.
        """
        name, data = upload.name, upload.data
        if upload.size > LIMIT or _unpacked_size(data) > LIMIT:
            raise OwnError(f"{name} is larger than {LIMIT >> 20} MB: load a file of fewer landmarks.")
        return self._merge(from_bytes(data, self._predictor.space_id, name), name)

    def start_with(self, path: Path, *, shared: bool) -> None:
        """Add what a file on this machine holds; nothing where there is none.

        Args:
            path: the file.
            shared: it is for all visitors of a host, who need not learn where its photos lie.

        Raises:
            OwnError, FileError: it cannot be used.
        """
        if not exists(path):
            return
        found = load_own(path, self._predictor.space_id)
        if shared:
            found = {name: replace(one, examples=_bare(one.examples)) for name, one in found.items()}
        self._merge(found, path.name)

    def to_bytes(self) -> bytes:
        """The file that `load` takes."""
        return to_bytes(self.taught, self._predictor.space_id)

    def fit(self, name: str) -> Fit:
        """How well one of them is known."""
        assert self.own is not None  # noqa: S101  # as `name` is taught
        return self.own.fit(name)

    @cached_property
    def _space(self) -> Space:
        return self._predictor.space()

    def _merge(self, found: Mapping[str, Taught], name: str) -> int:
        merged, seen = dict(self.taught), _contents(self.taught.values())
        for landmark, one in found.items():
            former = merged.get(landmark, Taught(one.landmark, ()))
            added = tuple(example for example in one.examples if example.content not in seen)
            kept = (*former.examples, *added)[:MOST_EXAMPLES]
            if kept:
                merged[landmark] = Taught(former.landmark, kept)
        lengths = [len(example.features) for one in merged.values() for example in one.examples]
        if set(lengths) - {len(self._space.center)}:
            raise OwnError(
                f"{name} does not fit this model: take another copy, or teach its landmarks again."
            )
        if sum(lengths) > LIMIT:
            raise OwnError(f"With {name} these are more photos than a page can keep: load a smaller file.")
        self._change(merged)
        return len(found)

    def _change(self, taught: dict[str, Taught]) -> None:
        self.taught, self._own = taught, None


def _without(taught: Mapping[str, Taught], content: str) -> dict[str, Taught]:
    """The landmarks less one photo, and less one that has no other."""
    rest = {}
    for name, one in taught.items():
        kept = tuple(example for example in one.examples if example.content != content)
        if kept:
            rest[name] = Taught(one.landmark, kept)
    return rest


def _contents(taught: Iterable[Taught]) -> set[str]:
    return {example.content for one in taught for example in one.examples}


def _bare(examples: Iterable[Example]) -> tuple[Example, ...]:
    """The examples without anything of them that only their owner needs."""
    return tuple(Example(example.content, example.name, example.features) for example in examples)


def _unpacked_size(data: bytes) -> int:
    """Bytes that a file of arrays takes in memory, as far as it says so."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return sum(entry.file_size for entry in archive.infolist())
    except DAMAGED:
        return 0
