"""Projects to try things in. What is costly to make is made once for all workers, and copied."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from assay.contract.spec import load_contract
from gates.warm import server
from scenario.project import FEWEST_EXAMPLES, SHORT, SOURCE, Done, Project, clone, make_template, once


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what tries the template on the data that comes with it, in a project that is about other data."""
    if load_contract(SOURCE / "contract.yaml").name == "breast-cancer":
        return
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) or "template" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason="is about the data that comes with the template"))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "scenario"
    (folder / "home").mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def commands(shared: Path) -> Iterator[Path]:
    """The `bin` folder of a server that runs commands without the wait for Python to start."""
    with server(shared / "warm") as folder:
        yield folder


@pytest.fixture(scope="session")
def template(shared: Path, commands: Path) -> Project:
    """A repository to clone: this one, as it is in the working tree, without what tests and measures Assay."""
    project = Project(shared / "template", shared / "home", commands)
    once(project.root, lambda: make_template(project, ("packages/assay/tests/", "packages/assay/bench/")))
    return project


@pytest.fixture(scope="session")
def first_run(template: Project, shared: Path) -> tuple[Project, Done]:
    """A clone in which `assay repro` ran once, and what it printed. To be looked at only."""
    project = replace(template, root=shared / "finished")
    printed = shared / "first_run.json"

    def make() -> None:
        clone(template, project.root)
        done = project.run("assay", "repro")
        printed.write_text(json.dumps([done.args, done.returncode, done.stdout, done.stderr]))
        # A project as it is after the work: committed, so that experiments and differences have something to refer to.
        project.ok("git", "commit", "--quiet", "--allow-empty", "--all", "--message", "Trained")

    once(project.root, make)
    return project, Done(*json.loads(printed.read_text()))


@pytest.fixture
def project(template: Project, tmp_path: Path) -> Project:
    """A fresh clone."""
    return clone(template, tmp_path / "project")


@pytest.fixture(scope="session")
def short_run(first_run: tuple[Project, Done], shared: Path) -> Project:
    """The first run once more, with parameters that take less time. To be looked at only."""
    made, done = first_run
    assert done.returncode == 0, done.stdout + done.stderr
    return _with_params(made, shared / "short", **SHORT, **FEWEST_EXAMPLES, tune__trials=3)


@pytest.fixture
def finished(short_run: Project, tmp_path: Path) -> Project:
    """A project whose pipeline ran, and whose service gate is switched off."""
    return short_run.copy(tmp_path / "project")


@pytest.fixture(scope="session")
def brief(short_run: Project, shared: Path) -> Project:
    """A project whose pipeline ran, and whose load test is short, and judges by little. To be copied."""
    given = {
        "rounds": 6,
        "seconds": 0.3,
        "requests": 10,
        "slower": 9.0,
        "tail": 99.0,
        "errors": 0.1,
        "starts": 9,
        "leak_bytes": 1e6,
    }
    limits = {f"gates__service__{key}": one for key, one in given.items()}
    return _with_params(short_run, shared / "brief", gates__service__enabled=True, **limits)


def _with_params(project: Project, root: Path, **values: object) -> Project:
    made = replace(project, root=root)

    def make() -> None:
        project.copy(root)
        made.set_params(**values)
        made.ok("assay", "repro")
        made.ok("git", "commit", "--quiet", "--all", "--message", "Other parameters")
        # As if pushed: changes start from here.
        made.ok("git", "update-ref", "refs/remotes/origin/main", "HEAD")

    once(root, make)
    return made
