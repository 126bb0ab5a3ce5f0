"""Hypothesis strategies from the contract: valid rows, and rows that break exactly one rule."""

import json
import math
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from assay.contract import cleaning, rules
from assay.contract.spec import Boolean, Category, Column, Contract, Ignored, Integer, Number, Text, Time, parse_time
from assay.data.reading import arrow_type

Row = dict[str, Any]
SMALLEST, LARGEST = 5e-324, sys.float_info.max


def rows(contract: Contract) -> st.SearchStrategy[Row]:
    """Return valid rows: a Python value for each column and the target, None if missing."""
    return st.fixed_dictionaries(
        {name: cells(column, contract.missing_markers) for name, column in contract.all_columns.items()}
    )


def feature_rows(contract: Contract) -> st.SearchStrategy[Row]:
    """Return valid rows of only the features."""
    return together(feature_cells(contract))


def feature_cells(contract: Contract) -> dict[str, st.SearchStrategy[Any]]:
    """Return a strategy for each feature of the values that the contract allows."""
    return {name: cells(column, contract.missing_markers) for name, column in contract.features.items()}


def together(drawn: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Row]:
    """Return rows made of the strategies of their columns."""
    # Half as expensive as fixed_dictionaries, which draws the values in a different order each time.
    return st.tuples(*drawn.values()).map(lambda values: dict(zip(drawn, values, strict=True)))


def broken_rows(contract: Contract) -> st.SearchStrategy[tuple[Row, str, str]]:
    """Return rows with exactly one violation, each with the column and the rule of `assay.contract.rules` it breaks.

    All rules about single values that apply to the contract are drawn equally often. A cell of the wrong type is a
    text.
    """
    return st.sampled_from(breaches(contract)).flatmap(
        lambda breach: st.tuples(rows(contract), breach[2]).map(
            lambda drawn: ({**drawn[0], breach[0]: drawn[1]}, breach[0], breach[1])
        )
    )


def tables(contract: Contract, min_rows: int = 1, max_rows: int = 20) -> st.SearchStrategy[pa.Table]:
    """Return tables of valid rows; rules about whole columns may be broken."""
    return st.lists(rows(contract), min_size=min_rows, max_size=max_rows).map(lambda made: as_table(made, contract))


def as_table(made: Sequence[Mapping[str, Any]], contract: Contract) -> pa.Table:
    """Return rows as a table as if read from a file: typed, or text for a column with cells of the wrong type."""
    return pa.table(
        {name: _as_array([row[name] for row in made], column) for name, column in contract.all_columns.items()}
    )


def cells(column: Column, markers: Sequence[str]) -> st.SearchStrategy[Any]:
    """Return values that a column allows; a missing value is None, never one of `markers`."""
    kept = _kept(column, cleaning.markers_of(column, markers))
    may_be_missing = column.missing == "allow" or isinstance(column, Ignored)
    return st.none() | kept if may_be_missing else kept


def breaches(contract: Contract) -> list[tuple[str, str, st.SearchStrategy[Any]]]:
    """Return each rule about single values that a row can break: the column, the rule, and values that break it."""
    return [
        (name, rule, values)
        for name, column in contract.all_columns.items()
        if not isinstance(column, Ignored)
        for rule, values in _broken(column, cleaning.markers_of(column, contract.missing_markers)).items()
    ]


def _kept(column: Column, markers: Collection[str]) -> st.SearchStrategy[Any]:
    match column:
        case Number():
            return _numbers(*(column.range or (-math.inf, math.inf)))
        case Integer():
            low, high = column.limits
            return st.integers(low, high) | st.sampled_from([low, high])
        case Boolean():
            return st.booleans()
        case Category():
            return st.sampled_from(column.values)
        case Text():
            return _texts(markers, max_size=column.max_length)
        case Time():
            return _times(column)
        case _:
            return _texts(markers, max_size=20)


def _broken(column: Column, markers: Collection[str]) -> dict[str, st.SearchStrategy[Any]]:
    """Return the rules that a cell of the column can break, and values that break each."""
    made: dict[str, st.SearchStrategy[Any]] = {}
    if column.missing == "refuse":
        made[rules.MISSING] = st.none()
    match column:
        case Number():
            made[rules.NOT_FINITE] = st.sampled_from([math.inf, -math.inf])
            made[rules.wrong_type(column)] = _neither(
                column, "abc", "1_000", "1,5", "0x1F", "--1", "1 2", markers=markers
            )
            if column.range and column.range[0] > -LARGEST:
                made[rules.below(column.range)] = _floats(-math.inf, math.nextafter(column.range[0], -math.inf))
            if column.range and column.range[1] < LARGEST:
                made[rules.above(column.range)] = _floats(math.nextafter(column.range[1], math.inf), math.inf)
        case Integer():
            low, high = column.limits
            made[rules.wrong_type(column)] = _neither(column, "abc", "1.5", "1e400", "inf", markers=markers)
            made[rules.below((low, high))] = st.just(low - 1) | st.integers(-(2**63), low - 1)
            made[rules.above((low, high))] = st.just(high + 1) | st.integers(high + 1, 2**63 - 1)
        case Boolean():
            made[rules.wrong_type(column)] = _neither(column, "maybe", "2", "truth", "-1", markers=markers)
        case Category():
            known, read = frozenset(column.values), cleaning.reader(column)
            near = st.sampled_from([value + end for value in column.values for end in (" ", "?")])
            made[rules.unknown_value(column.values)] = (near | _texts(markers, max_size=10)).filter(
                lambda text: not {text, text.strip(), read(text)} & {*known, *markers}
            )
        case Text():
            size = column.max_length + 1
            made[rules.too_long(column)] = _texts(markers, min_size=size, max_size=size + 10)
        case Time():
            zoned = "2020-01-01T00:00:00+01:00"
            made[rules.wrong_type(column)] = _neither(
                column, "yesterday", zoned, "2020-13-01", "31 02", markers=markers
            )
            if column.range:
                made |= _outside_times(column)
    return made


def _numbers(low: float, high: float) -> st.SearchStrategy[float]:
    """Return finite floats in a range, including its ends, their neighbours, both zeros and the smallest numbers."""
    ends = [low, high, math.nextafter(low, math.inf), math.nextafter(high, -math.inf)]
    special = [one for one in (*ends, 0.0, -0.0, SMALLEST, -SMALLEST) if math.isfinite(one) and low <= one <= high]
    drawn = _floats(low, high)
    # Failures shrink towards the first of the two, where small numbers are the simplest.
    return drawn | st.sampled_from(special) if special else drawn


def _floats(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(
        None if low == -math.inf else low, None if high == math.inf else high, allow_nan=False, allow_infinity=False
    )


def _texts(markers: Collection[str], *, min_size: int = 0, max_size: int) -> st.SearchStrategy[str]:
    """Return texts that UTF-8 can encode and that do not mean missing."""
    # Long texts are padded short ones: Hypothesis draws each character, and refuses to draw thousands.
    drawn = st.text(st.characters(codec="utf-8"), max_size=min(max_size, 40))
    stretched = drawn.map(lambda text: text.ljust(max_size, "x"))
    fitting = drawn.map(lambda text: text.ljust(min_size, "x"))
    return (fitting | stretched).filter(lambda text: text not in markers)


def _times(column: Time) -> st.SearchStrategy[datetime]:
    """Return times in the range of a column, in the precision of its format."""
    low, high = column.range or (datetime.min, datetime.max)
    rewrite = _rewritten(column)
    drawn: st.SearchStrategy[Any] = (st.datetimes(low, high) | st.sampled_from([low, high])).map(rewrite)
    return drawn.filter(lambda moment: moment is not None and low <= moment <= high)


def _outside_times(column: Time) -> dict[str, st.SearchStrategy[Any]]:
    low, high = column.range or (datetime.min, datetime.max)
    rewritten = _rewritten(column)
    earlier = st.datetimes(max_value=low).map(rewritten).filter(lambda moment: moment is not None and moment < low)
    later = st.datetimes(min_value=high).map(rewritten).filter(lambda moment: moment is not None and moment > high)
    made: dict[str, st.SearchStrategy[Any]] = {}
    if low > datetime.min:
        made[rules.below((low, high))] = earlier
    if high < datetime.max:
        made[rules.above((low, high))] = later
    return made


def _rewritten(column: Time) -> Callable[[datetime], datetime | None]:
    """Return a function that writes a time in the format of a column and reads it again."""

    def rewrite(moment: datetime) -> datetime | None:
        if not column.format:
            return moment
        try:
            return parse_time(moment.strftime(column.format), column.format)
        except ValueError:
            return None

    return rewrite


def _neither(column: Column, *texts: str, markers: Collection[str]) -> st.SearchStrategy[str]:
    """Return those of some texts that have no value in the column."""
    read = cleaning.from_texts(texts, cleaning.reader(column))
    return st.sampled_from(
        [text for text, value in zip(texts, read, strict=True) if value is None and text not in markers]
    )


def _as_array(values: list[Any], column: Column) -> pa.Array:
    try:
        return pa.array(values, arrow_type(column))
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else _as_text(value, column) for value in values], pa.string())


def _as_text(value: Any, column: Column) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.strftime(column.format) if isinstance(column, Time) and column.format else value.isoformat()
    return json.dumps(value)
