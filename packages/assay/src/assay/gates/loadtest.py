"""What a load test measured, as `reports/loadtest.json` holds it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from assay.base.config import Frozen
from assay.base.errors import InputError
from assay.base.formats import read_format
from assay.gates.obstacle import Obstacle
from assay.project.packed import LOCUSTFILE, service_identity
from assay.project.params import ServiceGate

LOADTEST = Path("reports/loadtest.json")
LOADTEST_FORMAT = 1
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class Round(Frozen):
    """One side under load for some seconds; latencies in milliseconds, of the right answers, None where none came.

    `waiting` are the callers who got no answer in the second half of it. `cpu` are the seconds of all processes of the
    service, `memory` what they hold at the end, in bytes, `handles` their open files and threads, `total` the requests
    since the service was started.
    """

    requests: Count
    errors: Count
    waiting: Count = 0
    seconds: Amount
    cpu: Amount
    memory: Count
    handles: Count
    total: Count
    p50: Amount | None
    p95: Amount | None
    p99: Amount | None


class Side(Frozen):
    """A Bento as it was measured; `failed` says why there is nothing to measure.

    `deaths` counts processes of the service that ended while it ran. Sizes are in bytes: of the Bento, and of the file
    that is the model.
    """

    failed: str = ""
    bento_size: Count = 0
    model_size: Count = 0
    start_seconds: Amount = 0.0
    deaths: Count = 0
    warm_up: Round | None = None
    rounds: tuple[Round, ...] = ()
    errors: dict[str, Count] = Field(default={})


class LoadTest(Frozen):
    """A load test. `candidate` and `champion` name what was served, by identity; `obstacle` says why no champion is.

    `setting` are the users, rounds and seconds that the sides were loaded with, `commit` is the champion's.
    """

    format: int = 1
    candidate: str
    champion: str | None
    commit: str | None
    obstacle: Obstacle | None
    setting: str
    long: bool
    sides: dict[str, Side]


def setting(limits: ServiceGate) -> str:
    """Return what says how the sides are loaded."""
    script = hashlib.sha256(LOCUSTFILE.read_bytes()).hexdigest()[:12] if LOCUSTFILE.exists() else "none"
    return f"{limits.users} users, {limits.rounds} rounds of {limits.seconds} s, {LOCUSTFILE} {script}"


def read_loadtest(path: Path = LOADTEST) -> LoadTest:
    """Read a load test; raises InputError for a file that is not there, torn or of another shape."""
    return as_loadtest(read_format(path, LOADTEST_FORMAT), path)


def as_loadtest(content: Mapping[str, object], path: Path = LOADTEST) -> LoadTest:
    """Return a load test in its types; raises InputError for data of another shape."""
    try:
        return LoadTest.model_validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {where}: {first['msg']}; run `make loadtest` again") from None


def mismatch(found: LoadTest, limits: ServiceGate, commit: str | None) -> str:
    """Say why a load test is not one of the working tree against the champion of a commit; empty if it is."""
    if found.candidate != service_identity(Path()):
        return "is of another model or service"
    if found.commit != commit:
        return "is against another champion"
    if not found.long and found.setting != setting(limits):
        return "was made with another setting"
    return ""
