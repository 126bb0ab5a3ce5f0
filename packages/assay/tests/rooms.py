"""Rooms that tests share: parts of a user's own, without files."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from assay.project.room import Derived, Room


def room(**parts: Any) -> Room:
    """Return a room of these parts: `room(derived=(...,))`."""
    made = Room()
    # Each part is a cached property: as if it had been asked for already.
    vars(made).update({"derived": (), "families": None, "trusted": (), "expectations": ()} | parts)
    return made


def load(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return heart rate a year of age, for the columns of `patients`; infinite or missing for some."""
    return columns["heart-rate"] / columns["age"]


LOAD = Derived("load", load, source="heart-rate")
