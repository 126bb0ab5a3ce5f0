"""What gates measure and the report shows, as types: a gate writes them with `asdict`, the report reads them back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from assay.base.errors import InputError

T = TypeVar("T")
# The checks of the contract gate that the report looks into.
PREVIOUS_VERSION = "previous version"
CONTRACT_CHANGES = "contract changes"
# The check of the service gate that holds the figures of a candidate without a champion beside it.
ALONE = "champion"
# The figures of the load test that the report shows, by the name of their check, with what they count.
FIGURES = {
    "throughput": "answers a second",
    "cpu": "processor time a request, ms",
    "median": "median latency, ms",
    "p95": "95th percentile of latency, ms",
    "p99": "99th percentile of latency, ms",
    "memory": "memory, MB",
    "size": "size of the Bento, MB",
    "model size": "size of the model, MB",
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
    """Metrics of the candidate, and how much higher they are than the champion's, where it was compared with."""

    metrics: dict[str, Interval]
    differences: dict[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class SliceLoss:
    """The mean loss on a slice; p is of it being above the margin, q is corrected for looking many times."""

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
class Slices:
    """The slices that were judged, the worst first, and how many had too few rows."""

    judged: int
    too_small: int
    worse: int
    slices: list[SliceLoss]


@dataclass(frozen=True)
class RowCounts:
    """How many rows the data has and had; how many stayed, came and went."""

    before: int
    now: int
    kept: int
    added: int
    removed: int


@dataclass(frozen=True)
class ColumnDrift:
    """How far a column has moved from the previous data; shares of missing values."""

    column: str
    distance: float
    q: float
    missing_before: float
    missing_now: float
    drifted: bool


@dataclass(frozen=True)
class PreviousVersion:
    """What differs from the data of the champion: rows, rewritten values by column, drift, class shares."""

    rows: RowCounts
    rewritten: dict[str, int]
    drift: list[ColumnDrift]
    classes: dict[str, list[float]]


@dataclass(frozen=True)
class ContractChanges:
    """What contract.yaml says differently, each in a few words."""

    changes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Expected:
    """The result of an expectation: how many rows were tried, and the smallest on which it fails, if there is one.

    `row` holds the features of that row as JSON values, `changed` those that the change made different. `before` and
    `after` are the risks; for an answer `before` is the probability of the expected label, or the number.
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
    """A figure of the load test; the ratio is candidate by champion, where they were measured in turns."""

    candidate: float | None
    champion: float | None
    ratio: Interval | None = None


def read(kind: type[T], measured: Mapping[str, Any]) -> T:
    """Return what a gate measured in its type; raises InputError where it is of another shape."""
    try:
        return TypeAdapter(kind).validate_python(measured)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"reports/verdict.json: {where}: {first['msg']}; run `assay gate` again") from None
