"""The name of a project, as packaging tools take it."""

import re
from collections.abc import Iterable

# The name of the data that comes with the template, and with it of the template's own project.
SAMPLE = "breast-cancer"
NAME = re.compile(r'^name = "([^"]*)"$', re.MULTILINE)


def slug(text: str) -> str:
    """Return a text as a name: small letters, digits and single dashes; empty where nothing is left."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def project_name(given: str | None, contract: str, remote: str | None, folder: str) -> str:
    """Return the first of these that is a name: what was given, the contract's, the repository's, the folder's."""
    repository = re.sub(r"\.git$", "", (remote or "").rstrip("/")).replace(":", "/").rpartition("/")[2]
    candidates: Iterable[str] = (given or "", "" if contract == SAMPLE else contract, repository, folder)
    return next((name for name in map(slug, candidates) if name), "model")


def named(pyproject: str) -> str:
    """Return the name of the project in the text of pyproject.toml; empty where it has none."""
    found = NAME.search(pyproject)
    return found[1] if found else ""


def renamed(pyproject: str, name: str) -> str:
    """Return the text of pyproject.toml with another name of the project."""
    return NAME.sub(f'name = "{name}"', pyproject, count=1)
