"""An export as a file: a zip archive, as TorchScript writes it, that carries more than TorchScript reads.

``model.json``, the ONNX graphs and the modules of the app are in its folder ``extra``; no torch is needed.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

EXPORT = Path(__file__).resolve().parents[2] / "checkpoints" / "transfer_exported.pt"  # unless one is named
SUMS = "SHA256SUMS"  # as sha256sum writes and checks it
ABOUT = "model.json"
NETWORK = "network.onnx"  # pixels -> logits, features, maps
SPACE = "space.npz"  # see `src.inference.space`
ANSWER = "answer.onnx"  # logits, features, maps -> probabilities, known, heat


@dataclass(frozen=True)
class ExportFile:
    """What an export says and carries.

    Attributes:
        path: the file.
        info: the contents of its ``model.json``.
        graphs: the ONNX graphs `NETWORK` and `ANSWER`; none in exports from before they were carried.
        space: the file `SPACE`; empty in exports from before it was what it is now.
        tensors: what the graphs name as external data: files that TorchScript has saved its tensors in.
        digest: the SHA-256 of the file, hexadecimal.
    """

    path: Path
    info: dict
    graphs: dict[str, bytes]
    tensors: dict[str, bytes]
    space: bytes
    digest: str


def read_export(path: str | Path) -> ExportFile:
    """Read what an export says and carries, checked by the sums that are known of it.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: the file is not an export of this project, or not the one that `SUMS` beside it names, or
            a graph is not the one that its ``model.json`` names, or `SUMS` has a line that `sha256sum` does
            not write.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: run the notebooks, or give the path of an export.")
    sums = known_sums(path)
    with path.open("rb") as file:  # opened once: what is read is what was checked
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if sums and digest not in sums:
            raise ValueError(f"{path} is not the file that {SUMS} beside it names: fetch it again.")
        try:
            with zipfile.ZipFile(file) as archive:
                names = {name.partition("/")[2]: name for name in archive.namelist()}
                info = json.loads(archive.read(names[f"extra/{ABOUT}"]))
                onnx = info.get("onnx", {"graphs": {}, "tensors": []})
                graphs = {name: archive.read(names[f"extra/{name}"]) for name in onnx["graphs"]}
                tensors = {name: archive.read(names[name]) for name in onnx["tensors"]}
                space = archive.read(names[f"extra/{SPACE}"]) if info.get("own_space") else b""
        except (zipfile.BadZipFile, ValueError, KeyError, EOFError) as error:
            raise ValueError(f"{path} is not an export of this project: run the notebooks again.") from error
    for name, graph in graphs.items():
        if hashlib.sha256(graph).hexdigest() != onnx["graphs"][name]:
            raise ValueError(f"{name} in {path} is damaged: fetch the file again.")
    if space and space_id(space) != info["own_space"]:
        raise ValueError(f"{SPACE} in {path} is damaged: fetch the file again.")
    return ExportFile(path, info, graphs, tensors, space, digest)


def space_id(space: bytes) -> str:
    """What tells one `SPACE` from another."""
    return hashlib.sha256(space).hexdigest()[:16]


def known_sums(path: Path) -> list[str]:
    """The SHA-256 sums that an export may have by the file `SUMS` beside it; none where it has no entry.

    Raises:
        ValueError: see `read_sums`.
    """
    sums = path.with_name(SUMS)
    return [digest for digest, name in read_sums(sums) if is_named(path, name)] if sums.is_file() else []


def is_named(path: Path, name: str) -> bool:
    """Whether an entry of the file `SUMS` beside an export names it."""
    return (path.parent / name).resolve() == path.resolve()


def read_sums(file: Path) -> list[tuple[str, str]]:
    """Digest and name of each entry of a file of `sha256sum`, text and binary, plain and escaped.

    Raises:
        ValueError: a line is no such entry; it may name the file that has to be checked.
    """
    entries = []
    lines = file.read_text("utf-8", "surrogateescape").split("\n")  # not splitlines: names may hold U+2028
    for number, line in enumerate(lines, 1):
        found = re.fullmatch(r"(\\?)([0-9a-fA-F]{64}) [ *](.+?)\r?", line)
        if found:
            escaped, digest, name = found.groups()
            entries.append((digest.lower(), re.sub(r"\\[\\nr]", _unescaped, name) if escaped else name))
        elif line.strip():
            raise ValueError(f"Line {number} of {file} is not as sha256sum writes it: make the file again.")
    return entries


def _unescaped(found: re.Match[str]) -> str:
    return {"n": "\n", "r": "\r"}.get(found[0][1], found[0][1])


def sum_line(digest: str, name: str) -> str:
    """An entry as `sha256sum` writes it, with the end of its line."""
    escaped = name.replace("\\", r"\\").replace("\n", r"\n").replace("\r", r"\r")
    return f"{chr(92) if escaped != name else ''}{digest}  {escaped}\n"
