"""What a report is made from: `reports/report.json`, held to its shape, since a stranger's run may have written it."""

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
# Far from the largest float, so that sums and differences are finite too.
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e300, le=1e300)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Direction = Literal["better", "worse", "no clear difference"]


def _nothing(value: Any) -> Any:
    return [] if value is None else value


# A section that is not known is null or empty. Few: all of them are shown; Many: the first ones are.
Few = Annotated[tuple[T, ...], Field(max_length=40, strict=False), BeforeValidator(_nothing)]
Many = Annotated[tuple[T, ...], Field(max_length=20_000, strict=False), BeforeValidator(_nothing)]
Points = Many[Annotated[tuple[Number, Number], Field(strict=False)]]
Matrix = Many[Many[Count]]


class Version(Frozen):
    """What a model was made from."""

    commit: Text | None = None
    data: Text | None = None
    model: Text | None = None
    contract: Text | None = None


class Outcome(Frozen):
    """The result of a gate."""

    gate: Text
    verdict: Verdict
    reason: Text
    measured: dict[str, Any] = Field(default={})
    limit: dict[str, Any] = Field(default={})


class Override(Frozen):
    """A gate that a person let pass, and why."""

    gate: Text
    by: Text
    why: Text


class Judgement(Frozen):
    """The verdict, as in `reports/verdict.json`."""

    format: Count = 1
    verdict: Literal["PROMOTE", "HOLD", "REJECT"]
    candidate: Version
    champion: Version | None
    outcomes: Few[Outcome]
    overrides: Few[Override] = ()


class Rows(Frozen):
    """How many rows the data has and had; how many stayed, came and went."""

    before: Count
    now: Count
    kept: Count
    added: Count
    removed: Count


class DataChange(Frozen):
    """Rows that came and went, and in how many of the kept ones a column was rewritten."""

    rows: Rows
    rewritten: dict[Text, Count] = Field(default={}, max_length=20_000)


class Columns(Frozen):
    """Columns that came and went."""

    added: Many[Text] = ()
    removed: Many[Text] = ()


class Param(Frozen):
    """A parameter with another value; null where there was or is none."""

    name: Text
    before: Text | bool | int | float | None
    now: Text | bool | int | float | None


class Code(Frozen):
    """A changed file, with its added and removed lines."""

    path: Text
    added: Count
    removed: Count


class Package(Frozen):
    """A package in another version; null where there was or is none."""

    package: Text
    before: Text | None
    now: Text | None


class Changed(Frozen):
    """All that differs from the champion."""

    data: DataChange | None = None
    columns: Columns | None = None
    contract: Many[Text] = ()
    params: Many[Param] = ()
    code: Many[Code] = ()
    environment: Many[Package] = ()
    commits: Many[Text] = ()


class Value(Frozen):
    """A figure without its noise."""

    value: Number


class Interval(Frozen):
    """A figure and its interval."""

    value: Number
    low: Number
    high: Number


class Metric(Frozen):
    """A metric of candidate and champion on the same rows; `decides` where the quality gate looks at it."""

    name: Text
    higher_is_better: bool
    decides: bool = False
    candidate: Interval
    champion: Value | None = None
    difference: Interval | None = None
    direction: Direction | None = None
    dummy: Number | None = None


class Slice(Frozen):
    """The mean loss on a part of the rows; `q` is corrected for looking many times."""

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
    """Training rows and loss: on the rows trained on, and on the validation rows."""

    train: Points
    validation: Points


class Confusion(Frozen):
    """Counts of rows: a row of the matrix is what they are, a column what the model answered."""

    labels: Annotated[tuple[Text, ...], Field(max_length=200)]
    candidate: Matrix
    champion: Matrix = ()


class Curves(Frozen):
    """The curves that suit the task."""

    roc: Curve | None = None
    precision_recall: Curve | None = None
    reliability: Curve | None = None
    learning: Learning | None = None
    confusion: Confusion | None = None
    residuals: Curve | None = None


class Drift(Frozen):
    """How far a column has moved from the previous data; shares of missing values."""

    column: Text
    distance: Number | None = None
    q: Number | None = None
    missing_before: Number | None = None
    missing_now: Number | None = None
    drifted: bool = False


class Expectation(Frozen):
    """What the owner expects of the model: on how many examples it was tried, and the row that broke it."""

    name: Text
    held: bool
    examples: Count
    row: Annotated[dict[Text, Text | bool | int | float | None], Field(max_length=20_000)] | None = None
    said: Text = ""


class ServiceFigure(Frozen):
    """A figure of the load test; the ratio is candidate by champion, where they were measured in turns."""

    figure: Text
    candidate: Number
    champion: Number | None = None
    ratio: Interval | None = None
    verdict: Verdict


class Importance(Frozen):
    """The loss added when a feature is shuffled."""

    feature: Text
    candidate: Number
    champion: Number | None = None


class Reproduce(Frozen):
    """What it takes to have this run again."""

    commit: Text | None = None
    base: Text | None = None
    dirty: bool = False
    python: Text | None = None
    commands: Few[Text] = ()


class Stage(Frozen):
    """What a stage of the pipeline took."""

    stage: Text
    seconds: Number
    cached: bool = False


class Gate(Frozen):
    """What a gate took."""

    gate: Text
    seconds: Number


class Cost(Frozen):
    """Where the time went."""

    stages: Few[Stage] = ()
    gates: Few[Gate] = ()


class Report(Frozen):
    """All that the report shows."""

    format: Count = 1
    verdict: Judgement
    name: Text
    task: Literal["binary", "multiclass", "regression"]
    next: Few[Text] = ()
    changed: Changed | None = None
    metrics: Many[Metric] = ()
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    slices: Many[Slice] = ()
    curves: Curves | None = None
    drift: Many[Drift] = ()
    expectations: Many[Expectation] = ()
    explanation: Many[Importance] = ()
    service: Few[ServiceFigure] = ()
    card: Text | None = None
    reproduce: Reproduce | None = None
    cost: Cost | None = None


def read(report: dict[str, Any]) -> Report:
    """Return the data of a report in its types, with texts on one line, without what cannot be seen, and not too long.

    Raises InputError for data that is too large, not of this shape, or of another format.
    """
    check_format(report, REPORT_FORMAT, Path(REPORT.name))
    try:
        # Through JSON, so that strict typing takes a list for a tuple.
        text = json.dumps(report)
        if len(text) > MOST_CHARACTERS:
            raise InputError(f"report.json: {len(text)} characters are more than the {MOST_CHARACTERS} that are read")
        return Report.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = plain(".".join(map(str, first["loc"])), MOST_TEXT)
        raise InputError(f"report.json: {where}: {plain(first['msg'], MOST_TEXT)}; run `assay report` again") from None
    except (TypeError, ValueError, RecursionError):
        raise InputError("report.json: holds what is no JSON; run `assay report` again") from None


def read_verdict(path: Path) -> dict[str, Any]:
    """Return the verdict in a file; raises InputError for one that is missing, torn, or of another shape or format."""
    verdict = read_format(path, VERDICT_FORMAT)
    try:
        Judgement.model_validate_json(json.dumps(verdict))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = plain(".".join(map(str, first["loc"])), MOST_TEXT)
        raise InputError(f"{path}: {where}: {plain(first['msg'], MOST_TEXT)}; run `assay gate` again") from None
    return verdict
