"""Loaded models to ask, without HTTP."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from assay.project.layout import MODELS
from assay.project.settings import load_packed_contract, load_settings
from assay.serve.serving import Serving, load_serving


def client() -> Any:
    """Return what BentoML's Prometheus client offers, with a registry of its own."""
    registry = CollectorRegistry()
    return SimpleNamespace(
        registry=registry, Counter=partial(Counter, registry=registry), Histogram=partial(Histogram, registry=registry)
    )


def load_project(root: Path, served: Path | None = None) -> Serving:
    """Load what a project serves, from a copy if there is one."""
    models = root / MODELS
    return load_serving(root, served or root, load_packed_contract(models), load_settings(models), client())


def counted(serving: Serving, name: str, **labels: str) -> float:
    """Return what Prometheus would be told."""
    serving.metrics.flush()
    return serving.metrics.client.registry.get_sample_value(name, labels) or 0.0


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
