"""The examples in docstrings are run, and say what is so."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

from places import PACKAGE

SOURCE = PACKAGE / "src"
WITH_EXAMPLES = sorted(path for path in SOURCE.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_of_a_module_are_right(path: Path) -> None:
    name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    found = doctest.testmod(import_module(name))
    assert found.attempted
    assert not found.failed
