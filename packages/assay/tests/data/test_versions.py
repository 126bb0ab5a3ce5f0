from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.contract.spec import Contract
from assay.data import stored
from assay.data.one_sided import one_sided
from assay.data.reading import typed
from assay.data.versions import Changes, Shift, Version, changes, class_shares, new_rows, shared, shifts
from assay.properties.strategies import as_table, tables
from examples import contract, small
from fewer import fewer
from patients import contract as patients_contract
from patients import patients

NUMBER, INTEGER, BOOLEAN, TEXT, TIME = ({"kind": kind} for kind in ("number", "integer", "boolean", "text", "time"))
COLOUR = {"kind": "category", "values": ["red", "green", "blue"]}
WARD = contract()
BY_CONTENT = contract(columns={name: column.model_dump(mode="json") for name, column in WARD.features.items()})
EDITABLE = [*(name for name in BY_CONTENT.columns if name != "size"), "sick"]
# With few values rows repeat, and one change can be explained in several ways.
FEW = small(dict.fromkeys("abc", INTEGER))
X = small({"x": NUMBER})
NAMED = small({"name": {"kind": "id"}, "x": NUMBER, "y": NUMBER})
RNG = np.random.default_rng(0)
FIRST = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    RNG.bit_generator.state = FIRST


def compare(before: pa.Table, now: pa.Table, made: Contract, *, earlier: Contract | None = None) -> Changes:
    return changes(Version(before, earlier or made), Version(now, made))


def counts(found: Changes) -> dict[str, Any]:
    return {
        "kept": found.kept,
        "removed": int(found.removed.sum()),
        "added": int(found.added.sum()),
        "changed": found.changed,
        "rewritten": found.rewritten,
    }


def nothing(rows: int) -> dict[str, Any]:
    return {"kept": rows, "removed": 0, "added": 0, "changed": 0, "rewritten": {}}


def rewritten(rows: int, **columns: int) -> dict[str, Any]:
    return nothing(rows) | {"changed": sum(columns.values()), "rewritten": columns}


def few(rows: list[tuple[int, ...]]) -> pa.Table:
    return pa.table(
        {name: pa.array([row[j] for row in rows], pa.int64()) for j, name in enumerate("abc")}
        | {"sick": pa.array(["yes" if row[3] else "no" for row in rows], pa.string())}
    )


def numbered(table: pa.Table) -> pa.Table:
    """Return the table with rows that differ."""
    at = table.column_names.index("_x")
    return table.set_column(at, "_x", pa.array(np.arange(table.num_rows) + 0.5))


def put(table: pa.Table, name: str, values: Any) -> pa.Table:
    at = table.column_names.index(name)
    return table.set_column(at, name, pa.array(values, table.schema.field(name).type, from_pandas=True))


def shift(made: Contract, before: dict[str, Any], now: dict[str, Any], **changed: Any) -> dict[str, Shift]:
    """Return how far all rows now are from those before; the target is the same in all."""
    sides = [pa.table({**side, "sick": ["no"] * len(next(iter(side.values())))}) for side in (before, now)]
    found = shifts(*(Version(side, made) for side in sides), np.ones(sides[1].num_rows, dtype=bool))
    return {one.column: one for one in found}


few_values = st.lists(st.tuples(*[st.integers(0, 2)] * 3, st.booleans()), max_size=12).map(few)


@pytest.mark.parametrize("made", [WARD, BY_CONTENT], ids=["by id", "by content"])
def test_neither_the_order_of_rows_nor_of_columns_is_a_change(made: Contract) -> None:
    @fewer(3)
    @given(tables(made), st.randoms())
    def holds(table: pa.Table, random: Any) -> None:
        order, names = list(range(table.num_rows)), list(table.column_names)
        random.shuffle(order)
        random.shuffle(names)
        assert counts(compare(table, table.take(order).select(names), made)) == nothing(table.num_rows)

    holds()


@pytest.mark.parametrize("made", [WARD, BY_CONTENT], ids=["by id", "by content"])
def test_rows_that_are_added_are_counted_and_nothing_else_is(made: Contract) -> None:
    @fewer(3)
    @given(tables(made), tables(made))
    def holds(table: pa.Table, more: pa.Table) -> None:
        found = counts(compare(table, pa.concat_tables([more, table]), made))
        assert found == nothing(table.num_rows) | {"added": more.num_rows}

    holds()


def test_it_is_the_added_and_the_removed_rows_that_are_marked() -> None:
    before = pa.table({"x": [1.0, 2.0, 3.0, 4.0], "sick": ["no", "no", "yes", "yes"]})
    now = pa.table({"x": [9.0, 4.0, 2.0, 8.0, 1.0], "sick": ["yes", "yes", "no", "no", "no"]})
    found = compare(before, now, X)
    # The row of 3 and yes has become that of 9 and yes.
    assert found.added.tolist() == [False, False, False, True, False]
    assert not found.removed.any()
    assert found.rewritten == {"x": 1}


@fewer(2)
@given(tables(BY_CONTENT, min_rows=2, max_rows=12), st.sampled_from(EDITABLE), st.data())
def test_every_edit_of_one_column_is_counted_exactly(table: pa.Table, name: str, data: st.DataObject) -> None:
    table = numbered(table)
    order = data.draw(st.permutations(range(table.num_rows)))
    values = data.draw(tables(BY_CONTENT, min_rows=table.num_rows, max_rows=table.num_rows))[name].to_pylist()
    if name == "_x":
        values = [row + data.draw(st.sampled_from([0.5, 1000.5])) for row in range(table.num_rows)]
    number = sum(old != new for old, new in zip(table[name].to_pylist(), values, strict=True))
    found = compare(table, put(table, name, values).take(order), BY_CONTENT)
    assert counts(found) == rewritten(table.num_rows, **({name: number} if number else {}))


@pytest.mark.parametrize(
    "edit",
    [lambda x: x * 2.54, lambda x: x * 0, lambda x: x + 1, lambda x: np.roll(x, 1), lambda x: x * np.nan],
    ids=["unit", "zeroed", "shifted", "shuffled", "emptied"],
)
def test_a_column_that_was_edited_as_a_whole_is_found(edit: Any) -> None:
    made = small({"x": NUMBER | {"missing": "allow"}, "y": NUMBER, "z": NUMBER})
    table = pa.table({name: RNG.normal(size=50) for name in "xyz"} | {"sick": ["no", "yes"] * 25})
    assert counts(compare(table, put(table, "x", edit(table["x"].to_numpy())), made)) == rewritten(50, x=50)


@given(few_values, few_values)
def test_rows_are_neither_lost_nor_counted_twice(before: pa.Table, now: pa.Table) -> None:
    found = compare(before, now, FEW)
    assert found.kept + found.removed.sum() == before.num_rows
    assert found.kept + found.added.sum() == now.num_rows
    assert found.changed == sum(found.rewritten.values())
    old, new = (Counter(map(tuple, zip(*table.to_pydict().values(), strict=True))) for table in (before, now))
    assert found.kept - found.changed == (old & new).total()


@given(few_values, few_values)
def test_back_again_what_was_added_is_removed_and_the_rest_is_the_same(before: pa.Table, now: pa.Table) -> None:
    there, back = compare(before, now, FEW), compare(now, before, FEW)
    assert there.removed.tolist() == back.added.tolist()
    assert there.added.tolist() == back.removed.tolist()
    assert (there.rewritten, there.changed) == (back.rewritten, back.changed)


@given(few_values, few_values, st.randoms())
def test_where_several_answers_are_right_the_order_of_rows_and_columns_decides_nothing(
    before: pa.Table, now: pa.Table, random: Any
) -> None:
    order, names = list(range(now.num_rows)), list("abc")
    random.shuffle(order)
    random.shuffle(names)
    moved = compare(before, now.take(pa.array(order, pa.int64())).select([*names, "sick"]), FEW)
    assert counts(moved) == counts(compare(before, now, FEW))


def test_of_several_columns_it_was_the_one_that_explains_most_rows() -> None:
    before = few([(1, 5, 0, 0), (2, 6, 0, 0), (3, 7, 0, 0)])
    now = few([(1, 6, 0, 0), (2, 7, 0, 0), (3, 8, 0, 0)])
    # That the rows of 6 and 7 have another value in a would also be true, and leave one removed and one added.
    assert counts(compare(before, now, FEW)) == rewritten(3, b=3)


def test_which_of_two_rows_was_rewritten_does_not_hang_on_their_order() -> None:
    # Either of them may have another value in a now; had the second, it could not have another one in b.
    before, now = few([(0, 0, 0, 0), (1, 0, 0, 0)]), few([(2, 0, 0, 0), (1, 5, 0, 0)])
    assert counts(compare(before, now, FEW)) == counts(compare(before.take([1, 0]), now, FEW))


def test_a_row_that_differs_in_two_columns_is_one_removed_and_one_added() -> None:
    before, now = few([(0, 0, 0, 0), (5, 5, 5, 1)]), few([(1, 1, 0, 0), (5, 5, 5, 1)])
    assert counts(compare(before, now, FEW)) == nothing(1) | {"removed": 1, "added": 1}


def test_of_equal_rows_each_counts() -> None:
    before, now = few([(1, 2, 3, 0)] * 5), few([(1, 2, 3, 0)] * 2)
    assert counts(compare(before, now, FEW)) == nothing(2) | {"removed": 3}


def test_missing_values_are_equal_and_so_are_both_zeros() -> None:
    made = small({"x": NUMBER | {"missing": "allow"}, "y": TEXT | {"missing": "allow"}})
    before = pa.table({"x": [0.0, None, 1.0], "y": ["a", None, "b"], "sick": ["no", "no", "yes"]})
    now = pa.table({"x": [-0.0, None, 1.0], "y": ["a", None, "b"], "sick": ["no", "no", "yes"]})
    assert counts(compare(before, now, made)) == nothing(3)
    assert compare(before, put(now, "x", [0.0, 7.0, None]), made).rewritten == {"x": 2}
    assert compare(before, put(now, "y", ["a", "", "b"]), made).rewritten == {"y": 1}


def test_with_ids_a_row_is_the_same_row_whatever_else_was_rewritten() -> None:
    before = pa.table({"name": ["a", "b", "c"], "x": [1.0, 2.0, 3.0], "y": [0.0, 0.0, 0.0], "sick": ["no"] * 3})
    now = pa.table({"name": ["c", "d", "b"], "x": [3.5, 2.0, 9.0], "y": [1.0, 0.0, 1.0], "sick": ["no"] * 3})
    found = compare(before, now, NAMED)
    assert found.by_id
    assert found.removed.tolist() == [True, False, False]
    assert found.added.tolist() == [False, True, False]
    assert found.rewritten == {"x": 2, "y": 2}
    assert found.changed == 2


def test_ids_that_repeat_do_not_tell_rows_apart_and_are_values_like_others() -> None:
    before = pa.table({"name": ["a", "a", "b"], "x": [1.0, 2.0, 3.0], "y": [4.0, 5.0, 6.0], "sick": ["no"] * 3})
    found = compare(before, put(before, "name", ["a", "a", "c"]), NAMED)
    assert not found.by_id
    assert found.rewritten == {"name": 1}


def test_only_what_both_versions_have_and_use_is_compared() -> None:
    ignored = {"kind": "ignored", "reason": "odd"}
    before = small({"x": NUMBER, "old": NUMBER, "kind": COLOUR, "off": ignored, "on": ignored, "n": INTEGER})
    now = small({"n": NUMBER, "new": NUMBER, "kind": INTEGER, "off": ignored, "on": TEXT, "x": NUMBER})
    assert list(shared(before, now)) == ["n", "x", "sick"]
    first = pa.table(
        {"x": [1.0], "old": [1.0], "kind": ["red"], "off": ["a"], "on": ["a"], "n": pa.array([3]), "sick": ["no"]}
    )
    second = pa.table(
        {"n": [3.0], "new": [2.0], "kind": pa.array([4]), "off": ["b"], "on": ["b"], "x": [1.0], "sick": ["no"]}
    )
    assert counts(compare(first, second, now, earlier=before)) == nothing(1)


def test_the_target_is_compared_unless_it_has_become_something_else() -> None:
    assert "sick" not in shared(X, small({"x": NUMBER}, "regression"))
    assert "sick" in shared(X, small({"x": NUMBER}, "multiclass"))


def test_added_rows_are_looked_at_by_themselves() -> None:
    before, now = few([(n, n, n, 0) for n in range(20)]), few([(n, n, n, 0) for n in range(-2, 20)])
    assert new_rows(compare(before, now, FEW)).tolist() == [True] * 2 + [False] * 20


@pytest.mark.parametrize(
    "now",
    [
        [(n, n, n, 0) for n in range(20)],
        [(n, n, n, 0) for n in range(5)],
        [(n, n, n, 0) for n in range(19, 40)],
        [(n, n, n + 1, 0) for n in range(30)],
    ],
    ids=["nothing added", "rows removed", "nearly all replaced", "a column rewritten"],
)
def test_else_all_rows_are_looked_at(now: list[tuple[int, ...]]) -> None:
    before = few([(n, n, n, 0) for n in range(20)])
    assert new_rows(compare(before, few(now), FEW)).all()


def test_the_distance_of_numbers_is_that_of_kolmogorov_and_smirnov() -> None:
    assert shift(X, {"x": [1.0, 2.0, 3.0, 4.0]}, {"x": [3.0, 4.0, 5.0, 6.0]})["x"].distance == 0.5
    assert shift(X, {"x": [1.0, 2.0]}, {"x": [2.0, 1.0]})["x"].distance == 0


@pytest.mark.parametrize(
    ("column", "a", "b"), [(COLOUR, "red", "green"), (BOOLEAN, True, False)], ids=["category", "boolean"]
)
def test_the_distance_of_categories_is_total_variation(column: dict[str, Any], a: Any, b: Any) -> None:
    made = small({"x": column})
    assert shift(made, {"x": [a, a, b, b]}, {"x": [a, b, b, b]})["x"].distance == 0.25
    assert shift(made, {"x": [a]}, {"x": [b]})["x"].distance == 1


def test_of_texts_only_the_length_counts() -> None:
    made = small({"x": TEXT})
    assert shift(made, {"x": ["abc", "d"] * 50}, {"x": ["e", "fgh"] * 50})["x"].distance == 0
    longer = shift(made, {"x": ["abc", "d"] * 50}, {"x": ["abcde", "d"] * 50})["x"]
    assert (longer.distance, longer.q < 0.01) == (0.5, True)


def test_ids_are_not_compared_and_a_target_is() -> None:
    table = pa.table({"name": ["a", "b"], "x": [1.0, 2.0], "y": [1.0, 2.0], "sick": ["no", "yes"]})
    found = shifts(Version(table, NAMED), Version(table, NAMED), np.ones(2, dtype=bool))
    assert [one.column for one in found] == ["x", "y", "sick"]


@pytest.mark.parametrize(
    ("column", "before", "now"),
    [
        (NUMBER, RNG.normal(size=500), RNG.normal(1.5, size=40)),
        (INTEGER, RNG.integers(0, 9, 500), RNG.integers(4, 9, 40)),
        (COLOUR, RNG.choice(["red", "green"], 500), RNG.choice(["red", "blue"], 40)),
        (BOOLEAN, RNG.random(500) < 0.5, RNG.random(40) < 0.05),
        (NUMBER, RNG.normal(size=500), np.array([30.0, 31.0, 32.0])),
    ],
    ids=["number", "integer", "category", "boolean", "three far rows"],
)
def test_another_distribution_is_significant(column: dict[str, Any], before: Any, now: Any) -> None:
    found = shift(small({"x": column}), {"x": before}, {"x": now})["x"]
    assert found.distance > 0.2
    assert found.q < 0.001


def test_one_row_is_never_significant() -> None:
    found = shift(X, {"x": RNG.normal(size=300)}, {"x": [50.0]})["x"]
    assert found.distance == 1
    assert found.q > 0.01


@pytest.mark.parametrize(
    "draw",
    [lambda rng: rng.normal(size=(320, 6)) @ rng.normal(size=(6, 30)), lambda rng: rng.integers(0, 3, (320, 30))],
    ids=["numbers that go together", "few numbers"],
)
def test_rows_of_the_same_source_are_not_significant(draw: Any) -> None:
    made = small({f"x{j}": NUMBER for j in range(30)})
    for seed in range(20):
        drawn = draw(np.random.default_rng(seed)).astype(float)
        before, now = ({f"x{j}": part[:, j] for j in range(30)} for part in (drawn[:300], drawn[300:]))
        assert min(one.q for one in shift(made, before, now).values()) > 0.01


def test_rare_categories_are_not_significant_for_being_rare() -> None:
    values = [f"v{number}" for number in range(200)]
    made = small({"x": {"kind": "category", "values": values}})
    for seed in range(30):
        rng = np.random.default_rng(seed)
        before, now = (rng.choice(values, size, p=rng.dirichlet(np.full(200, 50.0))) for size in (400, 8))
        assert shift(made, {"x": before}, {"x": now})["x"].q > 0.01


def test_looking_at_many_columns_is_corrected_for() -> None:
    before, now = RNG.normal(size=300), RNG.normal(1, size=20)
    alone = shift(X, {"x": before}, {"x": now})["x"].q
    beside = {f"z{j}": np.zeros(300) for j in range(50)}
    many = shift(
        small({"x": NUMBER} | dict.fromkeys(beside, NUMBER)),
        {"x": before} | beside,
        {"x": now} | {name: np.zeros(20) for name in beside},
    )
    assert many["x"].q > 50 * alone


def test_missing_values_are_compared_by_themselves() -> None:
    made = small({"x": NUMBER | {"missing": "allow"}})
    values = RNG.normal(size=200)
    found = shift(made, {"x": values}, {"x": pa.array(values, mask=np.arange(200) % 2 == 0)})["x"]
    assert (found.missing_before, found.missing_now) == (0, 0.5)
    assert found.missing_q < 0.001
    assert found.q > 0.01


def test_a_column_without_any_value_is_told_by_what_is_missing() -> None:
    made = small({"x": NUMBER | {"missing": "allow"}})
    found = shift(made, {"x": RNG.normal(size=50)}, {"x": pa.nulls(50, pa.float64())})["x"]
    assert (found.distance, found.q, found.missing_now) == (0, 1, 1)
    assert found.missing_q < 0.001


def test_that_a_few_rows_lack_a_value_that_no_row_lacked_is_beyond_chance() -> None:
    made = small({"x": NUMBER | {"missing": "allow"}})
    now = pa.array(RNG.normal(size=10), mask=np.arange(10) < 8)
    assert shift(made, {"x": RNG.normal(size=1000)}, {"x": now})["x"].missing_q < 1e-12


def moments(days: Any) -> pa.Array:
    return pa.array([datetime(2020, 1, 1) + timedelta(days=int(day)) for day in days], pa.timestamp("us"))


@pytest.mark.parametrize(
    ("made", "values"),
    [
        (small({"x": TIME}), moments),
        (small({"x": INTEGER}, split={"by": "time", "column": "x"}), lambda days: pa.array(list(days), pa.int64())),
    ],
    ids=["a time", "the column of a split by time"],
)
def test_that_time_goes_on_is_no_change_and_that_it_goes_back_is(made: Contract, values: Any) -> None:
    on = shift(made, {"x": values(range(100))}, {"x": values(range(100, 140))})["x"]
    assert (on.distance, on.q) == (0, 1)
    back = shift(made, {"x": values(range(100))}, {"x": values(range(-40, 0))})["x"]
    assert (back.distance, back.q < 0.001) == (1, True)


def season(days: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    return {
        "day": days,
        "heat": np.cos((days - 2030) / 50) + rng.normal(0, 0.1, len(days)),
        "noise": rng.normal(size=len(days)),
    }


def test_with_a_split_by_time_what_always_varied_is_no_change_and_what_never_did_is() -> None:
    made = small({"day": INTEGER, "heat": NUMBER, "noise": NUMBER}, split={"by": "time", "column": "day"})
    before, now = season(np.arange(2000), RNG), season(np.arange(2000, 2060), RNG)
    order = RNG.permutation(2000)
    shuffled = {name: values[order] for name, values in before.items()}
    usual = shift(made, shuffled, now)
    assert usual["heat"].distance < 0.2
    by_hash = small({"day": INTEGER, "heat": NUMBER, "noise": NUMBER})
    assert shift(by_hash, shuffled, now)["heat"].distance > 0.5
    spoilt = shift(made, shuffled, now | {"noise": now["noise"] * 0})["noise"]
    assert spoilt.distance > 0.2
    assert spoilt.q < 0.001


def test_with_a_split_by_time_what_is_as_far_off_as_earlier_rows_were_is_no_change() -> None:
    made = small({"day": INTEGER, "x": NUMBER}, split={"by": "time", "column": "day"})
    before = {"day": np.arange(200), "x": np.where(np.arange(200) // 20 == 3, -9.0, np.arange(200) % 5)}
    found = shift(made, before, {"day": np.arange(200, 220), "x": np.full(20, 9.0)})["x"]
    assert (found.distance, found.q) == (0, 1)


def test_rows_of_one_group_count_once() -> None:
    ward = {"kind": "category", "values": [f"w{number}" for number in range(30)]}
    names = [f"w{number}" for number in range(30)]
    level = dict(zip(names, RNG.normal(size=30), strict=True))
    before = {"w": np.repeat(names[:28], 20), "x": np.repeat([level[name] for name in names[:28]], 20)}
    now = {"w": np.repeat(names[28:], 20), "x": np.repeat([level[name] for name in names[28:]], 20)}
    assert shift(small({"w": ward, "x": NUMBER}), before, now)["x"].q < 0.001
    assert shift(small({"w": ward, "x": NUMBER}, split={"by": "group", "column": "w"}), before, now)["x"].q > 0.01


def test_the_order_of_rows_does_not_change_which_row_stands_for_its_group() -> None:
    made = small({"w": COLOUR, "x": NUMBER}, split={"by": "group", "column": "w"})
    before = {"w": RNG.choice(["red", "green", "blue"], 60), "x": RNG.normal(size=60)}
    now = {"w": RNG.choice(["red", "green", "blue"], 30), "x": RNG.normal(size=30)}
    order = RNG.permutation(60)
    moved = {name: values[order] for name, values in before.items()}
    assert shift(made, before, now) == shift(made, moved, now)


def test_contracts_without_a_column_in_common_have_nothing_to_compare() -> None:
    other = small({"y": NUMBER}, "regression")
    table = pa.table({"x": [1.0], "sick": ["no"]})
    later = pa.table({"y": [1.0], "sick": [2.0]})
    assert shifts(Version(table, X), Version(later, other), np.ones(1, dtype=bool)) == []


def test_class_shares_are_the_share_of_each_label() -> None:
    table = as_table([{"x": 1.0, "sick": label} for label in ("no", "no", "yes", "no")], X)
    assert class_shares(table["sick"]) == {"no": 0.75, "yes": 0.25}


@pytest.mark.parametrize(
    "split", [{"by": "hash"}, {"by": "group", "column": "street"}, {"by": "time", "column": "admitted"}]
)
def test_rows_in_files_are_compared_as_rows_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split) -> None:
    monkeypatch.setattr(stored, "FALLS", 3)
    made = patients_contract(split=split)
    cells = {name: pa.array(values, from_pandas=True) for name, values in patients(500, "binary")[0].items()}
    rows = typed(pa.table({**cells, "outcome": ["sick", "well"] * 250}), made)[0]
    age = pa.array([None if n % 50 == 0 else n % 90 for n in range(450)], rows["age"].type)
    tables = rows, rows.slice(50).set_column(rows.column_names.index("age"), "age", age)
    for number, table in enumerate(tables):
        pq.write_table(table, tmp_path / f"{number}.parquet", row_group_size=60)
    whole = [Version(table, made) for table in tables]
    files = [Version(stored.Stored(tmp_path / f"{number}.parquet"), made) for number in range(2)]
    (wanted, found), new = (changes(*both) for both in (whole, files)), np.arange(450) > 300
    assert counts(found) == counts(wanted)
    assert all((one == other).all() for one, other in zip(found.cells["age"], wanted.cells["age"], strict=True))
    assert shifts(*files, new) == shifts(*whole, new)
    assert one_sided(*files, found, limit=1.0, significance=1.0) == one_sided(
        *whole, wanted, limit=1.0, significance=1.0
    )
