"""What README and docs say of commands, files and names is so."""

import importlib
import json
import re
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "MODEL_CARD.md", *sorted((ROOT / "docs").glob("*.md"))]
MORE = [ROOT / "RELIABILITY.md", ROOT / "SECURITY.md", ROOT / "landmark_images" / "README.md"]
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?:-m )?src\.(train|evaluate|export|tag|teach|host)\b[^#`\n]*")
FILE = re.compile(r"\b(?:benchmarks|checkpoints|docs|src|tests)/[\w/]+\.(?:csv|md|png|py|pt)\b")
NAME = re.compile(r"`((?:inference|landmarks|library|photos)(?:\.\w+)+)`")


@cache
def options(command: str) -> set[str]:
    """The options that the command's help names."""
    run = [sys.executable, "-m", f"src.{command}", "--help"]
    shown = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"--[a-z][a-z-]+", shown))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, *MORE], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", [*PAGES, *MORE], ids=lambda page: page.name)
def test_files_are_there(page):
    missing = {name for name in FILE.findall(page.read_text("utf-8")) if not (ROOT / name).exists()}
    assert not missing


@pytest.mark.parametrize("page", [*PAGES, *MORE], ids=lambda page: page.name)
def test_commands_have_the_options_that_are_shown(page):
    for command in COMMAND.finditer(page.read_text("utf-8")):
        shown = set(re.findall(r"--[a-z][a-z-]+", command[0]))
        assert shown <= options(command[1]), command[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_in_the_text_are_those_of_a_command(page):
    shown = set(re.findall(r"`(--[a-z][a-z-]+)", page.read_text("utf-8")))
    assert shown <= set().union(*map(options, ("train", "evaluate", "export", "tag", "teach", "host"))) | {
        "--help"
    }


@pytest.mark.parametrize("page", [*PAGES, *MORE], ids=lambda page: page.name)
def test_lines_are_short(page):
    lines = page.read_text("utf-8").splitlines()
    assert [line for line in lines if len(line) > 100] == []


def test_the_architecture_names_what_is_there():
    names = NAME.findall((ROOT / "docs" / "architecture.md").read_text("utf-8"))
    for name in names:
        module, _, attribute = name.rpartition(".")
        if module in ("inference", "landmarks", "library", "photos"):
            importlib.import_module(f"src.{name}")
        else:
            assert hasattr(importlib.import_module(f"src.{module}"), attribute), name
    assert len(names) >= 5


def test_the_image_gets_what_the_dockerfile_copies():
    """`.dockerignore` leaves out all but what it names: the build stops where one of these is missing."""
    ignored, *kept = (ROOT / ".dockerignore").read_text("utf-8").split()
    copies = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    sources = {name for line in copies for name in line.split()}
    assert ignored == "*" and sources
    assert sources <= {name.removeprefix("!").removesuffix("/**") for name in kept}


@pytest.mark.parametrize("column", [2, 3], ids=["original", "transfer"])
def test_figures_are_those_that_the_exports_carry(column):
    path = ROOT / "checkpoints" / ("original_exported.pt", "transfer_exported.pt")[column - 2]
    with zipfile.ZipFile(path) as export:
        [name] = [name for name in export.namelist() if name.endswith("/model.json")]
        info = json.loads(export.read(name))
    test = {name: f"{100 * figure:.1f} %" for name, figure in info["test"].items()}
    right = f"{test['accuracy']} ({test['accuracy_low'][:-2]}–{test['accuracy_high'][:-2]})"
    size = f"{path.stat().st_size / 1e6:.0f} MB"
    assert (
        cells("MODEL_CARD.md", column)
        >= {
            "accuracy (95 % interval)": right,
            "top-5 accuracy": test["top5"],
            "macro F1": test["macro_f1"],
            "calibration error (ECE); with the unknown photos": f"{test['ece']}; {test['ece_known']}",
            "landmark photos answered at the shipped threshold": test["coverage"],
            "of these answers, right": test["accuracy_answered"],
            "landmark or unknown, AUROC": f"{info['test']['auroc_unknown']:.3f}",
            "parameters, file": f"{info['parameters'] / 1e6:.1f} M, {size}",
        }.items()
    )
    assert (
        cells("README.md", column)
        >= {
            "2,141 test photos: landmark right (95 % interval)": right,
            "where it may stay silent: photos answered": test["coverage"],
            "– of these answers, right": test["accuracy_answered"],
            "size of the file": size,
        }.items()
    )


def cells(page: str, column: int) -> set[tuple[str, str]]:
    """First cell and that of a column, of each row of a page's tables; without bold print."""
    rows = [line.replace("**", "").split("|") for line in (ROOT / page).read_text("utf-8").splitlines()]
    return {(row[1].strip(), row[column].strip()) for row in rows if len(row) == 5}


def test_results_say_of_each_section_which_model_it_is_of():
    about, *sections = (ROOT / "benchmarks" / "RESULTS.md").read_text("utf-8").split("\n## ")
    named = re.findall(r'"([^"]+)"', " ".join(about.split()))
    assert sorted(named) == sorted(section.split("\n")[0] for section in sections)
