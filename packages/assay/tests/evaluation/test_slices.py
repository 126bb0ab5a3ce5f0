import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from assay.evaluation.slices import (
    Condition,
    compare_with_rest,
    declared,
    discover,
    groups,
    holds,
    part_columns,
    readable,
)
from patients import contract, patients

HOW = {"min_rows": 20, "false_discovery_rate": 0.05}


def rows(number: int, seed: int = 0) -> dict[str, np.ndarray]:
    return readable(patients(number, seed=seed)[0], contract())


def losses_with_a_bad_ward(data: dict[str, np.ndarray], seed: int, extra: float = 1.0) -> np.ndarray:
    losses = np.random.default_rng(seed).exponential(0.2, len(data["age"]))
    return losses + extra * ((data["ward"] == "west") & (data["age"] > 60))


def test_a_planted_slice_is_found_on_some_rows_and_confirmed_on_others():
    seen, unseen = rows(600, seed=1), rows(600, seed=2)
    suspects = discover(seen, losses_with_a_bad_ward(seen, 1), min_rows=20)
    found = compare_with_rest(suspects, unseen, losses_with_a_bad_ward(unseen, 2), **HOW)
    worst = max(found, key=lambda row: row["loss"])
    assert worst["worse"]
    assert "ward is west" in worst["slice"]
    assert "age above" in worst["slice"]


def test_where_nothing_is_planted_almost_nothing_is_confirmed():
    alarms = 0
    for seed in range(20):
        seen, unseen = rows(400, seed=seed), rows(400, seed=100 + seed)
        suspects = discover(seen, losses_with_a_bad_ward(seen, seed, 0.0), min_rows=20)
        found = compare_with_rest(suspects, unseen, losses_with_a_bad_ward(unseen, 1000 + seed, 0.0), **HOW)
        alarms += any(row["worse"] for row in found)
    assert alarms <= 3


def test_declared_slices_are_intervals_between_edges_and_values_that_occur():
    made = contract(slices=[{"column": "age", "edges": [30, 60]}, {"column": "ward"}])
    data = rows(50)
    names = [str(part[0]) for part in declared(made, data)]
    assert names[:3] == ["age up to 30", "age in (30, 60]", "age above 60"]
    assert {"ward is missing", "ward is north", "ward is south", "ward is west"} < set(names)


@given(st.lists(st.floats(-1e6, 1e6), unique=True, min_size=1, max_size=4), st.integers(0, 1000))
def test_intervals_between_edges_hold_every_known_number_once(edges, seed):
    made = contract(slices=[{"column": "age", "edges": sorted(edges)}])
    values = np.random.default_rng(seed).uniform(-1e6, 1e6, 20)
    parts = declared(made, {"age": values})
    assert (np.sum([holds(part, {"age": values}) for part in parts], axis=0) == 1).all()


def test_words_name_booleans_and_gaps_and_leave_numbers_alone():
    data = {
        "smoker": np.array([0.0, 1.0, np.nan]),
        "ward": np.array(["north", None, "west"], dtype=object),
        "age": np.array([1.0, 2.0, np.nan]),
    }
    words = readable(data, contract())
    assert words["smoker"].tolist() == ["false", "true", "missing"]
    assert words["ward"].tolist() == ["north", "missing", "west"]
    assert words["age"] is data["age"]


def test_a_missing_number_is_in_no_interval():
    data = {"age": np.array([np.nan, 1.0])}
    assert holds((Condition("age", high=5),), data).tolist() == [False, True]


def test_a_slice_of_two_conditions_has_the_rows_of_both():
    data = {"age": np.array([10.0, 50.0, 50.0]), "ward": np.array(["north", "north", None], dtype=object)}
    assert holds((Condition("age", low=20), Condition("ward", value="north")), data).tolist() == [False, True, False]


def test_small_slices_and_nearly_whole_ones_are_not_judged():
    data, _ = patients(100)
    losses = np.random.default_rng(0).random(100)
    few, nearly_all = (Condition("age", high=22),), (Condition("age", low=20.5),)
    assert compare_with_rest([few, nearly_all], data, losses, min_rows=20, false_discovery_rate=0.05) == []


def test_equal_losses_everywhere_make_no_slice_worse():
    data, _ = patients(100)
    found = compare_with_rest([(Condition("age", high=50),)], data, np.ones(100), **HOW)
    assert [row["worse"] for row in found] == [False]


def test_looking_more_often_makes_the_corrected_figure_larger():
    data, _ = patients(400)
    losses = np.random.default_rng(3).exponential(1, 400) + 0.25 * (data["age"] > 60)
    once = [(Condition("age", low=60),)]
    often = once + [(Condition("noise", low=low),) for low in np.linspace(-1, 1, 15)]
    alone = compare_with_rest(once, data, losses, **HOW)[0]
    among = next(row for row in compare_with_rest(often, data, losses, **HOW) if row["slice"] == "age above 60")
    assert alone["q"] < among["q"]
    assert alone["p"] == among["p"]


def test_a_slice_of_missing_numbers_is_found_and_named():
    rng = np.random.default_rng(0)
    data = {"heart-rate": np.where(rng.random(600) < 0.2, np.nan, rng.normal(80, 10, 600))}
    losses = rng.exponential(0.1, 600) + np.isnan(data["heart-rate"])
    found = compare_with_rest(discover(data, losses, min_rows=20), data, losses, **HOW)
    assert found[0]["slice"] == "heart-rate is missing"
    assert found[0]["worse"]


def test_groups_are_words_or_parts_of_numbers_and_leave_no_row_out():
    made = contract(slices=[{"column": "age", "edges": [50]}])
    data = rows(200)
    assert set(groups(data["age"], "age", made)) == {"age up to 50", "age above 50"}
    assert set(groups(data["ward"], "ward", made)) == {"north", "south", "west", "missing"}
    thirds = groups(data["heart-rate"], "heart-rate", made)
    assert len(set(thirds)) == 4
    assert "heart-rate is missing" in thirds


def test_parts_come_from_declared_columns_and_plain_features():
    assert part_columns(contract()) == ["age", "heart-rate", "noise", "smoker", "ward", "street"]
