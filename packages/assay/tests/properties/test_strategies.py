import math
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from assay.contract import rules
from assay.data.check import check
from assay.data.reading import typed
from assay.properties.strategies import as_table, breaches, broken_rows, rows, tables
from examples import TASKS, beside, contract, faults, row, small
from fewer import fewer

WHOLE_COLUMN = {rules.ALL_MISSING, rules.ONE_CLASS}
NUMBER = {"kind": "number"}


@pytest.mark.parametrize("task", TASKS)
def test_rows_keep_to_the_contract(task: str) -> None:
    made = contract(task)

    @given(rows(made))
    def holds(drawn: dict[str, Any]) -> None:
        assert drawn.keys() == made.all_columns.keys()
        assert faults(beside(drawn, task), made) == []

    holds()


@pytest.mark.parametrize("task", TASKS)
def test_broken_rows_break_the_one_rule_they_name(task: str) -> None:
    made = contract(task)

    @fewer(2)
    @given(broken_rows(made))
    def holds(broken: tuple[dict[str, Any], str, str]) -> None:
        drawn, column, rule = broken
        found = faults(beside(drawn, task), made)
        assert [(fault.column, fault.rule, fault.count, fault.row) for fault in found] == [(column, rule, 1, 1)]

    holds()


@pytest.mark.parametrize("task", TASKS)
def test_every_rule_of_every_column_is_broken_by_some_value(task: str) -> None:
    made = contract(task)

    # In each of them every rule is broken once.
    @fewer(15)
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        for name, rule, values in breaches(made):
            found = faults(beside(row(task) | {name: data.draw(values)}, task), made)
            assert [(fault.column, fault.rule) for fault in found] == [(name, rule)]

    holds()


def test_no_rule_is_forgotten() -> None:
    of = {name: {rule for column, rule, _ in breaches(contract()) if column == name} for name in contract().columns}
    bounds = (0.0, 0.4)
    assert of["income-per-year"] == {
        rules.MISSING,
        rules.NOT_FINITE,
        "not a number",
        rules.below(bounds),
        rules.above(bounds),
    }
    assert of["floor"] == {rules.MISSING, rules.NOT_FINITE, "not a number", "below the range [0.0, inf]"}
    assert of["count"] == {
        "not a whole number",
        "below the range [-9007199254740991, 9007199254740991]",
        "above the range [-9007199254740991, 9007199254740991]",
    }
    assert of["maybe"] == {"not true or false"}
    assert of["c0"] == {rules.MISSING, 'not one of red, green, très bleu, "oui"'}
    assert of["note"] == {rules.MISSING, "longer than 50 characters"}
    assert of["ever"] == {rules.MISSING, "not a time"}
    assert len(of["seen"]) == 4
    assert of["patient"] == {rules.MISSING}
    assert of["scribble"] == set()


@pytest.mark.parametrize("wanted", [-2.0, 3.0, math.nextafter(3.0, 0), 5e-324, -5e-324])
def test_numbers_reach_the_extremes_of_their_range(wanted: float) -> None:
    made = small({"x": NUMBER | {"range": [-2, 3]}})
    find(rows(made), lambda drawn: drawn["x"] == wanted, settings=settings(max_examples=2000, database=None))


def test_numbers_may_be_a_negative_zero() -> None:
    made = small({"x": NUMBER | {"range": [0, 1]}})
    found = find(
        rows(made),
        lambda drawn: drawn["x"] == 0 and math.copysign(1, drawn["x"]) < 0,
        settings=settings(max_examples=2000, database=None, phases=(Phase.generate,)),
    )
    assert math.copysign(1, found["x"]) == -1


@pytest.mark.parametrize(
    "column",
    [
        NUMBER | {"range": [5, 5]},
        NUMBER | {"range": [-1.7976931348623157e308, 1.7976931348623157e308]},
        NUMBER | {"range": [-float("inf"), 0]},
        {"kind": "integer", "range": [7, 7]},
        {"kind": "time", "range": ["2020-01-01", "2020-01-01"]},
        {"kind": "time", "format": "%y%m%d"},
        {"kind": "time", "format": "%H:%M"},
        {"kind": "text", "max_length": 1},
        {"kind": "text"},
    ],
    ids=str,
)
def test_a_narrow_or_wide_column_has_values_on_both_sides(column: dict[str, Any]) -> None:
    made = small({"x": column, "y": NUMBER})

    @settings(max_examples=10)
    @given(rows(made), broken_rows(made))
    def holds(good: dict[str, Any], broken: tuple[dict[str, Any], str, str]) -> None:
        around = [good | {"sick": label} for label in ("no", "yes")]
        assert faults(around, made) == []
        found = faults([*around, broken[0]], made)
        assert [(fault.column, fault.rule) for fault in found] == [broken[1:]]

    holds()


@given(st.data())
def test_missing_is_never_spelt_out(data: st.DataObject) -> None:
    made = contract(missing_markers=["", "a", "x", "abc", "maybe"])
    drawn = data.draw(rows(made))
    assert not any(value in made.missing_markers for value in drawn.values() if isinstance(value, str))
    broken, column, rule = data.draw(broken_rows(made))
    assert [(fault.column, fault.rule) for fault in faults(beside(broken, "binary"), made)] == [(column, rule)]


@given(tables(contract(), max_rows=5))
def test_tables_break_no_rule_about_single_values(table: pa.Table) -> None:
    made = contract()
    read, violations = typed(table, made)
    assert {fault.rule for fault in violations + check(read, made)} <= WHOLE_COLUMN
    assert read.equals(table)


def test_a_table_with_a_cell_of_another_type_is_as_a_file_holds_it() -> None:
    made = small({"x": NUMBER, "t": {"kind": "time", "format": "%d/%m/%Y"}})
    whole = {"x": 1.5, "t": datetime(2020, 12, 31), "sick": "no"}
    table = as_table([whole, whole | {"x": "abc", "t": "soon"}, whole | {"x": None}], made)
    assert table.to_pydict() == {
        "x": ["1.5", "abc", None],
        "t": ["31/12/2020", "soon", "31/12/2020"],
        "sick": ["no"] * 3,
    }
