"""Champions to make changes to, made once for all workers."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gates.changing import make_champion
from scenario.conftest import commands, shared, template
from scenario.project import FEW_EXAMPLES, Project, once

__all__ = ["commands", "shared", "template"]


@pytest.fixture(scope="session")
def champion(template: Project, shared: Path) -> Callable[[str], Project]:
    """Returns a project with a champion of a kind; it is to be copied."""

    def made(kind: str) -> Project:
        project = replace(template, root=shared / f"champion-{kind}")
        once(project.root, lambda: make_champion(template, project.root, kind, 0, **FEW_EXAMPLES))
        return project

    return made
