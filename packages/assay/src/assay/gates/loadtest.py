"""The measurements of a load test, as stored in `reports/loadtest.json`."""

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
    """One round of load on one service.

    Latencies (`p50`, `p95`, `p99`) are in milliseconds, of correct responses, None if there were none. `waiting` counts
    callers without a response in the second half of the round. `cpu` is the CPU time in seconds of all processes of
    the service, `memory` their memory at the end in bytes, `handles` their open files and threads, `total` the requests
    since the service started.
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
    """The measurements of one Bento; `failed` says why there are none.

    `deaths` counts processes of the service that ended during the test. Sizes of the Bento and of the model file are in
    bytes.
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
    """A load test.

    `candidate` and `champion` are identities of the services, `obstacle` the reason for a missing champion, `commit`
    the champion's commit, and `setting` the users, rounds and seconds of the load.
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
    """Return the load settings as text: users, rounds, seconds and the hash of the load script."""
    script = hashlib.sha256(LOCUSTFILE.read_bytes()).hexdigest()[:12] if LOCUSTFILE.exists() else "none"
    return f"{limits.users} users, {limits.rounds} rounds of {limits.seconds} s, {LOCUSTFILE} {script}"


def read_loadtest(path: Path = LOADTEST) -> LoadTest:
    """Read a load test; raises InputError for a file that is missing, broken or of another shape."""
    return as_loadtest(read_format(path, LOADTEST_FORMAT), path)


def as_loadtest(content: Mapping[str, object], path: Path = LOADTEST) -> LoadTest:
    """Validate the data of a load test; raises InputError if its shape is wrong."""
    try:
        return LoadTest.model_validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {where}: {first['msg']}; run `make loadtest` again") from None


def mismatch(found: LoadTest, limits: ServiceGate, commit: str | None) -> str:
    """Return why a load test does not fit the working tree and the champion at `commit`, "" if it does."""
    if found.candidate != service_identity(Path()):
        return "belongs to another model or service"
    if found.commit != commit:
        return "was run against another champion"
    if not found.long and found.setting != setting(limits):
        return "was run with other settings"
    return ""
