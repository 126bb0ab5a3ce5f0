"""The owner of each file of this repository: the template, the package, or the user of the template.

setup.py runs this file on its own: it must not import anything of Assay.
"""

from fnmatch import fnmatchcase
from typing import Literal

Owner = Literal["template", "package", "user"]

# A `*` matches any text, slashes too. The wheel contains these files, and `assay upgrade` merges them.
TEMPLATE = (
    ".devcontainer/*",
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvcignore",
    ".gitattributes",
    ".github/*",
    ".gitignore",
    ".pre-commit-config.yaml",
    "AGENTS.md",
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
# Not part of the template: it names the installed wheel.
VENDORED = "requirements/assay.txt"


def owner(path: str) -> Owner:
    """Return the owner of a file by its path from the root; a file in no list belongs to the user."""
    if any(fnmatchcase(path, pattern) for pattern in PACKAGE):
        return "package"
    if path != VENDORED and any(fnmatchcase(path, pattern) for pattern in TEMPLATE):
        return "template"
    return "user"
