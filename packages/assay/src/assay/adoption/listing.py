"""Whose a file of this repository is: the template's, the package's, or that of whoever uses the template.

setup.py runs this file by itself: it imports nothing of Assay.
"""

from fnmatch import fnmatchcase
from typing import Literal

Owner = Literal["template", "package", "user"]

# A `*` stands for any text, slashes too. The wheel carries these files, and `assay upgrade` merges them.
TEMPLATE = (
    ".devcontainer/*",
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvcignore",
    ".gitattributes",
    ".github/*",
    ".gitignore",
    ".pre-commit-config.yaml",
    "Makefile",
    "bentofile.yaml",
    "dvc.yaml",
    "loadtests/*",
    "params.yaml",
    "pyproject.toml",
    "requirements/*.in",
    "requirements/*.txt",
    "schemas/*",
    "service.py",
    "tests/*",
)
# The package and what develops it: `assay adopt` removes these files. They come before those of the template.
PACKAGE = (
    ".ci/*",
    ".github/workflows/package-*.yml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "packages/*",
)
# Of no version of the template: the wheel that is here.
VENDORED = "requirements/assay.txt"


def owner(path: str) -> Owner:
    """Return whose the file at a path below the root is; what no list names is the user's."""
    if any(fnmatchcase(path, pattern) for pattern in PACKAGE):
        return "package"
    if path != VENDORED and any(fnmatchcase(path, pattern) for pattern in TEMPLATE):
        return "template"
    return "user"
