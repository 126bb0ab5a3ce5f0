"""The types of `reports/report.json`, validated because an untrusted run may have written it."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError

from assay.base.config import Frozen
from assay.base.errors import InputError
from assay.base.formats import check_format, read_format
from assay.base.outcomes import Verdict
from assay.project.layout import REPORT, REPORT_FORMAT, VERDICT_FORMAT
from assay.report.text import plain

MOST_CHARACTERS = 50_000_000
MOST_TEXT = 500

T = TypeVar("T")
Text = Annotated[str, BeforeValidator(lambda value: plain(value, MOST_TEXT) if isinstance(value, str) else value)]
# Far below the largest float, so that sums and differences are finite too.
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e300, le=1e300)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Direction = Literal["better", "worse", "worse, within the margin", "no clear difference"]


def _nothing(value: Any) -> Any:
    return [] if value is None else value


# An unknown section is null or empty. Few: all entries are shown; Many: the first ones.
Few = Annotated[tuple[T, ...], Field(max_length=40, strict=False), BeforeValidator(_nothing)]
Many = Annotated[tuple[T, ...], Field(max_length=20_000, strict=False), BeforeValidator(_nothing)]
Points = Many[Annotated[tuple[Number, Number], Field(strict=False)]]
Matrix = Many[Many[Count]]


class ModelVersion(Frozen):
    """The identity of a model: its commit, and hashes of data, model and contract."""

    commit: Text | None = None
    data: Text | None = None
    model: Text | None = None
    contract: Text | None = None


class GateOutcome(Frozen):
    """The result of a gate."""

    gate: Text
    verdict: Verdict
    reason: Text
    measured: dict[str, Any] = Field(default={})
    limit: dict[str, Any] = Field(default={})


class OverrideRecord(Frozen):
    """A person's approval of a gate's outcome, with the reason."""

    gate: Text
    by: Text
    why: Text


class VerdictRecord(Frozen):
    """The verdict, as in `reports/verdict.json`."""

    format: Count = 1
    verdict: Literal["PROMOTE", "HOLD", "REJECT"]
    candidate: ModelVersion
    champion: ModelVersion | None
    outcomes: Few[GateOutcome]
    overrides: Few[OverrideRecord] = ()


class ReportedRows(Frozen):
    """Numbers of rows: previous, current, kept, added and removed."""

    before: Count
    now: Count
    kept: Count
    added: Count
    removed: Count


class DataChange(Frozen):
    """Changes of rows, and for each column the number of kept rows in which it was rewritten."""

    rows: ReportedRows
    rewritten: dict[Text, Count] = Field(default={}, max_length=20_000)


class ColumnChanges(Frozen):
    """Added and removed columns."""

    added: Many[Text] = ()
    removed: Many[Text] = ()


class ParamChange(Frozen):
    """A changed parameter; null if it did not or does not exist."""

    name: Text
    before: Text | bool | int | float | None
    now: Text | bool | int | float | None


class FileChange(Frozen):
    """A changed file, with its added and removed lines."""

    path: Text
    added: Count
    removed: Count


class PackageChange(Frozen):
    """A package whose version changed; null if it was not or is not installed."""

    package: Text
    before: Text | None
    now: Text | None


class Changed(Frozen):
    """All differences from the champion."""

    data: DataChange | None = None
    columns: ColumnChanges | None = None
    contract: Many[Text] = ()
    params: Many[ParamChange] = ()
    code: Many[FileChange] = ()
    environment: Many[PackageChange] = ()
    commits: Many[Text] = ()


class Value(Frozen):
    """A figure without an interval."""

    value: Number


class ReportedInterval(Frozen):
    """A figure and its interval."""

    value: Number
    low: Number
    high: Number


class MetricRow(Frozen):
    """A metric of candidate and champion on the same rows; `decides` marks the metric of the quality gate."""

    name: Text
    higher_is_better: bool
    decides: bool = False
    candidate: ReportedInterval
    champion: Value | None = None
    difference: ReportedInterval | None = None
    direction: Direction | None = None
    dummy: Number | None = None


class SliceRow(Frozen):
    """The mean loss on a slice; `q` is the p-value corrected for the number of slices."""

    slice: Text
    rows: Count
    champion: Number | None = None
    candidate: Number
    difference: Number | None = None
    low: Number | None = None
    high: Number | None = None
    q: Number | None = None
    verdict: Direction | None = None


class Curve(Frozen):
    """Points of candidate and champion."""

    candidate: Points
    champion: Points = ()


class Learning(Frozen):
    """Points of number of training rows and loss, for training and validation loss."""

    train: Points
    validation: Points


class Confusion(Frozen):
    """Confusion matrix: rows are true classes, columns are predicted classes."""

    labels: Annotated[tuple[Text, ...], Field(max_length=200)]
    candidate: Matrix
    champion: Matrix = ()


class ClassRow(Frozen):
    """Recall, precision and F1 of a class on the test rows."""

    name: Text
    rows: Count
    recall: Number
    precision: Number
    f1: Number


class Classes(Frozen):
    """The classes of candidate and champion."""

    candidate: Many[ClassRow]
    champion: Many[ClassRow] = ()


class ShapePoint(Frozen):
    """A value of a feature, as text, and its effect on each raw score."""

    value: Text
    effects: Few[Number]


class Shape(Frozen):
    """What a feature does to the raw scores of a model in which each feature acts alone; `of` names the scores."""

    feature: Text
    of: Text
    scores: Few[Text]
    points: Few[ShapePoint]


class Curves(Frozen):
    """The curves of the task, and its classes."""

    roc: Curve | None = None
    precision_recall: Curve | None = None
    reliability: Curve | None = None
    learning: Learning | None = None
    classes: Classes | None = None
    confusion: Confusion | None = None
    residuals: Curve | None = None
    shapes: Few[Shape] = ()


class Drift(Frozen):
    """Drift of a column from the previous data, and its shares of missing values."""

    column: Text
    distance: Number | None = None
    q: Number | None = None
    missing_before: Number | None = None
    missing_now: Number | None = None
    drifted: bool = False


class ExpectationResult(Frozen):
    """The result of an expectation: the number of examples tried, and the row on which it fails."""

    name: Text
    held: bool
    examples: Count
    row: Annotated[dict[Text, Text | bool | int | float | None], Field(max_length=20_000)] | None = None
    said: Text = ""


class ServiceFigure(Frozen):
    """A figure of the load test. `ratio` is candidate / champion, if both were loaded in alternating rounds."""

    figure: Text
    candidate: Number
    champion: Number | None = None
    ratio: ReportedInterval | None = None
    verdict: Verdict


class Importance(Frozen):
    """The increase in loss when a feature is shuffled."""

    feature: Text
    candidate: Number
    champion: Number | None = None


class Reproduce(Frozen):
    """The commands and versions that reproduce this run."""

    commit: Text | None = None
    base: Text | None = None
    dirty: bool = False
    python: Text | None = None
    commands: Few[Text] = ()


class StageTime(Frozen):
    """The time of a pipeline stage."""

    stage: Text
    seconds: Number
    cached: bool = False


class GateTime(Frozen):
    """The time of a gate."""

    gate: Text
    seconds: Number


class Cost(Frozen):
    """The times of stages and gates."""

    stages: Few[StageTime] = ()
    gates: Few[GateTime] = ()


class Report(Frozen):
    """The data of a report."""

    format: Count = 1
    verdict: VerdictRecord
    name: Text
    task: Literal["binary", "multiclass", "regression"]
    next: Few[Text] = ()
    changed: Changed | None = None
    fitted: Text | None = None
    metrics: Many[MetricRow] = ()
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    slices: Many[SliceRow] = ()
    curves: Curves | None = None
    drift: Many[Drift] = ()
    expectations: Many[ExpectationResult] = ()
    explanation: Many[Importance] = ()
    alone: Text = ""
    service: Few[ServiceFigure] = ()
    card: Text | None = None
    reproduce: Reproduce | None = None
    cost: Cost | None = None


def read(report: dict[str, Any]) -> Report:
    """Validate the data of a report; texts become single printable lines of limited length.

    Raises InputError if the data is too large, has the wrong shape or another format.
    """
    check_format(report, REPORT_FORMAT, Path(REPORT.name))
    try:
        # Through JSON, so that strict typing takes a list for a tuple.
        text = json.dumps(report)
        if len(text) > MOST_CHARACTERS:
            raise InputError(f"report.json: {len(text)} characters, more than the limit of {MOST_CHARACTERS}")
        return Report.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = plain(".".join(map(str, first["loc"])), MOST_TEXT)
        raise InputError(f"report.json: {where}: {plain(first['msg'], MOST_TEXT)}; run `assay report` again") from None
    except (TypeError, ValueError, RecursionError):
        raise InputError("report.json: contains values that are not JSON; run `assay report` again") from None


def read_verdict(path: Path) -> dict[str, Any]:
    """Read a verdict; raises InputError if the file is missing, broken, or of another shape or format."""
    verdict = read_format(path, VERDICT_FORMAT)
    try:
        VerdictRecord.model_validate_json(json.dumps(verdict))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = plain(".".join(map(str, first["loc"])), MOST_TEXT)
        raise InputError(f"{path}: {where}: {plain(first['msg'], MOST_TEXT)}; run `assay gate` again") from None
    return verdict
