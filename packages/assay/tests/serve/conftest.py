"""Loaded models to ask, without HTTP."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from assay.contract.spec import CONTRACT, load_contract
from assay.predictions.monitor import Files
from assay.project.settings import PARAMS, load_settings
from assay.serve.serving import Serving, load_serving
from served import served_project


def client() -> Any:
    """Return what BentoML's Prometheus client offers, with a registry of its own."""
    registry = CollectorRegistry()
    return SimpleNamespace(
        registry=registry, Counter=partial(Counter, registry=registry), Histogram=partial(Histogram, registry=registry)
    )


def load_project(root: Path) -> Serving:
    """Load what a project serves."""
    return load_serving(root, load_contract(root / CONTRACT), load_settings(root / PARAMS), client())


def counted(serving: Serving, name: str, **labels: str) -> float:
    """Return what Prometheus would be told."""
    serving.metrics.flush()
    return serving.metrics.client.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the log of this test is written, and of no other."""
    monitors: dict[str, Files] = {}
    monkeypatch.setattr("bentoml._internal.monitoring.api._MONITOR_INSTANCES", monitors)
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "monitoring"
    for monitor in monitors.values():
        monitor.close()


@pytest.fixture(scope="session")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Folders with a model of a task, in a form, made once each. To be looked at only."""
    made: dict[tuple[str, ...], Path] = {}

    def make(task: str = "binary", family: str = "linear", form: str = "onnx", seed: int = 0) -> Path:
        key = (task, family, form, str(seed))
        if key not in made:
            root = tmp_path_factory.mktemp("served")
            served_project(root, task, family, form, seed)
            made[key] = root
        return made[key]

    return make


@pytest.fixture(scope="session")
def servings(projects: Callable[..., Path]) -> Callable[..., Serving]:
    """Loaded models, one of each kind."""
    made: dict[Path, Serving] = {}

    def make(*kind: str) -> Serving:
        root = projects(*kind)
        if root not in made:
            made[root] = load_project(root)
        return made[root]

    return make
