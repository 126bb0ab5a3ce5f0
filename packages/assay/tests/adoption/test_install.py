"""The wheel, installed with what it says it needs and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from assay.adoption.listing import owner
from assay.adoption.wheel import Wheel, read_wheel, unpack
from assay.cli.main import app
from places import PACKAGE, ROOT

BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
# Asks each command for its help, in one process, and prints a list of what it was answered, or what went wrong.
HELP = """
import contextlib, io, json, traceback
from assay.cli.main import app
told = []
for command in [None, *app.commands]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        try:
            app.main([*filter(None, [command]), "--help"], prog_name="assay")
        except SystemExit as ended:
            print("status", ended.code)
        except Exception:
            traceback.print_exc(file=said)
    told.append([command, said.getvalue()])
print(json.dumps(told))
"""
LISTED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def build(folder: Path, umask: int) -> Path:
    """Build the wheel from a copy of what git lists, so that nothing is written here."""
    for name in LISTED:
        if owner(name) != "user" and (ROOT / name).is_file():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, place)
            place.chmod(0o666 & ~umask)
    made = folder / "made"
    made.mkdir()
    command = [sys.executable, "-c", BUILD, str(made)]
    subprocess.run(command, cwd=folder / PACKAGE.relative_to(ROOT), check=True, capture_output=True, umask=umask)
    return next(made.iterdir())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    return read_wheel(build(tmp_path_factory.mktemp("wheel"), umask=0o022))


def needed(*names: str) -> set[str]:
    """Return packages and what they need, without any extra."""
    found, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            requirements = map(Requirement, distribution(name).requires or [])
            waiting += [r.name for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="module")
def alone(wheel: Wheel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that sees the wheel, what it needs, and no other package."""
    here, there = tmp_path_factory.mktemp("installed"), tmp_path_factory.mktemp("needed")
    unpack(wheel, here)
    (metadata,) = here.glob("*.dist-info/METADATA")
    lines = [
        line.partition(": ")[2] for line in metadata.read_text().splitlines() if line.startswith("Requires-Dist: ")
    ]
    base = [requirement.name for line in lines if (requirement := Requirement(line)).marker is None]
    for name in needed(*base):
        for file in distribution(name).files or []:
            top = file.parts[0]
            if top != ".." and not (there / top).exists():
                (there / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    return {**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{there}"}


def test_the_same_source_makes_the_same_bytes_whatever_the_permissions(wheel: Wheel, tmp_path: Path):
    assert build(tmp_path, umask=0o077).read_bytes() == wheel.content


def test_the_wheel_carries_the_template_as_a_copy_has_it(wheel: Wheel):
    assert set(wheel.template) == {name for name in LISTED if owner(name) == "template" and (ROOT / name).is_file()}
    assert all(content == (ROOT / name).read_bytes() for name, content in wheel.template.items())


@pytest.fixture(scope="module")
def helps(alone: dict[str, str]) -> dict[str | None, str]:
    run = [sys.executable, "-S", "-c", HELP]
    done = subprocess.run(run, env=alone, cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("command", [None, *app.commands])
def test_every_command_says_what_it_does_where_only_the_base_is_installed(
    helps: dict[str | None, str], command: str | None
):
    assert helps[command].startswith("Usage: assay")
    assert helps[command].endswith("status 0\n")
