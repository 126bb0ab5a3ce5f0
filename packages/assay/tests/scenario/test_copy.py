"""A copy of one's own: what is in it, a newer Assay in it, and the source of Assay back in it."""

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import pytest

from assay.adoption.listing import owner
from scenario.project import Project, once
from scenario.test_init import write

SITE = Path("lib", f"python{sysconfig.get_python_version()}", "site-packages")
COMMAND = '#!/bin/sh\nexec "$(dirname "$0")/python" -P -c "from {0} import main; main()" "$@"\n'
COMMANDS = {"assay": "assay.cli.main", "dvc": "dvc.cli"}
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"


@dataclass(frozen=True)
class Own(Project):
    """A project with an environment of its own, into which the commands install Assay."""

    @property
    def environment(self) -> dict[str, str]:
        inherited = {key: value for key, value in super().environment.items() if key != "PYTHONPATH"}
        return inherited | {"PATH": f"{self.root / '.venv/bin'}{os.pathsep}{inherited['PATH']}"}

    def installed(self) -> str:
        """Return where the Assay is that the project's commands run."""
        return self.ok(".venv/bin/python", "-P", "-c", "import assay; print(assay.__file__)").strip()

    def copy(self, root: Path) -> Self:
        made = super().copy(root)
        made.link()
        return made

    def link(self) -> None:
        """Write the commands; those of pip are of the folder that they were installed in."""
        for name, module in COMMANDS.items():
            command = self.root / ".venv/bin" / name
            command.write_text(COMMAND.format(module))
            command.chmod(0o755)

    def commit(self, message: str) -> None:
        self.ok("git", "add", "--all")
        self.ok("git", "commit", "--quiet", "--message", message)

    def listed(self) -> list[str]:
        return self.ok("git", "ls-files").splitlines()


def of_its_own(project: Project) -> Own:
    """Give a project an environment: the packages of this one, and Assay as set-up installs it, from its source."""
    own = Own(project.root, project.home)
    own.ok(sys.executable, "-m", "venv", "--without-pip", ".venv")
    places = (
        os.path.relpath(own.root / "packages/assay/src", own.root / ".venv" / SITE),
        sysconfig.get_path("purelib"),
    )
    (own.root / ".venv" / SITE / "shared.pth").write_text("".join(f"{place}\n" for place in places))
    own.link()
    return own


@pytest.fixture(scope="session")
def adopted(short_run: Project, shared: Path) -> Own:
    """A copy whose owner made it theirs, after the pipeline ran. To be looked at only."""
    made = Own(shared / "adopted", short_run.home)

    def make() -> None:
        own = of_its_own(short_run.cold.copy(made.root))
        own.ok("git", "remote", "set-url", "origin", "https://localhost/somebody/Their_Model.git")
        own.ok("assay", "adopt")
        own.link()
        own.commit("Ours")

    once(made.root, make)
    return made


@pytest.fixture
def own(adopted: Own, tmp_path: Path) -> Own:
    return adopted.copy(tmp_path / "own")


@pytest.fixture(scope="session")
def newer(template: Project, shared: Path) -> Path:
    """A wheel of a later version, in which template and gates are others."""
    source = replace(template, root=shared / "newer")

    def make() -> None:
        template.copy(source.root)
        source.edit("packages/assay/pyproject.toml", 'version = "', 'version = "9.')
        source.append("packages/assay/src/assay/gates/verdict.py", "\nLATER = True\n")
        source.edit("Makefile", "clean:  ##", "clean:  ## later:")
        source.edit(".github/workflows/ci.yml", "name: ci", "name: later")
        source.append(".github/workflows/train.yml", "# Later.\n")
        source.append("requirements/serve.txt", "later==1.0\n")
        (source.root / "tests/test_later.py").write_text('"""Later."""\n')
        (source.root / "loadtests/locustfile.py").unlink()
        command = [sys.executable, "-c", BUILD, str(shared)]
        subprocess.run(command, cwd=source.root / "packages/assay", check=True, capture_output=True)

    once(source.root, make)
    (wheel,) = shared.glob("assay-9.*.whl")
    return wheel


def test_adopting_is_refused_where_git_could_not_undo_it(project: Project):
    (project.root / "notes.txt").write_text("mine")
    assert project.refused("assay", "adopt") == (
        "notes.txt: not committed; commit or stash first, so that git can undo `assay adopt`"
    )


def test_a_dry_run_says_what_would_go_and_changes_nothing(project: Project):
    shown = project.ok("assay", "adopt", "--dry-run").splitlines()
    assert any(line.startswith("remove packages/assay (") for line in shown)
    assert "write  README.md" in shown
    assert not project.ok("git", "status", "--porcelain")


def test_a_copy_holds_what_is_its_owners_and_little_else(adopted: Own):
    listed = adopted.listed()
    assert not [path for path in listed if owner(path) == "package"]
    assert 'name = "their-model"' in (adopted.root / "pyproject.toml").read_text()
    assert (adopted.root / "README.md").read_text().startswith("# Breast cancer\n\n")
    read = [path for path in listed if not path.startswith((".dvc/embedded", "vendor/")) and not is_made(path)]
    assert len(read) <= 60
    assert sum(len((adopted.root / path).read_text().splitlines()) for path in read) <= 2000


def is_made(path: str) -> bool:
    """Say whether a file is a lock, a pointer to data, a schema, or what the pipeline found."""
    made = ("dvc.lock", "data.dvc", "metrics.json", "trials.csv", "requirements/process.yaml")
    locks = (path.startswith("requirements/") and path.endswith(".txt")) or path == ".github/cml/package-lock.json"
    return path in made or locks or path.startswith("schemas/")


def test_after_adopting_assay_is_the_wheel_and_no_stage_runs(own: Own):
    assert own.installed() == str(own.root / ".venv" / SITE / "assay/__init__.py")
    assert "nothing changed: no stage ran" in own.run("assay", "repro").stderr
    assert not own.ok("git", "status", "--porcelain")
    assert "adopted already" in own.run("assay", "adopt").stderr


def test_the_locked_wheel_is_the_one_that_is_installed(own: Own):
    (wheel,) = (own.root / "vendor").iterdir()
    wheel.write_bytes(wheel.read_bytes() + b"more")
    install = (".venv/bin/python", "-m", "pip", "install", "--no-deps", "--force-reinstall", "--require-hashes")
    done = own.run(*install, "-r", "requirements/assay.txt")
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr


def test_a_newer_assay_is_merged_into_what_was_edited_and_committed(own: Own, newer: Path):
    own.edit("Makefile", "help:  ##", "help:  ## mine:")
    own.edit(".github/workflows/ci.yml", "name: ci", "name: mine")
    (own.root / ".github/workflows/train.yml").unlink()
    own.append("loadtests/locustfile.py", "# Mine.\n")
    own.commit("Mine")
    said = own.ok("assay", "upgrade", str(newer))
    changed = set(own.ok("git", "show", "--name-only", "--format=", "--no-renames", "HEAD").splitlines())
    wheels = {path for path in changed if path.startswith("vendor/")}
    assert changed - wheels == {
        "Makefile",
        "requirements/assay.txt",
        "requirements/process.yaml",
        "requirements/serve.txt",
        "tests/test_later.py",
    }
    assert [path.name for path in (own.root / "vendor").iterdir()] == [newer.name]
    subject = own.ok("git", "log", "-1", "--format=%s").strip()
    assert subject.startswith("Assay 0.")
    assert subject.endswith(f" -> {newer.name.split('-')[1]}")

    # Both edits of one file; of the same line nobody's: the owner's stays, and the newer one is beside it.
    makefile = (own.root / "Makefile").read_text()
    assert "help:  ## mine:" in makefile
    assert "clean:  ## later:" in makefile
    assert own.ok("git", "status", "--porcelain") == "?? .github/workflows/ci.yml.assay-new\n"
    assert "name: mine" in (own.root / ".github/workflows/ci.yml").read_text()
    assert "name: later" in (own.root / ".github/workflows/ci.yml.assay-new").read_text()
    assert "conflict .github/workflows/ci.yml is unchanged" in said
    assert "conflict loadtests/locustfile.py is unchanged; the new version has no such file" in said

    # The code that judges is another now, and that of no stage is.
    assert "\n-judge:" in own.ok("git", "show", "HEAD", "--", "requirements/process.yaml")
    assert "nothing changed: no stage ran" in own.run("assay", "repro").stderr
    (own.root / ".github/workflows/ci.yml.assay-new").unlink()
    assert "nothing changed: Assay 9." in own.run("assay", "upgrade", str(newer)).stderr


def test_an_upgrade_that_git_could_not_undo_is_refused(own: Own, newer: Path):
    own.append("Makefile", "# Mine.\n")
    assert own.refused("assay", "upgrade", str(newer)).startswith("Makefile: not committed")
    assert own.ok("git", "status", "--porcelain") == " M Makefile\n"


def test_source_that_was_ejected_wins_and_makes_the_same_wheel_again(own: Own):
    before = {path.name: path.read_bytes() for path in (own.root / "vendor").iterdir()}
    own.ok("assay", "eject")
    own.link()
    assert own.installed() == str(own.root / "packages/assay/src/assay/__init__.py")
    assert not (own.root / "vendor").exists()
    own.commit("At night")
    assert "run `assay adopt` first" in own.refused("assay", "eject")
    own.ok("assay", "adopt")
    assert {path.name: path.read_bytes() for path in (own.root / "vendor").iterdir()} == before
    assert not (own.root / "packages").exists()


@pytest.mark.nightly
def test_data_of_ones_own_makes_the_copy_ones_own(project: Project):
    own = of_its_own(project)
    write(own.root / "houses.csv")
    own.ok("assay", "init", "houses.csv", "--target", "price", "--yes", "--no-run")
    assert 'name = "houses"' in (own.root / "pyproject.toml").read_text()
    assert (own.root / "README.md").read_text().startswith("# Houses\n\nPredicts price.")
    assert not (own.root / "packages").exists()
    assert not (own.root / "docs").exists()
    assert len(list((own.root / "vendor").iterdir())) == 1
    assert own.installed() == str(own.root / ".venv" / SITE / "assay/__init__.py")
