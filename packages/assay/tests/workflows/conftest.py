"""GitHub as it is after somebody has pushed: a bare repository, and the stand-in that answers for it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from workflows.github import GitHub, running


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[GitHub]:
    """An empty repository on GitHub."""
    git = tmp_path / "remote.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch", "main", git], check=True)
    with running(GitHub(git)) as stand_in:
        yield stand_in
    assert stand_in.violations == []
