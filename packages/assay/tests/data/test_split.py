from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.data.reading import typed
from assay.data.split import SIDES, assign, identity_columns, row_keys
from assay.project.params import Prepare
from assay.properties.strategies import as_table, rows, tables
from examples import contract, row, small
from fewer import fewer

SHARES = Prepare(test=0.25, validation=0.15, salt="assay")
EVEN = Prepare(test=0.4, validation=0.3, salt="assay")
NUMBER, INTEGER = {"kind": "number"}, {"kind": "integer"}
X = small({"x": NUMBER})
WARD = contract()
BY_CONTENT = contract(columns={name: column.model_dump(mode="json") for name, column in WARD.features.items()})
GROUPED = contract(split={"by": "group", "column": "c0"})
TIMED = small({"day": INTEGER, "x": NUMBER}, split={"by": "time", "column": "day"})

GOLDEN: dict[str, list[int]] = {
    "n": [1873221891528045004, 13920649706510884980, 11585898170499073861, 918768707303762829],
    "i": [11179647299782760904, 13166875293602310006, 16849198451738739229, 17818913843354268240],
    "b": [14466007877996488969, 5746235703410489861, 5746235703410489861, 18044117548766105521],
    "s": [9800623647741481751, 15718238276852797049, 513455540691783968, 9936531091052793351],
    "t": [6521823187141027659, 18266115717880712355, 8953191397468624968, 16802242048291036392],
}
GOLDEN_ROWS = [6519106268134609459, 828123964555183521, 11107252619722349791, 14416814077475674916]
GOLDEN_PEPPER = [15958703240466492695, 12366165416367851525, 11746372597097863710, 13591813070423601911]
GOLDEN_SIDES = "222112100112002201021200"


def keys(**columns: Any) -> list[int]:
    """Return the keys of a table's rows, from all its columns."""
    return row_keys(pa.table(columns), list(columns), "assay").tolist()


def timed(days: Sequence[int]) -> pa.Table:
    return pa.table({"day": pa.array(days, pa.int64()), "x": [0.0] * len(days), "sick": ["no"] * len(days)})


def test_the_key_of_a_row_never_changes() -> None:
    # Other keys would move rows between train and test: what a champion learnt from would become its test.
    table = pa.table(
        {
            "n": pa.array([0.0, 1.5, -2.25e300, None], pa.float64()),
            "i": pa.array([0, 1, -(2**53) + 1, None], pa.int64()),
            "b": pa.array([False, True, True, None]),
            "s": pa.array(["", "a", "très 🐄", None]),
            "t": pa.array(
                [datetime(1970, 1, 1), datetime(2020, 2, 3, 4, 5, 6, 7), datetime.max, None], pa.timestamp("us")
            ),
        }
    )
    assert {name: row_keys(table, [name], "assay").tolist() for name in table.column_names} == GOLDEN
    assert row_keys(table, table.column_names, "assay").tolist() == GOLDEN_ROWS
    assert row_keys(table, table.column_names, "pepper").tolist() == GOLDEN_PEPPER


def test_the_sides_never_change() -> None:
    table = pa.table({"x": [number / 8 for number in range(24)], "sick": ["no"] * 24})
    assert "".join(str(side) for side in assign(table, X, EVEN)) == GOLDEN_SIDES


def test_equal_numbers_are_one_number_however_they_are_written() -> None:
    whole = keys(x=pa.array([0, 1, 7], pa.int64()))
    assert keys(x=[0.0, 1.0, 7.0]) == keys(x=[-0.0, 1.0, 7.0]) == whole
    assert keys(x=[False, True]) == whole[:2]


def test_a_missing_number_is_a_nan() -> None:
    assert keys(x=pa.array([None], pa.float64())) == keys(x=[float("nan")])


def test_a_missing_text_is_not_an_empty_one() -> None:
    assert len(set(keys(x=["", None, "a"]))) == 3


def test_the_same_values_in_other_columns_are_another_row() -> None:
    assert len(set(keys(a=[1.0, 2.0], b=[2.0, 1.0]))) == 2
    assert keys(a=[1.0]) != keys(b=[1.0])


def test_moments_that_differ_by_a_microsecond_differ_even_far_from_now() -> None:
    far = datetime(9999, 1, 1)
    assert len(set(keys(t=[far, far + timedelta(microseconds=1)]))) == 2


@given(tables(BY_CONTENT, min_rows=2, max_rows=8), st.randoms())
def test_neither_the_order_of_rows_nor_of_columns_matters(table: pa.Table, random: Any) -> None:
    order, names = list(range(table.num_rows)), list(table.column_names)
    random.shuffle(order)
    random.shuffle(names)
    moved = table.take(order).select(names)
    assert assign(moved, BY_CONTENT, EVEN).tolist() == assign(table, BY_CONTENT, EVEN)[order].tolist()


@pytest.mark.parametrize("made", [WARD, BY_CONTENT, GROUPED], ids=["by id", "by content", "by group"])
def test_adding_rows_moves_none(made: Any) -> None:
    @fewer(3)
    @given(tables(made, max_rows=6), tables(made, max_rows=6))
    def holds(first: pa.Table, second: pa.Table) -> None:
        both = assign(pa.concat_tables([first, second]), made, EVEN)
        assert both.tolist() == [*assign(first, made, EVEN), *assign(second, made, EVEN)]

    holds()


@given(rows(BY_CONTENT), st.sampled_from(["no", "yes"]))
def test_rows_alike_in_all_features_are_on_one_side_whatever_their_target(drawn: dict[str, Any], label: str) -> None:
    other = drawn | {"sick": label} | ({"_x": 0.0 if drawn["_x"] == 0 else drawn["_x"]})
    assert len(set(assign(as_table([drawn, other], BY_CONTENT), BY_CONTENT, EVEN))) == 1


@fewer(3)
@given(tables(GROUPED, min_rows=5, max_rows=12))
def test_a_group_stays_together(table: pa.Table) -> None:
    sides = assign(table, GROUPED, EVEN)
    assert len(set(zip(table["c0"].to_pylist(), sides, strict=True))) == len(set(table["c0"].to_pylist()))


def test_a_row_is_known_by_its_ids_else_its_group_else_its_content() -> None:
    assert identity_columns(WARD) == ["patient"]
    assert identity_columns(GROUPED) == ["c0"]
    assert identity_columns(BY_CONTENT) == list(BY_CONTENT.columns)


def test_an_ignored_column_does_not_tell_rows_apart() -> None:
    made = small({"x": NUMBER, "z": {"kind": "ignored", "reason": "odd"}})
    table = pa.table({"x": [1.0] * 30, "z": [str(number) for number in range(30)], "sick": ["no"] * 30})
    assert len(set(assign(table, made, EVEN))) == 1


# One column of each kind; at night all.
ONE_OF_EACH_KIND = {type(column): name for name, column in BY_CONTENT.features.items() if name != "born"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ONE_OF_EACH_KIND.values() else pytest.mark.nightly)
        for name in BY_CONTENT.features
        if name != "born"
    ],
)
@fewer(6)
@given(data=st.data())
def test_a_former_feature_that_still_identifies_rows_leaves_the_split_as_it_was(name: str, data: Any) -> None:
    table = data.draw(tables(BY_CONTENT))
    ignored = {"kind": "ignored", "reason": "a test", "identifies": BY_CONTENT.columns[name].kind}
    columns = {other: column.model_dump(mode="json") for other, column in BY_CONTENT.features.items()}
    without = contract(columns=columns | {name: ignored})
    assert name not in without.features
    found, _ = typed(table, without)
    np.testing.assert_array_equal(
        row_keys(found, identity_columns(without), "s"), row_keys(table, identity_columns(BY_CONTENT), "s")
    )


@pytest.mark.parametrize(
    "made", [X, small({"x": INTEGER}), small({"x": {"kind": "text"}}), small({"x": {"kind": "id"}, "y": NUMBER})]
)
def test_the_shares_come_out_right(made: Any) -> None:
    n = 20_000
    numbers = np.arange(n)
    values: Any = numbers if made.columns["x"].kind in ("number", "integer") else [str(number) for number in numbers]
    sides = assign(pa.table({"x": values}), made, SHARES)
    for side, share in enumerate((0.6, 0.15, 0.25)):
        # Five standard deviations of a binomial: a fair draw misses them once in a million.
        assert abs((sides == side).sum() - n * share) < 5 * np.sqrt(n * share * (1 - share))


def test_another_salt_is_another_draw() -> None:
    table = pa.table({"x": np.arange(2000.0)})
    one, other = (assign(table, X, Prepare(test=0.5, validation=0.1, salt=salt)) == 2 for salt in ("a", "b"))
    assert abs((one == other).mean() - 0.5) < 0.06


def test_a_larger_test_share_takes_test_rows_from_none() -> None:
    table = pa.table({"x": np.arange(2000.0)})
    less, more = (assign(table, X, Prepare(test=test, validation=0.1, salt="a")) == 2 for test in (0.2, 0.3))
    assert (more[less]).all()
    assert more.sum() > less.sum()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60))
def test_by_time_all_test_rows_are_later_than_all_others(days: list[int]) -> None:
    sides, moments = assign(timed(days), TIMED, EVEN), np.array(days)
    for earlier, later in ((0, 1), (1, 2), (0, 2)):
        if (sides == earlier).any() and (sides == later).any():
            assert moments[sides == earlier].max() < moments[sides == later].min()
    assert (sides == 2).any()


def test_by_time_the_shares_come_out_right() -> None:
    sides = assign(timed(np.random.default_rng(0).permutation(1000)), TIMED, SHARES)
    assert np.bincount(sides).tolist() == [600, 150, 250]


def test_by_time_later_rows_move_the_cut_and_earlier_sides_stay_in_order() -> None:
    before = assign(timed(range(100)), TIMED, SHARES)
    after = assign(timed(range(200)), TIMED, SHARES)[:100]
    assert (after <= before).all()


def test_time_may_be_a_moment() -> None:
    made = contract(split={"by": "time", "column": "seen"})
    first = datetime(2021, 1, 1)
    table = as_table([row(seen=first + timedelta(days=day)) for day in range(10)], made)
    assert assign(table, made, EVEN).tolist() == [0] * 3 + [1] * 3 + [2] * 4


def test_the_sides_have_names() -> None:
    assert SIDES == ("train", "validation", "test")


@given(st.lists(st.integers(1, 200), min_size=3, max_size=60), st.sampled_from([0.02, 0.1, 0.3]))
def test_few_times_are_dealt_to_all_sides_and_never_torn(rows_of_time: list[int], validation: float) -> None:
    """As in thirty days of many rows each: a small side gets a whole day."""
    days = [day for day, rows in enumerate(rows_of_time) for _ in range(rows)]
    sides = assign(timed(days), TIMED, Prepare(test=0.2, validation=validation, salt="assay"))
    assert set(sides) == {0, 1, 2}
    assert all(len({side for day, side in zip(days, sides, strict=True) if day == one}) == 1 for one in set(days))
    assert (np.diff(sides[np.argsort(days, kind="stable")]) >= 0).all()
