"""The wording of the contract's rules, shared by the data checks, the service and the tests."""

import math
from datetime import datetime

from assay.contract.dates import EPOCHS
from assay.contract.spec import Boolean, Category, Column, Integer, Number, Text, Time

NO_ROWS = "no rows"
MISSING_COLUMN = "missing column"
UNKNOWN_COLUMN = "unknown column"
ALL_MISSING = "all values are missing"
MISSING = "missing value"
NOT_FINITE = "not finite"
ONE_CLASS = "one class only"

Limits = tuple[float, float] | tuple[datetime, datetime]


def limits(column: Column) -> Limits | None:
    """Return the lowest and highest value that a column allows, or None if it has no limits."""
    match column:
        case Integer():
            return column.limits
        case Number() | Time():
            return column.range
        case _:
            return None


def wrong_type(column: Column) -> str:
    """Return the rule that a cell of the wrong type breaks."""
    return f"not {_noun(column)}"


def below(bounds: Limits) -> str:
    """Return the rule that a value below the range breaks."""
    return f"below the range [{bounds[0]}, {bounds[1]}]"


def above(bounds: Limits) -> str:
    """Return the rule that a value above the range breaks."""
    return f"above the range [{bounds[0]}, {bounds[1]}]"


def unknown_value(values: tuple[str, ...]) -> str:
    """Return the rule that a value outside the list breaks."""
    return f"not one of {_listed(values)}"


def too_long(column: Text) -> str:
    """Return the rule that a text over the maximum length breaks."""
    return f"longer than {column.max_length} characters"


def expected(column: Column) -> str:
    """Return what a value of the column must be, as the end of "expected ..."."""
    match column:
        case Category():
            wanted = f"one of {_listed(column.values)}"
        case Text():
            wanted = f"text of at most {column.max_length} characters"
        case Time():
            wanted = f"a time {_written(column)}{_between(column.range)}"
        case Number() | Integer():
            comma = column.cleaning is not None and column.cleaning.decimal == ","
            wanted = f"{_noun(column)}{_between(limits(column))}{', in text with a decimal comma' if comma else ''}"
        case _:
            wanted = _noun(column)
    return wanted + (" or null" if column.missing == "allow" else "")


def _written(column: Time) -> str:
    """Return how a time of the column is written, and in which zone."""
    form = f"as {column.format}" if column.format else "in ISO 8601"
    also = column.cleaning.format if column.cleaning else None
    start = f"{EPOCHS[also][0]:%Y-%m-%d}".removesuffix("-01-01") if also in EPOCHS else ""
    other = "" if also is None else f" or in {also} since {start}" if start else f" or as {also}"
    if column.zone is None:
        return f"{form}{other}{'' if column.format else ' without a zone'}"
    return f"{form}{other}, in {column.zone} unless it has an offset"


def _noun(column: Column) -> str:
    match column:
        case Number():
            return "a number"
        case Integer():
            return "a whole number"
        case Boolean():
            return "true or false"
        case Time():
            return "a time"
        case _:
            return "text"


def _between(bounds: Limits | None) -> str:
    if bounds is None or bounds == (-math.inf, math.inf):
        return ""
    if bounds[1] == math.inf:
        return f" of at least {_short(bounds[0])}"
    if bounds[0] == -math.inf:
        return f" of at most {_short(bounds[1])}"
    return f" between {_short(bounds[0])} and {_short(bounds[1])}"


def _short(value: float | datetime) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value).removesuffix(".0")


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(values[:10]) + (f" and {len(values) - 10} more" if len(values) > 10 else "")
