"""Where things are: the package, and the template around it."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]
ROOT = PACKAGE.parents[1]
TESTS = PACKAGE / "tests"
