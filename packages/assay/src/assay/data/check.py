"""Checking a table against the contract: all violations, not only the first."""

from collections.abc import Iterator, Sequence
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from assay.base.outcomes import Outcome
from assay.contract import rules
from assay.contract.spec import CONTRACT, Category, Column, Contract, Ignored, Number, Text
from assay.data.stored import Rows, by_column
from assay.data.violations import Violation, violation

SHOWN = 50


def check(table: Rows, contract: Contract) -> list[Violation]:
    """Return the violations among the values of a table that `assay.data.reading` made.

    The rules are: no rows, not finite, out of range, unknown category, too long, and for the target of a
    classification one class only. Cells that are missing or of the wrong type are null in the table: `reading` reports
    them, so they are not reported again here. Takes one pass over each column.
    """
    if table.num_rows == 0:
        return [violation(contract.target.name, rules.NO_ROWS, 0, ["the table is empty"])]
    names = [
        name
        for name, column in contract.all_columns.items()
        if name in table.column_names and not isinstance(column, Ignored)
    ]
    of_columns = by_column(partial(check_named, contract), table, names)
    found = [problem for of_column in of_columns.values() for problem in of_column]
    if contract.task != "regression" and contract.target.name in table.column_names:
        labels = table[contract.target.name]
        present = pc.drop_null(labels.unique()).to_pylist()
        if len(present) == 1:
            found.append(violation(contract.target.name, rules.ONE_CLASS, len(labels), present))
    return found


def contract_outcome(table: Rows, violations: Sequence[Violation], contract: Contract) -> Outcome:
    """Return the outcome of the contract check, from the violations of a table."""
    rows = {"rows": table.num_rows, "violations": [str(found) for found in violations[:SHOWN]]}
    if not violations:
        return Outcome("contract", "PROMOTE", f"{table.num_rows} rows satisfy {CONTRACT}", rows)
    more = f" (and {len(violations) - 1} more; `assay check` lists all)" if len(violations) > 1 else ""
    return Outcome("contract", "REJECT", f"{contract.data} breaks {CONTRACT}: {violations[0]}{more}", rows)


def check_named(contract: Contract, table: Rows, name: str) -> list[Violation]:
    """Return the violations of the values of a column."""
    return list(_check_column(name, table[name], contract.all_columns[name]))


def _check_column(name: str, values: pa.ChunkedArray, column: Column) -> Iterator[Violation]:
    match column:
        case Category():
            known = pc.is_in(values, pa.array(column.values, pa.string()))
            unknown = pc.and_(pc.invert(known), pc.is_valid(values))
            yield from _where(name, rules.unknown_value(column.values), unknown, values)
        case Text():
            too_long = pc.greater(pc.utf8_length(values), column.max_length)
            yield from _where(name, rules.too_long(column), too_long, values)
        case _:
            yield from _check_limits(name, values, column)


def _check_limits(name: str, values: pa.ChunkedArray, column: Column) -> Iterator[Violation]:
    limits = rules.limits(column)
    if limits is None and not isinstance(column, Number):
        return
    # Minimum and maximum are cheap, and nearly always show that nothing is out of range.
    extremes = pc.min_max(values).as_py()
    if extremes["min"] is None:
        return
    if isinstance(column, Number) and (abs(extremes["min"]) == float("inf") or abs(extremes["max"]) == float("inf")):
        yield from _where(name, rules.NOT_FINITE, pc.is_inf(values), values)
        values = pc.if_else(pc.is_inf(values), None, values)
        extremes = pc.min_max(values).as_py()
    if limits is None or extremes["min"] is None:
        return
    if extremes["min"] < limits[0]:
        yield from _where(name, rules.below(limits), pc.less(values, limits[0]), values)
    if extremes["max"] > limits[1]:
        yield from _where(name, rules.above(limits), pc.greater(values, limits[1]), values)


def _where(name: str, rule: str, bad: pa.ChunkedArray, values: pa.ChunkedArray) -> Iterator[Violation]:
    count = pc.sum(bad).as_py()
    if count:
        yield violation(name, rule, count, values.filter(bad).slice(0, 3).to_pylist(), pc.index(bad, True).as_py())
