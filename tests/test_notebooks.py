"""The notebooks run top to bottom, and what is committed is such a run."""

import os
from pathlib import Path

import nbformat
import pytest
from conftest import make_data_set, make_unknown
from nbclient import NotebookClient

from src.inference.predictor import Predictor

ROOT = Path(__file__).parents[1]
TRAINING = ("cnn_from_scratch.ipynb", "transfer_learning.ipynb")
EXPORTS = ("original_exported.pt", "transfer_exported.pt")


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def tour(tmp_path_factory):
    """Both notebooks run as a tour on tiny data, one after the other, in a folder of their own."""
    folder = tmp_path_factory.mktemp("tour")
    data = make_data_set(folder / "data", train=12, test=4)
    make_unknown(folder / "not_landmarks")
    environment = {
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "LANDMARK_IMAGES": str(data),
    }
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        for name in TRAINING:
            notebook = nbformat.read(ROOT / name, 4)
            parameters = next(c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
            parameters.source = parameters.source.replace("TOUR = False", "TOUR = True")
            NotebookClient(notebook, timeout=900, resources={"metadata": {"path": folder}}).execute()
            nbformat.write(notebook, folder / name)
    finally:
        for variable, value in before.items():
            os.environ.pop(variable) if value is None else os.environ.update({variable: value})
    return folder


@pytest.mark.parametrize(("name", "export"), list(zip(TRAINING, EXPORTS, strict=True)))
def test_the_tour_ends_with_an_export_that_was_measured(tour, name, export):
    notebook = nbformat.read(tour / name, 4)
    assert all(c.execution_count for c in code_cells(notebook))
    predictor = Predictor.load(tour / "runs/tour/checkpoints" / export)
    assert predictor.class_names == ["00.Alpha", "01.Beta", "02.Gamma"]
    assert predictor.info["test"]["n"] == 12
    assert 0 <= predictor.info["test"]["accuracy"] <= 1
    assert 0 <= predictor.info["test"]["auroc_unknown"] <= 1
    pictures = [o for c in code_cells(notebook) for o in c.outputs if "image/png" in o.get("data", {})]
    assert len(pictures) >= 7


def test_the_tour_leaves_the_committed_checkpoints_alone(tour):
    assert not (tour / "checkpoints").exists()
    assert sorted(p.name for p in tour.iterdir() if p.is_dir()) == ["cache", "data", "not_landmarks", "runs"]


def test_the_second_notebook_compares_both_networks(tour):
    notebook = nbformat.read(tour / TRAINING[1], 4)
    shown = "".join(
        str(o.get("data", {}).get("text/plain", "")) for c in code_cells(notebook) for o in c.outputs
    )
    assert "from scratch" in shown
    assert "transfer" in shown


@pytest.mark.parametrize("name", TRAINING)
def test_the_committed_notebook_is_a_full_run_in_order(name):
    notebook = nbformat.read(ROOT / name, 4)
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert not [o for o in outputs if o.get("name") == "stderr"]
    assert "TOUR = False" in code_cells(notebook)[0].source
    assert (ROOT / name).stat().st_size < 3_000_000


@pytest.mark.parametrize("name", [*TRAINING, "app.ipynb"])
def test_notebooks_call_and_do_not_define(name):
    lines = [line for c in code_cells(nbformat.read(ROOT / name, 4)) for line in c.source.splitlines()]
    assert not [line for line in lines if line.startswith(("def ", "class ", "for ", "while "))]


def test_the_app_is_committed_without_outputs():
    assert not [cell for cell in code_cells(nbformat.read(ROOT / "app.ipynb", 4)) if cell.outputs]
