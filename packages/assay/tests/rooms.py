"""Rooms that tests share: parts of a user's own, without files; and a Python that knows no package of a user."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.project.room import Derived, Room


def room(**parts: Any) -> Room:
    """Return a room of these parts: `room(derived=(...,))`."""
    made = Room()
    # Each part is a cached property: as if it had been asked for already.
    vars(made).update({"derived": (), "families": None, "trusted": (), "expectations": ()} | parts)
    return made


@contextmanager
def no_package(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide the user's package from Python; what the block imports is removed afterwards."""
    monkeypatch.setattr(sys, "path", [place for place in sys.path if not (Path(place) / "model").exists()])
    before = {name: sys.modules.pop(name) for name in _imported()}
    yield
    for name in _imported():
        del sys.modules[name]
    sys.modules.update(before)


def _imported() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "model"]


def load(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return heart rate a year of age, for the columns of `patients`; infinite or missing for some."""
    return columns["heart-rate"] / columns["age"]


LOAD = Derived("load", load, source="heart-rate")
