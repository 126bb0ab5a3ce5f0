from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.contract import rules
from assay.data.check import check
from assay.data.reading import typed
from assay.data.violations import Violation
from assay.properties.strategies import broken_rows, tables
from examples import TASKS, beside, contract, faults, row, small
from fewer import fewer

NUMBER = {"kind": "number", "range": [0, 10]}


def found(columns: dict[str, dict[str, Any]], task: str = "regression", **cells: list[Any]) -> list[Violation]:
    """Return what checking says of a table with these cells; the target is good unless given."""
    size = len(next(iter(cells.values())))
    made = small(columns, task)
    table, violations = typed(pa.table({"sick": [1.0] * size} | cells), made)
    assert violations == []
    return check(table, made)


def test_a_table_without_rows_is_one_violation() -> None:
    table, _ = typed(
        pa.table({"x": pa.array([], pa.float64()), "sick": pa.array([], pa.string())}), small({"x": NUMBER})
    )
    assert [str(one) for one in check(table, small({"x": NUMBER}))] == [
        "column 'sick': no rows: the table is empty; 0 rows"
    ]


def test_the_ends_of_a_range_belong_to_it() -> None:
    assert found({"x": NUMBER}, x=[0.0, -0.0, 10.0]) == []


def test_values_outside_a_range_are_counted_on_each_side() -> None:
    assert found({"x": NUMBER}, x=[5.0, -1.0, 10.5, -2.0, -3.0, -4.0]) == [
        Violation("x", "below the range [0.0, 10.0]", 4, ("-1.0", "-2.0", "-3.0"), 1),
        Violation("x", "above the range [0.0, 10.0]", 1, ("10.5",), 2),
    ]


def test_an_infinite_value_is_not_finite_and_nothing_else() -> None:
    inf = float("inf")
    assert found({"x": NUMBER}, x=[inf, 1.0, -inf]) == [Violation("x", rules.NOT_FINITE, 2, ("inf", "-inf"), 0)]
    assert found({"x": NUMBER}, x=[inf, 11.0]) == [
        Violation("x", rules.NOT_FINITE, 1, ("inf",), 0),
        Violation("x", "above the range [0.0, 10.0]", 1, ("11.0",), 1),
    ]
    assert found({"x": {"kind": "number"}}, x=[1.0, inf]) == [Violation("x", rules.NOT_FINITE, 1, ("inf",), 1)]
    assert found({"x": NUMBER}, x=[inf, inf])[0].count == 2


def test_whole_numbers_that_a_float_cannot_hold_are_out_of_range() -> None:
    assert found({"x": {"kind": "integer"}}, x=[2**53 - 1, -(2**53) + 1]) == []
    assert [one.examples for one in found({"x": {"kind": "integer"}}, x=[2**53, -(2**53), 1])] == [
        ("-9007199254740992",),
        ("9007199254740992",),
    ]


def test_a_category_has_to_be_spelt_exactly() -> None:
    column = {"kind": "category", "values": ["a", "b"], "missing": "allow"}
    assert found({"x": column}, x=["a", "A", None, "b "]) == [Violation("x", "not one of a, b", 2, ("A", "b "), 1)]


def test_a_long_list_of_categories_is_cut_short() -> None:
    column = {"kind": "category", "values": [str(number) for number in range(12)]}
    assert found({"x": column}, x=["z"])[0].rule == "not one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"


def test_the_length_of_a_text_is_counted_in_characters() -> None:
    column = {"kind": "text", "max_length": 2, "missing": "allow"}
    assert found({"x": column}, x=["éé", "🐄🐄", None]) == []
    assert found({"x": column}, x=["abc", "ab"]) == [Violation("x", "longer than 2 characters", 1, ("abc",), 0)]


def test_a_long_example_is_cut_short() -> None:
    assert found({"x": {"kind": "text", "max_length": 70}}, x=["y" * 100])[0].examples == ("y" * 60,)


def test_the_target_is_held_to_its_classes() -> None:
    assert found({"x": NUMBER}, "binary", x=[1.0, 1.0, 1.0], sick=["no", "yes", "perhaps"]) == [
        Violation("sick", "not one of no, yes", 1, ("perhaps",), 2)
    ]


def test_the_target_is_held_to_its_range() -> None:
    assert [one.rule for one in found({"x": NUMBER}, x=[1.0] * 3, sick=[-1.0, 101.0, float("inf")])] == [
        rules.NOT_FINITE,
        "below the range [0.0, 100.0]",
        "above the range [0.0, 100.0]",
    ]


def test_one_class_only_is_a_violation() -> None:
    assert found({"x": NUMBER}, "binary", x=[1.0, 2.0], sick=["no", "no"]) == [
        Violation("sick", rules.ONE_CLASS, 2, ("no",))
    ]


def test_an_ignored_column_breaks_no_rule() -> None:
    columns = {"x": NUMBER, "z": {"kind": "ignored", "reason": "odd"}}
    assert found(columns, x=[1.0, 2.0], z=["y" * 20_000, None]) == []


def test_columns_that_are_not_there_are_left_to_reading() -> None:
    made = small({"x": NUMBER, "y": NUMBER})
    table, _ = typed(pa.table({"x": [11.0]}), made)
    assert [one.column for one in check(table, made)] == ["x"]


@pytest.mark.parametrize("task", TASKS)
def test_all_violations_are_found_at_once_with_their_counts(task: str) -> None:
    made = contract(task)

    @fewer(3)
    @given(st.lists(broken_rows(made), min_size=1, max_size=6))
    def holds(broken: list[tuple[dict[str, Any], str, str]]) -> None:
        counts: dict[tuple[str, str], int] = {}
        first: dict[tuple[str, str], int] = {}
        for number, (_, column, rule) in enumerate(broken, start=1):
            counts[column, rule] = counts.get((column, rule), 0) + 1
            first.setdefault((column, rule), number)
        good = beside(row(task), task)
        found = faults([good[0], *(one for one, _, _ in broken), good[2]], made)
        assert {(one.column, one.rule): one.count for one in found} == counts
        assert {(one.column, one.rule): one.row for one in found} == first
        assert len(found) == len(counts)
        assert all(len(one.examples) == min(one.count, 3) or one.rule == rules.MISSING for one in found)

    holds()


@given(tables(contract(), max_rows=6), st.randoms())
def test_the_order_of_rows_does_not_matter(table: pa.Table, random: Any) -> None:
    made = contract(
        columns={"income-per-year": NUMBER | {"range": [0, 0.1]}, "note": {"kind": "text", "max_length": 3}}
    )
    order = list(range(table.num_rows))
    random.shuffle(order)
    some = table.select(["income-per-year", "note", "sick"])
    told = [{(one.column, one.rule, one.count) for one in check(rows, made)} for rows in (some, some.take(order))]
    assert told[0] == told[1]


def test_a_violation_is_one_line() -> None:
    assert (
        str(Violation("x", "not finite", 2, ("inf", "-inf"), 5)) == "column 'x' (row 5): not finite: inf, -inf; 2 rows"
    )
    assert "\n" not in str(found({"x": {"kind": "text", "max_length": 1}}, x=["a\nb\r\n\u2028"])[0])
