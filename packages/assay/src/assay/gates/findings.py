"""Types of what the gates measure: a gate writes them with `asdict`, and the report reads them back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from assay.base.errors import InputError

T = TypeVar("T")
# The checks of the contract gate whose figures the report shows.
PREVIOUS_VERSION = "previous version"
CONTRACT_CHANGES = "contract changes"
# The check of the service gate with the figures of a candidate that is not compared with a champion.
ALONE = "champion"
# The gate lists this many slices, the worst first.
SLICES_LISTED = 50
# The figures of the load test that the report shows: name of the check, and label with unit.
FIGURES = {
    "throughput": "responses per second",
    "cpu": "CPU time per request, ms",
    "median": "median latency, ms",
    "p95": "95th percentile latency, ms",
    "p99": "99th percentile latency, ms",
    "memory": "memory, MB",
    "size": "Bento size, MB",
    "model size": "model size, MB",
    "start": "cold start, s",
}


@dataclass(frozen=True)
class Interval:
    """A figure and its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Quality:
    """Metrics of the candidate, and differences from the champion (candidate minus champion) if they were compared."""

    metrics: dict[str, Interval]
    differences: dict[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class SliceLoss:
    """Mean loss on a slice. `p` tests for a rise above the margin; `q` is corrected for the number of slices."""

    slice: str
    rows: int
    champion: float
    candidate: float
    difference: float
    low: float
    high: float
    p: float
    q: float
    worse: bool


@dataclass(frozen=True)
class SliceFloor:
    """The deciding metric on a declared slice that has a floor; the interval is corrected for the number of floors."""

    slice: str
    rows: int
    metric: str
    value: float
    low: float
    high: float
    floor: float


@dataclass(frozen=True)
class Slices:
    """The slices that were judged, the worst first, the number of slices with too few rows, and the floors."""

    judged: int
    too_small: int
    worse: int
    slices: list[SliceLoss]
    floors: list[SliceFloor] = field(default_factory=list)


@dataclass(frozen=True)
class RowCounts:
    """Numbers of rows: previous, current, kept, added and removed."""

    before: int
    now: int
    kept: int
    added: int
    removed: int


@dataclass(frozen=True)
class ColumnDrift:
    """Drift of a column from the previous data, and its shares of missing values."""

    column: str
    distance: float
    q: float
    missing_before: float
    missing_now: float
    drifted: bool


@dataclass(frozen=True)
class PreviousVersion:
    """Differences from the champion's data: rows, rewritten values by column, drift, class shares."""

    rows: RowCounts
    rewritten: dict[str, int]
    drift: list[ColumnDrift]
    classes: dict[str, list[float]]


@dataclass(frozen=True)
class ContractChanges:
    """The changes of contract.yaml, each in a few words."""

    changes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Expected:
    """The result of an expectation: the number of rows tried, and the smallest row on which it fails, if any.

    `row` holds the features of that row as JSON values, `changed` the values after the change. `before` and `after` are
    the risks; for an `Answer`, `before` is the probability of the expected label, or the predicted number.
    """

    name: str
    held: bool
    examples: int
    reason: str = ""
    row: dict[str, Any] | None = None
    changed: dict[str, Any] | None = None
    before: float | None = None
    after: float | None = None


@dataclass(frozen=True)
class Expectations:
    """The results of all expectations."""

    expectations: list[Expected]


@dataclass(frozen=True)
class Figure:
    """A figure of the load test. `ratio` is candidate / champion, if both were loaded in alternating rounds."""

    candidate: float | None
    champion: float | None
    ratio: Interval | None = None


def read(kind: type[T], measured: Mapping[str, Any]) -> T:
    """Return the measurements of a gate as their type; raises InputError if their shape is wrong."""
    try:
        return TypeAdapter(kind).validate_python(measured)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"reports/verdict.json: {where}: {first['msg']}; run `assay gate` again") from None
