"""What tests share: Hypothesis profiles and one thread for numeric libraries, alike on every machine; served models."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import pytest
from hypothesis import Phase, Verbosity, settings
from xdist.scheduler import LoadScopeScheduling

# Every field is set: Hypothesis has a profile of its own for machines that run CI, and would fill in from that.
settings.register_profile(
    "ci",
    max_examples=30,
    derandomize=True,
    database=None,
    deadline=None,
    phases=tuple(Phase),
    print_blob=False,
    report_multiple_bugs=True,
    stateful_step_count=20,
    suppress_health_check=(),
    verbosity=Verbosity.normal,
)
settings.register_profile("nightly", settings.get_profile("ci"), max_examples=2000, derandomize=False, print_blob=True)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "ci")
settings.load_profile(PROFILE)

# What is started in the background of a shell is deaf to Ctrl-C, and so would be what the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Each of these tests takes long, and what they share is made once for all workers: one is for whoever is free.
APART = ("tests/gates/test_catalogue.py", "tests/scenario/", "tests/workflows/")
# But for these, which share a server, an image or packages.
TOGETHER = {
    "tests/scenario/test_gates.py",
    "tests/scenario/test_image.py",
    "tests/scenario/test_service.py",
    "tests/scenario/test_workflows.py",
    "tests/workflows/test_lint.py",
}


class Scheduling(LoadScopeScheduling):
    """Gives each worker the next file, so that what its tests share is made once, or the next test of those apart."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file.startswith(APART) and file not in TOGETHER else file


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest; leave tests that are much like another one, and slow, to the nightly run."""
    items.sort(key=_turn)
    if PROFILE == "nightly":
        return
    nightly = [item for item in items if item.get_closest_marker("nightly")]
    items[:] = [item for item in items if item not in nightly]
    config.hook.pytest_deselected(items=nightly)


def _turn(item: pytest.Item) -> int:
    """Return when a test has its turn: what is short comes last, so that no worker has nothing to do in the end."""
    file = item.nodeid.partition("::")[0]
    return 0 if file in TOGETHER else 1 if file.startswith(APART) else 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    # A third of what the tests take is waiting, for servers to start and for those to answer that never do.
    return max(2, 3 * (os.cpu_count() or 1) // 2)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    # In the order of collection, and not by the number of tests in a file.
    config.option.loadscopereorder = False
    # Marks of `xdist_group` come to nothing with pytest 9.2: pytest-xdist 3.8 writes them where it no longer looks.
    return Scheduling(config, log)


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the log of this test is written, and of no other."""
    monitors: dict[str, Any] = {}
    monkeypatch.setattr("bentoml._internal.monitoring.api._MONITOR_INSTANCES", monitors)
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "monitoring"
    for monitor in monitors.values():
        monitor.close()


@pytest.fixture(scope="session")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Folders with a model of a task, in a form, made once each. To be looked at only."""
    # Imported here, for most tests serve nothing.
    from served import served_project

    made: dict[tuple[str, ...], Path] = {}

    def make(task: str = "binary", family: str = "linear", form: str = "onnx", seed: int = 0) -> Path:
        key = (task, family, form, str(seed))
        if key not in made:
            root = tmp_path_factory.mktemp("served")
            served_project(root, task, family, form, seed)
            made[key] = root
        return made[key]

    return make


@pytest.fixture(scope="module")
def asked() -> Iterator[Any]:
    """GitHub's parser and evaluator of expressions, `workflows.language.Language`."""
    # Imported here, for few tests ask it.
    from machine import lacks
    from npm import NotHereError
    from workflows.language import language

    try:
        with language() as made:
            yield made
    except NotHereError as error:
        lacks(str(error))


@pytest.fixture(autouse=True)
def _no_client_stays() -> Iterator[None]:
    """Close the clients of Dask clusters: they look for schedulers that are gone, and draw random numbers meanwhile."""
    yield
    if used := sys.modules.get("assay.data.cluster"):
        while used.CLIENTS:
            used.CLIENTS.popitem()[1].close()
