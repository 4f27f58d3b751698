"""What stands where in `src`, and what may import what."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
COMMANDS = "commands"
# from the top down; what is of the same height stands side by side
ORDER = (
    (COMMANDS,),
    ("app",),
    ("api", "library"),
    ("training",),
    ("evaluation",),
    ("inference",),
    ("data",),
    ("photos",),
    ("landmarks", "models"),
    ("files", "progress"),
)
HEIGHT = {name: -floor for floor, names in enumerate(ORDER) for name in names}
MODULES = sorted(path for path in SRC.rglob("*.py") if path.name != "__init__.py")


def name_of(path):
    return ".".join(path.relative_to(SRC).with_suffix("").parts)


def part_of(module):
    """The folder of a module, or its floor where it stands on top of `src`."""
    head, _, rest = module.partition(".")
    return head if rest or head in ORDER[-1] else COMMANDS


def imports_of(path):
    """The modules of `src` that a module imports, anywhere in it and for types alone, too."""
    names = {name_of(module) for module in MODULES}
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports by a relative name"
            wanted = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        found |= {name.removeprefix("src.") for name in wanted if name and name.startswith("src.")} & names
    return found


IMPORTS = {name_of(path): imports_of(path) for path in MODULES}


def test_every_part_has_its_place():
    assert {part_of(name) for name in IMPORTS} == set(HEIGHT)


@pytest.mark.parametrize("module", sorted(IMPORTS))
def test_imports_between_folders_point_down(module):
    own = part_of(module)
    up = [
        name for name in IMPORTS[module] if part_of(name) != own and not HEIGHT[part_of(name)] < HEIGHT[own]
    ]
    assert not up, f"{module} stands below {up}"


def test_no_modules_import_each_other_in_a_circle():
    rest = {name: set(wanted) for name, wanted in IMPORTS.items()}
    while free := [name for name, wanted in rest.items() if not wanted]:
        for name in free:
            del rest[name]
        for wanted in rest.values():
            wanted.difference_update(free)
    assert not rest, f"a circle goes through some of {sorted(rest)}"


def test_no_file_is_longer_than_350_lines():
    lengths = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > 350} == {}
