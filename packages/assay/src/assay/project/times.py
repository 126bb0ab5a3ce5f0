"""The time of each stage in its last run here; results do not depend on it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assay.base.files import read_json, write_json
from assay.project.layout import STAGES

TIMES_DIR = Path(".assay/times")


@contextmanager
def record_duration(stage: str) -> Iterator[None]:
    """Record the duration of the block in seconds."""
    began = time.time()
    yield
    ended = time.time()
    write_json(TIMES_DIR / f"{stage}.json", {"seconds": round(ended - began, 2), "at": ended})


def stage_times() -> dict[str, tuple[float, float]]:
    """Return duration and end time of each stage, in seconds and seconds since 1970; zeros if it never ran here."""
    found = {}
    for stage in STAGES:
        path = TIMES_DIR / f"{stage}.json"
        recorded = read_json(path) if path.exists() else {"seconds": 0.0, "at": 0.0}
        found[stage] = (recorded["seconds"], recorded["at"])
    return found
