"""Rows that belong together stay together, whatever the column that says so is called."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from assay.base.errors import InputError
from assay.init.infer import Plan, infer
from init.plans import plan as beside
from init.plans import said

ROWS, MANY = 900, 150
RNG = np.random.default_rng(3)
OF = RNG.integers(0, MANY, ROWS)
OWN = RNG.normal(size=MANY)
X = RNG.normal(size=ROWS).round(3)
NOISE = RNG.normal(size=ROWS)
TEXTS = np.array([f"H{(i * 37) % 1009:04}" for i in range(MANY)])[OF]
NUMBERS = np.array([1000 + (i * 37) % 1009 for i in range(MANY)])[OF]


def made(target: np.ndarray, **columns: Any) -> Plan:
    return infer(pa.table({**columns, "x": X, "answer": target}), "answer", "mine")


@pytest.mark.parametrize("name", ["patient", "household", "subject_no", "CustomerKey", "Kunde", "ménage_id"])
def test_a_name_says_it(name):
    found = beside({name: np.resize(np.arange(80), 400)})
    assert found.contract["split"] == {"by": "group", "column": name}
    assert found.contract["columns"][name]["kind"] == "id"


@pytest.mark.parametrize("name", ["customer_age", "driver_rating", "device_type", "account_balance"])
def test_a_property_of_a_person_is_no_person(name):
    assert beside({name: np.resize(np.arange(80), 400)}).contract["split"] == {"by": "hash"}


def test_a_group_alone_is_nothing_to_learn_from():
    table = pa.table({"patient": np.resize(np.arange(80), 400), "answer": np.resize(["yes", "no"], 400)})
    with pytest.raises(
        InputError, match=r"no column is left to learn from .patient: names what several rows belong to"
    ):
        infer(table, "answer", "mine")


@pytest.mark.parametrize("values", [TEXTS, NUMBERS, OF])
@pytest.mark.parametrize("target", [OWN[OF] + NOISE / 2 + X, np.where(OWN[OF] > 0, "yes", "no")])
def test_what_rows_of_one_value_have_in_common_says_it(values, target):
    found = made(target, v1=values)
    assert found.contract["split"] == {"by": "group", "column": "v1"}
    assert found.contract["columns"]["v1"]["kind"] == "id"
    assert "rows of one value share" in said(found, "v1")


def test_what_grows_is_alike_at_one_time_and_yet_belongs_to_its_own():
    day = np.concatenate([np.arange(count) for count in np.bincount(OF, minlength=MANY)])
    place = np.argsort(np.argsort(OF, kind="stable"), kind="stable")
    found = made(25 + 8 * day[place] + 3 * OWN[OF] + NOISE, pen=NUMBERS, day=day[place])
    assert found.contract["split"] == {"by": "group", "column": "pen"}
    assert "rows of one value share" in said(found, "pen")


def test_a_number_beyond_all_measure_does_not_stop_the_search_for_groups():
    huge = np.where(np.arange(ROWS) == 7, 1.7e308, X)
    assert made(NOISE, pen=NUMBERS, size=huge).contract["split"] == {"by": "hash"}


def test_so_do_rows_that_agree_in_a_number():
    for size in (RNG.normal(size=MANY)[OF], RNG.integers(18, 80, MANY)[OF]):
        target = size / size.std() + 2 * NOISE
        for known in (size, np.where(NOISE > 2, np.nan, size)):
            assert made(target, v1=TEXTS, size=known).contract["split"] == {"by": "group", "column": "v1"}


@pytest.mark.parametrize("seed", range(3))
def test_values_that_say_nothing_beyond_the_features_are_no_groups(seed):
    noise = np.random.default_rng(seed).normal(size=ROWS)
    assert made(X + noise, v1=TEXTS).contract["split"] == {"by": "hash"}
    own = OWN[OF]
    assert made(2 * own + noise, v1=TEXTS, own=own + noise / 9).contract["split"] == {"by": "hash"}


def test_a_number_whose_order_matters_is_no_group():
    degrees = RNG.integers(0, 90, ROWS)
    assert made(np.sin(degrees / 15) + NOISE / 5, v1=degrees).contract["split"] == {"by": "hash"}


def test_measures_that_agree_in_several_rows_tell_that_these_are_of_one_person():
    found = made(OWN[OF] + NOISE / 2 + X, height=OWN[OF].round(3))
    assert found.contract["split"] == {"by": "hash"}
    assert "one person, place or thing" not in said(found, "height")
    found = made(np.sin(1000 * OWN[OF]) + NOISE / 4 + X, height=OWN[OF].round(3))
    assert found.contract["columns"]["height"]["kind"] == "number"
    assert "one person, place or thing" in said(found, "height")


def test_a_few_groups_stay_a_feature_and_are_to_be_looked_at():
    some = OF % 15
    found = made(OWN[some] + NOISE / 2 + X, turbine=[f"T{one}" for one in some])
    assert found.contract["split"] == {"by": "hash"}
    assert found.contract["columns"]["turbine"]["kind"] == "category"
    assert "if the model meets new ones, split by it" in said(found, "turbine")


def test_a_value_that_later_rows_will_have_again_is_no_group():
    assert made(OWN[OF] + NOISE / 2 + X, town=TEXTS).contract["split"] == {"by": "hash"}
    uneven = RNG.zipf(1.5, ROWS) % MANY
    names = np.array([f"H{i}" for i in range(MANY)])[uneven]
    assert made(OWN[uneven] + NOISE / 2, v1=names).contract["split"] == {"by": "hash"}


def test_a_number_with_as_many_rows_for_each_value_names_a_group() -> None:
    people = np.repeat(RNG.permutation(90_000)[:MANY] + 1, ROWS // MANY)
    found = made(np.repeat(OWN, ROWS // MANY) + NOISE / 2, v1=people)
    assert found.contract["split"] == {"by": "group", "column": "v1"}


def test_a_column_called_id_names_a_group_however_uneven_it_is() -> None:
    uneven = RNG.zipf(1.5, ROWS) % MANY
    assert made(OWN[uneven] + NOISE / 2, id=uneven).contract["split"] == {"by": "group", "column": "id"}


STATES, YEARS = 45, 20


def panel(first: int, years: int = YEARS) -> dict[str, Any]:
    """Return a row for each of some states in each of some years, in no order."""
    rows = RNG.permutation(STATES * years)
    return {"state": rows // years + 1, "year": first + rows % years}


@pytest.mark.parametrize("first", [1985, 63])
def test_a_panel_is_split_by_its_years(first: int) -> None:
    columns = panel(first)
    found = made(OWN[columns["state"]] + NOISE / 2, **columns)
    assert found.contract["split"] == {"by": "time", "column": "year"}
    assert "each row is one year of one state" in said(found, "year")


def test_years_of_something_else_are_to_be_looked_at() -> None:
    columns = {"state": RNG.integers(1, STATES, ROWS), "year": 1985 + RNG.integers(0, YEARS, ROWS)}
    found = made(X + NOISE, **columns)
    assert found.contract["split"] == {"by": "hash"}
    assert "the split is random" in said(found, "year")


def test_a_panel_of_people_is_split_by_them_and_its_years_are_to_be_looked_at() -> None:
    columns = panel(1985)
    found = made(OWN[columns["state"]] + NOISE / 2, person=columns["state"], year=columns["year"])
    assert found.contract["split"] == {"by": "group", "column": "person"}
    assert "the split is by person" in said(found, "year")


def test_few_years_are_no_time_to_split_by() -> None:
    columns = panel(1985, years=4)
    target = OWN[columns["state"]]
    found = infer(
        pa.table({**columns, "x": X[: len(target)], "answer": target + NOISE[: len(target)] / 2}), "answer", "mine"
    )
    assert found.contract["split"] == {"by": "hash"}
    assert said(found, "year") == ""


@pytest.mark.parametrize("words", [False, True])
def test_a_column_that_gives_the_target_away_may_still_name_groups(words: bool) -> None:
    trees = np.repeat(np.arange(STATES), YEARS)
    found = made(
        np.where(OWN[trees] > 0, "treated", "not"),
        v1=np.array([f"tree {tree}" for tree in trees]) if words else trees,
        size=OWN[trees] + NOISE / 5,
    )
    assert "explains 100.0% of the target on its own" in said(found, "v1")
    assert found.contract["split"] == {"by": "group", "column": "v1"}


def test_a_number_that_tells_the_target_is_no_group() -> None:
    hours = np.where(RNG.random(ROWS) < 0.5, 0, RNG.integers(1, 300, ROWS))
    assert made(np.where(hours > 0, "works", "not"), v1=hours).contract["split"] == {"by": "hash"}


def test_of_several_categories_of_few_values_one_is_to_be_looked_at() -> None:
    levels = [RNG.integers(0, 20, ROWS) for _ in range(3)]
    effects = sum((3 - place) * OWN[place : place + 20][level] for place, level in enumerate(levels))
    texts = {f"v{place}": np.array([f"w{one}" for one in level]) for place, level in enumerate(levels)}
    plan = made(effects + NOISE / 5, **texts)
    assert plan.contract["split"] == {"by": "hash"}
    assert [name for name in texts if "rows of one value share" in said(plan, name)] == ["v0"]
