"""Champions to make changes to, made once for all workers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gates.changing import WarmProject, make_champion
from gates.warm import server
from scenario.conftest import shared, template
from scenario.project import Project, once

__all__ = ["shared", "template"]

# Enough to find what the catalogue holds.
FEW_EXAMPLES = {"gates__expectations__examples": 10, "gates__parity__examples": 10}


@pytest.fixture(scope="session")
def commands(shared: Path) -> Iterator[Path]:
    with server(shared / "warm") as folder:
        yield folder


@pytest.fixture(scope="session")
def champion(template: Project, shared: Path, commands: Path) -> Callable[[str], WarmProject]:
    """Returns a project with a champion of a kind; it is to be copied."""

    def made(kind: str) -> WarmProject:
        project = WarmProject(shared / f"champion-{kind}", template.home, commands)
        warm = WarmProject(template.root, template.home, commands)
        once(project.root, lambda: make_champion(warm, project.root, kind, 0, **FEW_EXAMPLES))
        return project

    return made
