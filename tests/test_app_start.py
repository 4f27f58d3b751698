"""How the app starts: with a missing or broken export, with light imports, and in the notebook."""

import ast
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from app_library import text
from conftest import encode
from nbclient import NotebookClient
from PIL import Image

from src.app import page as app_module
from src.app.page import make_app

ROOT = Path(__file__).resolve().parent.parent


def said(page):
    """The sentence of a page that says why there is no app."""
    return text(re.search('role="alert">(.*?)</p>', page.value)[1])


def test_missing_export_is_one_sentence(tmp_path):
    page = make_app(tmp_path / "missing.pt")
    sentence = said(page)
    assert "missing.pt" in sentence
    assert sentence.count(". ") == 0
    assert "Landmark tagger" in page.value
    assert page.value.startswith("<main")


@pytest.mark.parametrize("content", [b"", b"rubbish", b"PK\x03\x04" + b"\0" * 100])
def test_unreadable_export_is_one_sentence(tmp_path, content):
    path = tmp_path / "broken.pt"
    path.write_bytes(content)
    sentence = said(make_app(path))
    assert "broken.pt" in sentence
    assert "Traceback" not in sentence


def test_any_other_failure_to_load_is_one_sentence(monkeypatch):
    monkeypatch.setattr(app_module.Predictor, "load", lambda path: 1 / 0)
    sentence = said(make_app("some.pt"))
    assert sentence == "The model some.pt cannot be loaded (ZeroDivisionError); export it again."


HEADER = "class,name,city,country,country_code,latitude,longitude,extent_km,wikidata,tags\n"


def test_a_table_of_landmarks_replaces_what_the_export_knows(tiny_export, tmp_path):
    table, more = tmp_path / "mine.csv", tmp_path / "more.csv"
    table.write_text(f"{HEADER}Taj_Mahal,Crown Palace,Agra,India,IN,27.1751,78.0421,0.6,,\n")
    more.write_text(f"{HEADER}Eiffel_Tower,Iron Lady,Paris,France,FR,48.8584,2.2945,0.3,,\n")
    footer = make_app(tiny_export, landmarks=table).children[-1].value
    assert "Crown Palace" in footer
    assert "Taj Mahal" not in footer
    footer = make_app(tiny_export, landmarks=[table, str(more)]).children[-1].value
    assert "Crown Palace" in footer
    assert "Iron Lady" in footer
    assert "Hawa Mahal" in footer


@pytest.mark.parametrize("content", [None, "rubbish", f"{HEADER}Nowhere,Nowhere,,,,,,,,\n"])
def test_a_table_that_cannot_be_used_is_one_sentence(tiny_export, tmp_path, content):
    table = tmp_path / "mine.csv"
    if content:
        table.write_text(content)
    sentence = said(make_app(tiny_export, landmarks=table))
    assert "mine.csv" in sentence or "No row is for a class of this model" in sentence
    assert "Errno" not in sentence
    assert "export it again" not in sentence


@pytest.mark.parametrize("shared", [False, True])
def test_import_is_light(shared, monkeypatch):
    """What a visitor waits for: nothing that only training needs, and no runtime where it is shared."""
    heavy = {"torch", "pandas", "sklearn", "matplotlib", "torchvision", "timm", "scipy", "onnxruntime"}
    if shared:
        monkeypatch.setenv("LANDMARK_PREDICTOR", "somewhere")
    code = f"import sys, src.app.page; print(*({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ([] if shared else ["onnxruntime"])


def test_nothing_is_read_from_the_modules_once_they_are_imported(tiny_export, tmp_path):
    """In a standalone folder they are unpacked to be imported, and removed."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    table, photo = tmp_path / "mine.csv", tmp_path / "red.jpg"
    table.write_text(f"{HEADER}Taj_Mahal,Crown Palace,Agra,India,IN,27.1751,78.0421,0.6,,\n")
    photo.write_bytes(encode(Image.new("RGB", (320, 240), (220, 20, 20))))
    code = f"""
import pathlib, shutil
import src.app.page
shutil.rmtree("src")
app = src.app.page.make_app({str(tiny_export)!r}, landmarks={str(table)!r})
data = pathlib.Path("red.jpg").read_bytes()
about = dict(name="red.jpg", size=len(data), photo=1, of=1, part=1, parts=1)
app.area._handle_custom_msg(about, [data])
[card] = app.cards
print(card.record.landmark, *(name for name, _ in card.files("red.jpg")))
for make in [make for _, _, make in card._possible_downloads()]:
    make()
card._heat.value = True
print(app.cards[0]._message.value)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == ["Crown", "Palace", "red.jpg"], done.stderr


def test_notebook_is_clean():
    notebook = nbformat.read(ROOT / "app.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.language_info.name == "python"
    assert notebook.metadata.title == "Landmark tagger"
    assert "widgets" not in notebook.metadata
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            kinds = {type(node) for node in ast.walk(ast.parse(cell.source))}
            assert not kinds & {ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef}


def executed(folder):
    """app.ipynb after it ran in plain Jupyter in `folder`."""
    shutil.copy(ROOT / "app.ipynb", folder)
    notebook = nbformat.read(folder / "app.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def run_notebook(folder):
    """Everything app.ipynb displays in plain Jupyter when it lies in `folder`."""
    return [output for cell in executed(folder).cells if cell.cell_type == "code" for output in cell.outputs]


def test_notebook_alone_says_what_is_missing(tmp_path):
    [output] = run_notebook(tmp_path)
    export = Path("checkpoints/transfer_exported.pt")
    assert (
        output.text
        == f"The model {export} is missing: copy it there, or make it with transfer_learning.ipynb.\n"
    )


@pytest.mark.parametrize("kind", ["rubbish", "zip"])
def test_notebook_with_a_broken_export_says_so(tmp_path, kind):
    export = tmp_path / "checkpoints" / "transfer_exported.pt"
    export.parent.mkdir()
    export.write_bytes(b"rubbish")
    if kind == "zip":
        with zipfile.ZipFile(export, "w") as archive:
            archive.writestr("archive/data.pkl", b"")
    [output] = run_notebook(tmp_path)
    assert output.text.endswith("cannot be read: replace it with a fresh copy.\n")


def test_notebook_in_plain_jupyter(tiny_export, tmp_path):
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(tiny_export, tmp_path / "checkpoints" / "transfer_exported.pt")
    style, page = run_notebook(tmp_path)
    assert ".lt-app" in style.data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in page.data


@pytest.mark.parametrize("place", [".", "checkpoints"])
def test_notebook_takes_own_landmarks_that_lie_beside_it_or_its_export(tiny_export, tmp_path, place):
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(tiny_export, tmp_path / "checkpoints" / "transfer_exported.pt")
    (tmp_path / place / "my_landmarks.npz").write_bytes(b"rubbish")
    state = executed(tmp_path).metadata.widgets["application/vnd.jupyter.widget-state+json"]
    assert "my_landmarks.npz is damaged" in json.dumps(state)


@pytest.mark.parametrize("name", ["original_exported.pt", "transfer_exported.pt"])
def test_a_committed_export_and_the_notebook_alone_are_the_whole_app(tmp_path, name):
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(ROOT / "checkpoints" / name, tmp_path / "checkpoints" / "transfer_exported.pt")
    style, page = run_notebook(tmp_path)
    assert ".lt-app" in style.data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in page.data
