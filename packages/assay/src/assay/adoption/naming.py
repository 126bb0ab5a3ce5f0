"""The name of a project, in the form that packaging tools accept."""

import re
from collections.abc import Iterable

# The name of the template's sample data, and of its own project.
SAMPLE = "breast-cancer"
NAME = re.compile(r'^name = "([^"]*)"$', re.MULTILINE)


def slug(text: str) -> str:
    """Return a text as a name: lower-case letters, digits and single dashes; may be empty."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def project_name(given: str | None, contract: str, remote: str | None, folder: str) -> str:
    """Return the first valid name: the given one, the contract's, the repository's, the folder's."""
    repository = re.sub(r"\.git$", "", (remote or "").rstrip("/")).replace(":", "/").rpartition("/")[2]
    candidates: Iterable[str] = (given or "", "" if contract == SAMPLE else contract, repository, folder)
    return next((name for name in map(slug, candidates) if name), "model")


def named(pyproject: str) -> str:
    """Return the name of the project in the text of pyproject.toml; empty if it has none."""
    found = NAME.search(pyproject)
    return found[1] if found else ""


def renamed(pyproject: str, name: str) -> str:
    """Return the text of pyproject.toml with a new project name."""
    return NAME.sub(f'name = "{name}"', pyproject, count=1)
