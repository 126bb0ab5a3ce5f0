"""The contract: a description of the data, as typed objects."""

import math
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, model_validator

from assay.base.config import Frozen, read_config
from assay.contract.dates import NAMED

Task = Literal["binary", "multiclass", "regression"]
CONTRACT = Path("contract.yaml")
# Above this, a float (and so JSON and a feature array) no longer holds every whole number.
MAX_INTEGER = 2**53 - 1


def parse_time(text: str, form: str | None = None) -> datetime:
    """Parse a time in ISO 8601, or in the strptime format `form`; raises ValueError otherwise, or for a time zone.

    >>> parse_time("30/11/2018", "%d/%m/%Y")
    datetime.datetime(2018, 11, 30, 0, 0)
    """
    moment = datetime.strptime(text, form) if form else datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        raise ValueError(f"{text!r} has a time zone; times must not have one")
    return moment


Moment = Annotated[datetime, BeforeValidator(lambda value: parse_time(value) if isinstance(value, str) else value)]


# JSON has no infinities: they are written as text.
Bound = Annotated[
    float,
    Field(allow_inf_nan=True),
    BeforeValidator(lambda value: float(value) if value in ("Infinity", "-Infinity") else value),
]


CLEANED = "How raw values become values of the contract: see below."


class Cleaning(Frozen):
    """How raw values of a column become values of the contract."""

    missing: tuple[str, ...] = Field(
        default=(), description="Further texts that mean a missing value in this column, or numbers as text."
    )


class NumberCleaning(Cleaning):
    """How a number is written."""

    decimal: Literal[".", ","] = Field(default=".", description="The decimal mark of numbers that are written as text.")
    units: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        default={},
        description="Texts that may stand next to the number, each with the factor that the number is multiplied by.",
    )
    clock: bool = Field(
        default=False, description="Whether times of day, such as 18:30, are converted to hours since midnight."
    )


class TimeCleaning(Cleaning):
    """How a time is written."""

    format: str | None = Field(
        default=None,
        description="How times may also be written: in the format codes of Python's strptime, as `seconds`, "
        "`milliseconds` or `microseconds` since 1970, as `days` of a spreadsheet, or as `periods` such as 2024Q3, "
        "2024-W05 and 2023/24, each of which is its first day.",
    )


class CategoryCleaning(Cleaning):
    """How a value of a list is written."""

    case: Literal["keep", "ignore"] = Field(
        default="keep",
        description="Whether `red` and `RED` are one value; `ignore` keeps m and M, or mW and MW, apart.",
    )


class _Column(Frozen):
    description: str = Field(
        default="", description="What the column means, for people: the model card and the service's page show it."
    )
    missing: Literal["refuse", "allow"] = Field(
        default="refuse", description="Whether a value may be missing: `allow` or `refuse`."
    )


class _Feature(_Column):
    log: Literal["keep", "hash", "omit"] = Field(
        default="keep",
        description="How the prediction log holds the values: `keep` them, `hash` them, or `omit` the column.",
    )


class Number(_Feature):
    """A measured quantity; `range` is inclusive, in `unit`; `.inf` leaves a side open."""

    kind: Literal["number"] = Field(description="A measured quantity.")
    unit: str | None = Field(default=None, description="The unit of the values, for people.")
    range: tuple[Bound, Bound] | None = Field(
        default=None,
        description="Smallest and largest value allowed, both inclusive; `-.inf` or `.inf` leaves that side open.",
    )
    cleaning: NumberCleaning | None = Field(default=None, description=CLEANED)

    @model_validator(mode="after")
    def _range_is_ordered(self) -> Self:
        _check_range(self.range)
        _check_markers(self.cleaning, self.range)
        return self


class Integer(_Feature):
    """A whole number below 2**53, for instance a count; `range` is inclusive."""

    kind: Literal["integer"] = Field(description="A whole number between -(2**53 - 1) and 2**53 - 1, such as a count.")
    unit: str | None = Field(default=None, description="The unit of the values, for people.")
    range: tuple[int, int] | None = Field(
        default=None, description="Smallest and largest value allowed, both inclusive."
    )
    cleaning: NumberCleaning | None = Field(default=None, description=CLEANED)

    @model_validator(mode="after")
    def _range_is_ordered(self) -> Self:
        _check_range(self.range)
        _check_markers(self.cleaning, self.range)
        if self.range and max(map(abs, self.range)) > MAX_INTEGER:
            raise ValueError(f"range {list(self.range)}: whole numbers are exact only up to {MAX_INTEGER} (2**53 - 1)")
        return self

    @property
    def limits(self) -> tuple[int, int]:
        """The range, or that of all whole numbers that a float holds exactly."""
        return self.range or (-MAX_INTEGER, MAX_INTEGER)


class Boolean(_Feature):
    """True or false."""

    kind: Literal["boolean"] = Field(description="True or false; files and requests may say yes and no, or 1 and 0.")
    cleaning: Cleaning | None = Field(default=None, description=CLEANED)


class Category(_Feature):
    """One of a known list of values."""

    kind: Literal["category"] = Field(description="One value of a known list.")
    values: tuple[str, ...] = Field(
        min_length=1, description="The values allowed. Put values that look like numbers in quotes."
    )
    cleaning: CategoryCleaning | None = Field(default=None, description=CLEANED)

    @model_validator(mode="after")
    def _values_are_distinct(self) -> Self:
        _check_distinct(self.values)
        both = sorted({*self.values} & {*(self.cleaning.missing if self.cleaning else ())})
        if both:
            raise ValueError(f"{both[0]!r} is one of the values and also means missing")
        return self


class Text(_Feature):
    """Free text."""

    kind: Literal["text"] = Field(description="Free text.")
    max_length: int = Field(default=10_000, ge=1, description="The most characters that a value may have.")
    cleaning: Cleaning | None = Field(default=None, description=CLEANED)


class Time(_Feature):
    """A date or time in one zone; `range` is inclusive; `format` as in strptime, ISO 8601 by default."""

    kind: Literal["time"] = Field(description="A date, or a date and time.")
    range: tuple[Moment, Moment] | None = Field(
        default=None, description="Earliest and latest time allowed, both inclusive."
    )
    format: str | None = Field(
        default=None,
        description="How times are written, in the format codes of Python's strptime; ISO 8601 if not set.",
    )
    zone: str | None = Field(
        default=None,
        description="The time zone of the column, such as `UTC` or `Europe/Berlin`: a time with an offset is converted "
        "to it, and a time without one is in it. Without this key a time with an offset is refused.",
    )
    cleaning: TimeCleaning | None = Field(default=None, description=CLEANED)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        _check_range(self.range)
        if self.zone is not None:
            zone_of(self.zone)
        form = self.cleaning.format if self.cleaning else None
        if form and form not in NAMED:
            _check_format(form, zoned=self.zone is not None)
        if self.format:
            _check_format(self.format, zoned=False)
        return self


class Id(_Column):
    """Identifies a row and says nothing about the target: never a feature."""

    kind: Literal["id"] = Field(description="Identifies a row, and is never a feature.")
    counted: bool = Field(default=False, description="Whether rows are numbered from 1 if the file has no such column.")


class Ignored(_Column):
    """A column of the file that is deliberately not used."""

    kind: Literal["ignored"] = Field(description="In the file, and not used.")
    reason: str = Field(min_length=1, description="Why the column is not used.")
    identifies: Literal["number", "integer", "boolean", "category", "text", "time"] | None = Field(
        default=None,
        description=(
            "The kind that a former feature had, if it still helps to identify a row. Then the split stays as it was, "
            "and the new model can be compared with the champion."
        ),
    )


Column = Annotated[Number | Integer | Boolean | Category | Text | Time | Id | Ignored, Field(discriminator="kind")]
# How a column is cleaned that says nothing about it.
CLEANINGS = {
    **dict.fromkeys(["number", "integer"], NumberCleaning()),
    **dict.fromkeys(["boolean", "text"], Cleaning()),
    "category": CategoryCleaning(),
    "time": TimeCleaning(),
}
NO_FEATURES = ("id", "ignored")
Feature = Number | Integer | Boolean | Category | Text | Time


class Target(Frozen):
    """What is predicted: `classes` for classification, with the `positive` one for two; `range` for regression."""

    name: str = Field(description="The column to predict.")
    description: str = Field(default="", description="What the target means, for people.")
    classes: tuple[str, ...] = Field(default=(), description="Classification: all labels.")
    positive: str | None = Field(
        default=None, description="Binary classification: the label whose probability is the score."
    )
    unit: str | None = Field(default=None, description="Regression: the unit of the target, for people.")
    range: tuple[Bound, Bound] | None = Field(
        default=None, description="Regression: smallest and largest value allowed, both inclusive."
    )
    cleaning: NumberCleaning | CategoryCleaning | None = Field(default=None, description=CLEANED)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.cleaning and self.cleaning.missing:
            raise ValueError("target.cleaning has no `missing`: every row needs a target")
        _check_distinct(self.classes)
        _check_range(self.range)
        return self


class Costs(Frozen):
    """What the two errors of a binary decision cost, in the same `unit`."""

    false_positive: float = Field(gt=0, description="Cost of predicting the positive class when it is wrong.")
    false_negative: float = Field(gt=0, description="Cost of missing a positive row.")
    unit: str = Field(default="cost", description="The unit of both costs.")

    @property
    def highest(self) -> float:
        """The cost of the worse error."""
        return max(self.false_positive, self.false_negative)


class Split(Frozen):
    """How rows are assigned to train, validation and test: by a keyed hash of the row, by group, or by time."""

    by: Literal["hash", "group", "time"] = Field(
        default="hash",
        description=(
            "How rows are assigned to train, validation and test: by a `hash` of the row, by `group`, or by `time`."
        ),
    )
    column: str | None = Field(
        default=None, description="The column with the group or the time; only for `by: group` and `by: time`."
    )


class Slice(Frozen):
    """A column whose values, or intervals between `edges`, are judged separately."""

    column: str = Field(description="The column to slice by.")
    edges: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] = Field(
        default=(), description="For a number: where one slice ends and the next begins, in rising order."
    )


class CardFacts(Frozen):
    """What the model card says about the data and the use of the model."""

    source: str = Field(default="", description="Where the data comes from.")
    licence: str = Field(default="", description="The licence of the data.")
    intended_use: str = Field(default="", description="What the model is meant for, and what it is not.")
    limits: tuple[str, ...] = Field(
        default=(), description="Known limits of the data and the model, one sentence each."
    )


class Contract(Frozen):
    """The description of the data: its file, its columns, its target, and the rules that they must satisfy."""

    name: str = Field(description="The name of the project; the model card starts with it.")
    description: str = Field(default="", description="What the model predicts, in a sentence.")
    about: CardFacts = Field(
        default=CardFacts(), description="Facts for the model card: `source`, `licence`, `intended_use` and `limits`."
    )
    data: Path = Field(description="The data file, CSV or Parquet, below `data/`.")
    task: Task = Field(description="What kind of problem this is: `binary`, `multiclass` or `regression`.")
    target: Target = Field(description="The column to predict.")
    costs: Costs | None = Field(
        default=None, description="Binary only: what each kind of error costs. The costs set the decision threshold."
    )
    split: Split = Field(default=Split(), description="How rows are assigned to train, validation and test.")
    sensitive: tuple[str, ...] = Field(
        default=(), description="Columns whose groups are compared by the gate `fairness`."
    )
    slices: tuple[Slice, ...] = Field(
        default=(), description="Columns whose slices are judged separately by the gate `slices`."
    )
    clean: bool = Field(
        default=False,
        description="Whether the values of all columns are cleaned; otherwise only those of columns with `cleaning`.",
    )
    missing_markers: tuple[str, ...] = Field(
        default=("",), description="Texts in the file that mean a missing value; by default the empty cell."
    )
    columns: dict[str, Column] = Field(
        min_length=1, description="Every column of the file except the target, with its kind."
    )

    @cached_property
    def features(self) -> dict[str, Feature]:
        """The columns a model may use, in the order of the file."""
        # Selected by kind: asking pydantic for the type takes ten times as long.
        columns: dict[str, Any] = self.columns
        return {name: column for name, column in columns.items() if column.kind not in NO_FEATURES}

    @property
    def unused(self) -> list[str]:
        """The columns that the model does not use, given ids first, and the target: a request may have them."""
        ids = self.given_ids
        return [*ids, *(name for name in (*self.columns, self.target.name) if name not in (*self.features, *ids))]

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some fields changed, and with everything derived from them recomputed."""
        made = super().model_copy(update=update, deep=deep)
        made.__dict__.pop("features", None)
        return made

    @property
    def all_columns(self) -> dict[str, Column]:
        """The columns in the order of a table that was read: those of the contract, then the target."""
        return {**self.columns, self.target.name: self.target_column}

    @property
    def target_column(self) -> Number | Category:
        """The target as a column: a number for regression, else a category."""
        cleaning = self.target.cleaning
        if self.task == "regression":
            default = NumberCleaning() if self.clean else None
            numbers = cleaning if isinstance(cleaning, NumberCleaning) else default
            return Number(kind="number", unit=self.target.unit, range=self.target.range, cleaning=numbers)
        exact = CategoryCleaning() if self.clean else None
        words = cleaning if isinstance(cleaning, CategoryCleaning) else exact
        return Category(kind="category", values=self.target.classes, cleaning=words)

    @property
    def ids(self) -> list[str]:
        """The columns that identify rows."""
        return [name for name, column in self.columns.items() if isinstance(column, Id)]

    @property
    def given_ids(self) -> list[str]:
        """The columns that identify rows, and do not only number them."""
        return [name for name, column in self.columns.items() if isinstance(column, Id) and not column.counted]

    def goes_on(self, name: str) -> bool:
        """Say whether the values of a column increase over time, so that new ones lie beyond those of any data."""
        return isinstance(self.columns.get(name), Time) or (self.split.by == "time" and self.split.column == name)

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels in the order of the model's scores; for a binary task the positive one is last."""
        if self.task != "binary":
            return self.target.classes
        return tuple(sorted(self.target.classes, key=lambda label: label == self.target.positive))

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.clean:
            self._clean_all_columns()
        target = self.target
        if self.data.parts[:1] != ("data",) or ".." in self.data.parts:
            raise ValueError(f"data: {str(self.data)!r} must be in data/, the folder that DVC tracks")
        if target.name in self.columns:
            raise ValueError(f"{target.name!r} is the target and also listed under columns: remove it there")
        if not self.features:
            raise ValueError("no column is a feature: all are ids or ignored")
        wanted = NumberCleaning if self.task == "regression" else CategoryCleaning
        if target.cleaning and not isinstance(target.cleaning, wanted):
            raise ValueError("target.cleaning: `case` is for classes; `decimal`, `units` and `clock` are for a number")
        if self.task == "regression" and (target.classes or target.positive):
            raise ValueError("a regression target has neither classes nor a positive class")
        if self.task != "regression" and target.range:
            raise ValueError("a target with classes has no range")
        if self.task == "binary" and len(target.classes) != 2:
            raise ValueError(f"a binary task needs two target.classes, found {len(target.classes)}")
        if self.task == "multiclass" and len(target.classes) < 3:
            raise ValueError(f"a multiclass task needs at least three target.classes, found {len(target.classes)}")
        if self.task == "binary" and target.positive not in target.classes:
            raise ValueError(f"target.positive {target.positive!r} is not one of {list(target.classes)}")
        if self.task != "binary" and target.positive:
            raise ValueError("only a binary task has a positive class")
        if self.task != "binary" and self.costs:
            raise ValueError("costs apply only to a binary task")
        for name, values in self._lists_of_values():
            for marker in self.missing_markers:
                if marker in values:
                    raise ValueError(
                        f"{marker!r} is a value of {name!r} and also one of missing_markers; "
                        "name it under `cleaning: {missing: ...}` of the columns in which it means missing"
                    )
        for name in self.sensitive:
            self._must_have("sensitive", name)
        for part in self.slices:
            self._must_have("slices", part.column)
            if part.edges and not isinstance(self.columns[part.column], Number | Integer):
                raise ValueError(f"slices: {part.column!r} has edges but is not a number")
            if not part.edges and isinstance(self.columns[part.column], Number | Integer | Time):
                raise ValueError(f"slices: {part.column!r} needs edges, which cut it into parts")
            if list(part.edges) != sorted(set(part.edges)):
                raise ValueError(f"slices: the edges of {part.column!r} must increase")
        if (self.split.by == "hash") != (self.split.column is None):
            raise ValueError("split.column is needed for by: group and by: time, and only for them")
        if self.split.column is not None:
            self._must_have("split", self.split.column)
            column = self.columns[self.split.column]
            if self.split.by == "time" and not isinstance(column, Time | Integer | Number):
                raise ValueError(
                    f"split: {self.split.column!r} is a {column.kind}; a split by time needs a time or a number"
                )
            if isinstance(column, Ignored):
                raise ValueError(f"split: {self.split.column!r} is ignored, so it is never checked; make it an id")
            if column.missing == "allow":
                raise ValueError(
                    f"split: {self.split.column!r} may be missing, but the split needs a value in each row"
                )
        return self

    def _clean_all_columns(self) -> None:
        columns: dict[str, Any] = self.columns
        for name, column in columns.items():
            if column.kind in CLEANINGS and column.cleaning is None:
                columns[name] = column.model_copy(update={"cleaning": CLEANINGS[column.kind]})

    def _lists_of_values(self) -> list[tuple[str, tuple[str, ...]]]:
        categories = [(name, column.values) for name, column in self.columns.items() if isinstance(column, Category)]
        return [*categories, (self.target.name, self.target.classes)]

    def _must_have(self, where: str, name: str) -> None:
        if name not in self.columns:
            raise ValueError(f"{where}: there is no column {name!r}")


def load_contract(path: Path = CONTRACT) -> Contract:
    """Read the contract; raises InputError if it is missing, has unknown keys or contradicts itself."""
    return read_config(path, Contract)


def _check_range(limits: tuple[float, float] | tuple[datetime, datetime] | None) -> None:
    if limits is not None and (not limits[0] <= limits[1] or limits[0] == math.inf or limits[1] == -math.inf):  # type: ignore[operator]
        raise ValueError(f"range [{limits[0]}, {limits[1]}]: no value lies in it")


def _check_format(form: str, *, zoned: bool) -> None:
    try:
        moment = datetime.strptime(datetime(2001, 12, 31, 23, 59, 58, tzinfo=UTC).strftime(form), form)
    except ValueError:
        moment = None
    if moment is None or (moment.tzinfo is not None and not zoned):
        without = "" if zoned else " without a zone"
        raise ValueError(f"format {form!r} is not a strptime format{without}")


def _check_markers(cleaning: NumberCleaning | None, limits: tuple[float, float] | None) -> None:
    """Refuse a number that means missing and lies in the range: it would be a value as well."""
    low, high = limits or (-math.inf, math.inf)
    for marker in cleaning.missing if cleaning else ():
        number = as_number(marker)
        if number is not None and math.isfinite(number) and low <= number <= high:
            raise ValueError(f"{marker} means missing, but lies in the range: narrow the range, or set one")


def as_number(text: str) -> float | None:
    """Return the number that a text is, in the notation of Python; None for other texts."""
    try:
        # Python also accepts 1_000 and the digits of every script; other readers of a file do not.
        return float(text) if text.isascii() and "_" not in text else None
    except ValueError:
        return None


def zone_of(name: str) -> tzinfo:
    """Return a time zone by its name; raises ValueError for an unknown one."""
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ValueError(f"zone {name!r}: there is no such time zone") from None


def _check_distinct(values: tuple[str, ...]) -> None:
    twice = sorted(value for value, count in Counter(values).items() if count > 1)
    if twice:
        raise ValueError(f"{twice[0]!r} occurs twice in the list")
