"""Imports run downward only: each room of the package may import the rooms below it, and nothing called `model`."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from places import PACKAGE, ROOT

SOURCE = PACKAGE / "src/assay"
# From the ground up. Rooms on one floor do not import each other, but for the pairs named below.
FLOORS = (
    ("base",),
    ("contract",),
    ("project", "statistics"),
    ("data",),
    ("properties",),
    ("modelling",),
    ("evaluation", "inference"),
    ("export", "predictions"),
    ("stages",),
    ("gates",),
    ("load", "report", "release"),
    ("adoption",),
    ("init",),
    ("production",),
    ("github",),
    ("cli",),
)
# The service sees what answers rows, and nothing of what makes or judges a model.
SERVE = ("base", "contract", "project", "inference", "predictions")
BELOW = {
    room: {lower for floor in FLOORS[:number] for lower in floor}
    for number, floor in enumerate(FLOORS)
    for room in floor
} | {"serve": set(SERVE)}


def imported(path: Path) -> Iterator[str]:
    """Yield the full name of each module of Assay or of the user's that a file imports, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module if node.module != "assay" else f"assay.{node.names[0].name}"


def forbidden(room: str, name: str) -> bool:
    parts = name.split(".")
    if parts[0] == "model":
        return True
    return parts[0] == "assay" and len(parts) > 1 and parts[1] != room and parts[1] not in BELOW[room]


@pytest.mark.parametrize("room", sorted(BELOW))
def test_a_room_imports_only_the_rooms_below_it(room: str):
    wrong = sorted(
        f"{path.relative_to(SOURCE)} may not import {name}"
        for path in (SOURCE / room).rglob("*.py")
        for name in set(imported(path))
        if forbidden(room, name)
    )
    assert not wrong, "\n".join(wrong)


def test_every_module_is_in_a_room():
    loose = {path.name for path in SOURCE.glob("*.py")} - {"__init__.py", "testing.py"}
    assert not loose
    assert {path.parent.name for path in SOURCE.glob("*/__init__.py")} == set(BELOW)


def test_statistics_is_numbers_in_and_numbers_out():
    allowed = {"numpy", "scipy", "assay", "collections", "dataclasses", "statistics", "typing", "math"}
    for path in (SOURCE / "statistics").rglob("*.py"):
        assert {name.split(".")[0] for name in imported(path)} <= allowed, path


@pytest.mark.parametrize(
    "statement", ["import model", "from model.features import DERIVED", "from assay.cli import main"]
)
def test_an_import_upward_is_found_wherever_it_stands(tmp_path: Path, statement: str):
    file = tmp_path / "module.py"
    file.write_text(f"def lazy():\n    {statement}\n")
    assert [forbidden("gates", name) for name in imported(file)] == [True]


def test_the_users_package_is_imported_by_nobody():
    assert (ROOT / "src/model").is_dir()
    assert not (SOURCE / "model").exists()
