"""A virtual environment works only where it was made. One that was copied or cached elsewhere is made again."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scenario.project import SOURCE


@pytest.mark.parametrize(
    ("made_in", "is_made_again"),
    [("{here}/.venv", False), ("/home/runner/work/old-name/.venv", True), ("{here}/old/.venv", True)],
)
def test_an_environment_of_another_place_is_made_again(tmp_path: Path, made_in: str, is_made_again: bool):
    for name in ("Makefile", "requirements/setup.txt", "requirements/train.txt", "pyproject.toml", ".dvc/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(SOURCE / name, tmp_path / name)
    environment = tmp_path / ".venv"
    environment.mkdir()
    # As set-up leaves it, and newer than the locks.
    (environment / ".setup").write_text(f"{made_in.format(here=tmp_path.resolve())}\n")
    (environment / ".train").touch()
    done = subprocess.run(
        ["make", "--dry-run", ".venv/.train"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        check=True,
        capture_output=True,
        text=True,
    )
    assert ("-m venv --clear .venv" in done.stdout) is is_made_again
    assert ("installing requirements/train.txt" in done.stdout) is is_made_again
