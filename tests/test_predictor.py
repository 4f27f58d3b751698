"""Loading an export: only the file that SHA256SUMS names, and before anything in it is run."""

import hashlib
import shutil
import subprocess
import threading
import warnings
import zipfile
from pathlib import Path

import nbformat
import pytest
import torch
from nbclient import NotebookClient

from src.inference.export_file import SUMS, known_sums, read_sums, sum_line
from src.inference.exporter import ExportError, add_info
from src.inference.predictor import Predictor
from src.inference.torchscript import load_script

ROOT = Path(__file__).resolve().parent.parent
NAMES = [
    "e.pt",
    "my export.pt",
    "two  spaces.pt",
    " first.pt",
    "*star.pt",
    "new\nline.pt",
    "r\r.pt",
    "back\\slash.pt",
]
OTHER = "0" * 64


@pytest.fixture
def export(tiny_export, tmp_path):
    return Path(shutil.copy(tiny_export, tmp_path / "e.pt"))


def digest_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_space_of_before_takes_no_own_landmarks(export, tmp_path):
    """It lacks what they are compared with now, and was named otherwise in ``model.json``."""
    older = tmp_path / "older.pt"
    with zipfile.ZipFile(export) as old, zipfile.ZipFile(older, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(
                name, data.replace(b'"own_space"', b'"space"') if name.endswith("model.json") else data
            )
    found = Predictor.load(older)
    assert Predictor.load(export).space_id and not found.space_id
    assert found.space_file == b""


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs sha256sum")
@pytest.mark.parametrize("mode", ["--text", "--binary"])
@pytest.mark.parametrize("name", NAMES)
def test_sums_are_read_as_sha256sum_writes_them(tmp_path, name, mode):
    file = tmp_path / name
    file.write_bytes(b"an export")
    written = subprocess.run(
        ["sha256sum", mode, "--", name], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    (tmp_path / SUMS).write_bytes(written)
    assert known_sums(file) == [digest_of(file)]
    if mode == "--text":
        assert sum_line(digest_of(file), name).encode() == written
    (tmp_path / SUMS).write_text(sum_line(digest_of(file), name), "utf-8", newline="")
    assert (
        subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=tmp_path, check=False).returncode == 0
    )


@pytest.mark.parametrize("entry", ["  {}", " *{}", "  ./{}", " *{}\r", "  {}\n", "  sub/../{}"])
@pytest.mark.parametrize("name", ["e.pt", "my export.pt"])
def test_another_file_than_the_one_named_is_refused(export, entry, name):
    path = export.rename(export.with_name(name))
    sums = path.with_name(SUMS)
    sums.write_text(
        f"{OTHER}  another.pt\n{digest_of(path).upper()}{entry.format(name)}\n", "utf-8", newline=""
    )
    assert Predictor.load(path).class_names
    sums.write_text(f"{digest_of(path)}  another.pt\n{OTHER}{entry.format(name)}\n", "utf-8", newline="")
    with pytest.raises(ValueError, match="not the file that SHA256SUMS beside it names"):
        Predictor.load(path)


@pytest.mark.parametrize("line", [
    "{} e.pt", "{}\te.pt", "{}", "e.pt  {}", "SHA256 (e.pt) = {}", "{}0  e.pt", "{}  ", "# {}  e.pt",
    "\ufeff{}  e.pt",
])  # fmt: skip
def test_line_that_cannot_be_read_is_an_error(export, line):
    (export.with_name(SUMS)).write_text(f"{OTHER}  another.pt\n{line.format(OTHER)}\n", "utf-8")
    with pytest.raises(ValueError, match=r"Line 2 of .*SHA256SUMS is not as sha256sum writes it"):
        Predictor.load(export)


def test_nothing_in_the_file_is_read_before_it_was_checked(export, monkeypatch):
    export.with_name(SUMS).write_text(f"{OTHER} *e.pt\n")
    monkeypatch.setattr(zipfile, "ZipFile", lambda *args, **kwargs: pytest.fail("it was read"))
    with pytest.raises(ValueError, match="SHA256SUMS"):
        Predictor.load(export)


def test_new_sums_replace_old_ones_of_any_form_and_leave_the_others(export):
    sums = export.with_name(SUMS)
    sums.write_text(f"{digest_of(export)} *./e.pt\n\\{OTHER}  a\\nb.pt\n", "utf-8")
    add_info(export, {"note": 1})
    assert read_sums(sums) == [(OTHER, "a\nb.pt"), (digest_of(export), "e.pt")]


def test_broken_sums_keep_the_older_export(export):
    before = export.read_bytes()
    export.with_name(SUMS).write_text(f"{digest_of(export)}  e.pt\n")
    predictor = Predictor.load(export)
    export.with_name(SUMS).write_text("rubbish\n")
    with pytest.raises((ExportError, ValueError), match="Line 1 of"):
        add_info(export, predictor.info)
    assert export.read_bytes() == before


@pytest.fixture
def alone(tmp_path):
    """A folder with app.ipynb and an export that carries a page which leaves a mark when it is imported."""
    export = tmp_path / "alone" / "checkpoints" / "transfer_exported.pt"
    export.parent.mkdir(parents=True)
    page = f"open({str(tmp_path / 'ran')!r}, 'w')\ndef show(export):\n    print('shown')\n"
    extra = {"src/__init__.py": "", "src/app/__init__.py": "", "src/app/page.py": page}
    with zipfile.ZipFile(export, "w") as archive:
        for name, content in extra.items():
            archive.writestr(f"archive/extra/{name}", content)
    return export


def printed(export):
    """What app.ipynb prints beside this export."""
    notebook = nbformat.read(ROOT / "app.ipynb", as_version=4)
    folder = str(export.parents[1])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": folder}}).execute()
    return "".join(output.text for cell in notebook.cells for output in cell.get("outputs", ()))


@pytest.mark.parametrize("entry", ["{} *{}\n", "{}  ./{}\n", "{} {}\n"])
def test_notebook_checks_an_export_before_it_runs_what_that_carries(alone, tmp_path, entry):
    alone.with_name(SUMS).write_text(entry.format(OTHER, alone.name))
    assert printed(alone) == (
        "The model checkpoints/transfer_exported.pt is not the file that SHA256SUMS names: "
        "replace it with a fresh copy.\n"
    )
    assert not (tmp_path / "ran").exists()


def test_notebook_finds_the_sum_of_a_name_in_capitals(alone, tmp_path, monkeypatch):
    named = alone.rename(alone.with_name("Mine.PT"))
    notebook = (ROOT / "app.ipynb").read_text("utf-8").replace(alone.name, named.name)
    (tmp_path / "app.ipynb").write_text(notebook, "utf-8")
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    named.with_name(SUMS).write_text(f"{OTHER}  Mine.PT\n")
    assert "is not the file that SHA256SUMS names" in printed(named)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("sums", [None, "{0}  my_transfer_exported.pt\n", "{1} *transfer_exported.pt\r\n"])
def test_notebook_runs_an_export_that_nothing_speaks_against(alone, tmp_path, sums):
    if sums:
        alone.with_name(SUMS).write_text(sums.format(OTHER, digest_of(alone)), newline="")
    assert printed(alone) == "shown\n"
    assert (tmp_path / "ran").exists()


def test_loading_in_a_thread_leaves_the_warning_filters_of_others(export, monkeypatch):
    load, loading, go_on = torch.jit.load, threading.Event(), threading.Event()

    def slow(*args, **kwargs):
        loading.set()
        go_on.wait(30)
        return load(*args, **kwargs)

    monkeypatch.setattr(torch.jit, "load", slow)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        thread = threading.Thread(target=load_script, args=(export,))
        thread.start()
        assert loading.wait(30)
        warnings.filterwarnings("ignore", "a filter of another thread")
        go_on.set()
        thread.join()
        assert any(f[1] and "another thread" in f[1].pattern for f in warnings.filters)
    assert [str(warning.message) for warning in shown if "torch.jit" in str(warning.message)] == []


def test_other_warnings_of_deprecation_are_still_shown(export):
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        load_script(export)
        warnings.warn("`something` is deprecated", FutureWarning, stacklevel=1)
    assert len(shown) == 1
