"""Holding a table to the contract: every violation, not the first."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from assay.contract.spec import Category, Column, Contract, Ignored, Integer, Number, Text, Time
from assay.data.violations import Violation, violation


def check(table: pa.Table, contract: Contract) -> list[Violation]:
    """Return all violations of the contract in a table that `assay.data.reading` made.

    The rules are: no rows, missing value, all missing, not finite, out of range, unknown category, too long, and for
    the target of a classification one class only. Costs one pass over each column.
    """
    if table.num_rows == 0:
        return [violation(contract.target.name, "no rows", 0, ["the table is empty"])]
    found = [
        problem
        for name, column in contract.columns.items()
        if name in table.column_names and not isinstance(column, Ignored)
        for problem in _check_column(name, table[name], column)
    ]
    if contract.target.name in table.column_names:
        found += _check_target(table[contract.target.name], contract)
    return found


def _check_column(name: str, values: pa.ChunkedArray, column: Column) -> Iterator[Violation]:
    if values.null_count == len(values):
        yield violation(name, "all values are missing", len(values), ["no value"])
        return
    if column.missing == "refuse" and values.null_count:
        yield from _where(name, "missing value", pc.is_null(values), values)
    match column:
        case Number() | Integer():
            if isinstance(column, Number):
                yield from _where(name, "not finite", pc.is_inf(values), values)
            yield from _outside(name, values, column.range)
        case Time():
            yield from _outside(name, values, column.range)
        case Category():
            known = pc.is_in(values, pa.array(column.values, pa.string()), skip_nulls=True)
            unknown = pc.and_(pc.invert(known), pc.is_valid(values))
            yield from _where(name, f"not one of {_listed(column.values)}", unknown, values)
        case Text():
            too_long = pc.greater(pc.utf8_length(values), column.max_length)
            yield from _where(name, f"longer than {column.max_length} characters", too_long, values)


def _check_target(values: pa.ChunkedArray, contract: Contract) -> Iterator[Violation]:
    target = contract.target
    if values.null_count:
        yield from _where(target.name, "missing value", pc.is_null(values), values)
    if contract.task == "regression":
        yield from _where(target.name, "not finite", pc.is_inf(values), values)
        yield from _outside(target.name, values, target.range)
        return
    known = pc.is_in(values, pa.array(target.classes, pa.string()), skip_nulls=True)
    unknown = pc.and_(pc.invert(known), pc.is_valid(values))
    yield from _where(target.name, f"not one of {_listed(target.classes)}", unknown, values)
    present = pc.drop_null(values.unique())
    if len(present) < 2:
        yield violation(target.name, "one class only", len(values), present.to_pylist())


def _outside(name: str, values: pa.ChunkedArray, limits: tuple[object, object] | None) -> Iterator[Violation]:
    if limits is None:
        return
    low, high = limits
    extremes = pc.min_max(values).as_py()
    # The minimum and maximum are cheap, and nearly always say that there is nothing to look for.
    if extremes["min"] < low:
        yield from _where(name, f"below the range [{low}, {high}]", pc.less(values, low), values)
    if extremes["max"] > high:
        yield from _where(name, f"above the range [{low}, {high}]", pc.greater(values, high), values)


def _where(name: str, rule: str, bad: pa.ChunkedArray, values: pa.ChunkedArray) -> Iterator[Violation]:
    count = pc.sum(bad).as_py()
    if count:
        examples = ["" if value is None else value for value in values.filter(bad).slice(0, 3).to_pylist()]
        yield violation(name, rule, count, examples, pc.index(bad, True).as_py())


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(values[:10]) + (f" and {len(values) - 10} more" if len(values) > 10 else "")
