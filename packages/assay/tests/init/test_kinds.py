import numpy as np
import pyarrow as pa
import pytest

from assay.init.infer import infer
from init.plans import KINDS, LABEL, RNG, ROWS, X, column, plan, said


@pytest.mark.parametrize("what", KINDS)
def test_a_column_is_taken_for_what_it_is(what):
    name, values, kind = KINDS[what]
    assert column(name, values)["kind"] == kind


def test_a_category_of_very_many_values_is_told_by_its_words_where_there_are_several_classes():
    towns = np.array([f"Town {number}" for number in range(200)])[np.arange(8 * ROWS) % 200]
    several = np.resize(["a", "b", "c"], 8 * ROWS)
    kinds = [
        infer(pa.table({"town": towns, "answer": target}), "answer", "mine").contract["columns"]["town"]["kind"]
        for target in (several, several == "a", RNG.normal(size=8 * ROWS))
    ]
    assert kinds == ["text", "category", "category"]


def test_a_column_that_repeats_another_is_ignored_and_the_ordered_one_stays():
    level = RNG.integers(0, 4, ROWS)
    words = np.array(["none", "school", "college", "doctorate"])[level]
    columns = plan({"education": words, "education_num": level, "copy": X}).contract["columns"]
    assert columns["education_num"]["kind"] == "integer"
    assert "maps one to one to 'education_num'" in columns["education"]["reason"]
    assert "a copy of 'x'" in columns["copy"]["reason"]


def test_measurements_that_hardly_ever_repeat_are_not_one_to_one_but_those_in_two_units_are():
    celsius, other = RNG.normal(15, 8, ROWS), RNG.normal(size=ROWS)
    columns = plan({"celsius": celsius, "other": other, "fahrenheit": 32 + 1.8 * celsius}).contract["columns"]
    assert [columns[name]["kind"] for name in ("celsius", "other")] == ["number", "number"]
    assert "maps one to one to 'celsius'" in columns["fahrenheit"]["reason"]
    many = {name: RNG.normal(size=50_000) for name in ("one", "two")}
    made = infer(pa.table({**many, "answer": np.resize(LABEL, 50_000)}), "answer", "mine")
    assert {column["kind"] for column in made.contract["columns"].values()} == {"number"}


def test_an_id_that_is_missing_in_some_rows_is_none():
    made = plan({"customer_id": [None, *(RNG.permutation(ROWS)[1:] + 10_000)]})
    assert made.contract["columns"]["customer_id"]["kind"] == "ignored"


@pytest.mark.parametrize(
    ("name", "values", "limits"),
    [
        ("hour", range(24), [0, 24]),
        ("month", range(1, 13), [1, 12]),
        ("latitude", np.linspace(47, 54.9, 40), [-90, 90]),
        ("lng", np.linspace(5, 15, 40), [-180, 180]),
        ("humidity", np.linspace(20, 99.5, 40), [0, 100]),
        ("hours-per-week", range(1, 99), [0, 168]),
        ("opens", [f"{h}:30" for h in range(24)], [0, 24]),
        ("Monat", range(1, 12), [1, 12]),
        ("Längengrad", np.linspace(5, 15, 40), [-180, 180]),
        ("anteil_prozent", np.linspace(0, 95, 40), [0, 100]),
        ("rabatt", [f"{share} %" for share in range(40)], [0, 100]),
        ("punkte", range(101), [0, 100]),
        ("score", range(20, 99), [0, 140]),
        ("punkte", range(40), [0, 59]),
        ("latitude", np.linspace(400, 900, 40), [0, 1200]),
    ],
)
def test_a_range_has_room_and_still_means_something(name, values, limits):
    assert column(name, RNG.permutation(np.resize(list(values), ROWS)))["range"] == limits


@pytest.mark.parametrize(
    ("begin", "limits"),
    [("2012-01-01", ["2011-01-01", "2090-01-01"]), ("2095-01-01", ["2094-01-01", "2106-01-01"])],
)
def test_a_range_of_times_allows_those_of_today_and_none_without_end(begin, limits):
    days = np.datetime64(begin) + np.arange(ROWS) % 366
    assert column("hired", days)["range"] == limits


@pytest.mark.parametrize(
    ("name", "values", "doubt"),
    [
        ("order", RNG.integers(14 * 10**8, 15 * 10**8, ROWS), "may be times, as seconds since 1970"),
        ("v3", RNG.integers(15 * 10**11, 16 * 10**11, ROWS), "may be times, as milliseconds since 1970"),
        ("q1", RNG.choice([1, 2, 3, 4, 5, 8, 9], ROWS), "apart from all other values: 8 and 9"),
        ("parch", [*[0, 1, 2, 3, 4, 5, 6] * 50, *[9] * 5], ""),
    ],
)
def test_what_a_whole_number_may_be_instead_is_to_be_looked_at(name, values, doubt):
    made = plan({name: np.resize(values, ROWS)})
    assert made.contract["columns"][name]["kind"] == "integer"
    assert made.contract["split"] == {"by": "hash"}
    assert said(made, name).startswith(doubt)
    assert bool(said(made, name)) == bool(doubt)


@pytest.mark.parametrize("values", [4930_000_000 + np.arange(ROWS) * 7919, [f"+49 30 43{i:05}" for i in range(ROWS)]])
def test_a_telephone_number_is_no_number(values):
    assert column("phone", values)["kind"] in {"id", "ignored"}
