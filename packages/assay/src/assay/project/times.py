"""How long each stage took when it last ran here; nothing that a result depends on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assay.base.files import read_json, write_json
from assay.project.layout import STAGES

KEPT = Path(".assay/times")


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Keep the seconds that the block takes."""
    began = time.time()
    yield
    ended = time.time()
    write_json(KEPT / f"{stage}.json", {"seconds": round(ended - began, 2), "at": ended})


def stage_times() -> dict[str, tuple[float, float]]:
    """Return the seconds that each stage took, and when it ended, in seconds since 1970; zeros if it never ran here."""
    found = {}
    for stage in STAGES:
        path = KEPT / f"{stage}.json"
        kept = read_json(path) if path.exists() else {"seconds": 0.0, "at": 0.0}
        found[stage] = (kept["seconds"], kept["at"])
    return found
