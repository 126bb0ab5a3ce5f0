import json
from datetime import datetime
from typing import Any

import pyarrow as pa
from hypothesis import given

from assay.contract.request import as_json, request_model
from assay.contract.spec import Category, Contract, Time, parse_time
from assay.data.training_ranges import training_ranges
from assay.properties.strategies import as_table, tables
from examples import contract, row

WARD = contract()


def seen_in(*rows: dict[str, Any], made: Contract = WARD) -> dict[str, list[Any]]:
    return training_ranges(as_table([row(**values) for values in rows], made), made)


def test_numbers_and_times_have_ends_and_categories_have_values() -> None:
    found = seen_in(
        {"_x": 2.5, "schema": 40, "seen": datetime(2021, 1, 1, 12), "c0": "red"},
        {"_x": -1.0, "schema": 7, "seen": datetime(2022, 1, 1), "c0": "green"},
        {"_x": 0.0, "schema": 8, "seen": datetime(2020, 1, 1), "c0": "red"},
    )
    assert found["_x"] == [-1.0, 2.5]
    assert found["schema"] == [7, 40]
    assert found["seen"] == ["2020-01-01T00:00:00", "2022-01-01T00:00:00"]
    assert found["c0"] == ["green", "red"]


def test_what_has_neither_ends_nor_few_values_is_not_there() -> None:
    assert set(WARD.features) - set(seen_in({})) == {"model_x", "maybe", "note", "remark"}
    assert set(seen_in({})) <= set(WARD.features)


def test_a_time_is_written_in_the_format_of_its_column() -> None:
    # The later day comes first in the order of letters.
    days = seen_in({"born": datetime(1970, 5, 17)}, {"born": datetime(1999, 1, 2)})["born"]
    assert days == ["17/05/1970", "02/01/1999"]


def test_missing_values_are_not_seen() -> None:
    gap = {"1st": None, "count": None, "born": None, "size": None}
    found = seen_in({"1st": 3.5, "count": 2, "born": datetime(1970, 5, 17), "size": "S"}, gap)
    assert [found[name] for name in gap] == [[3.5, 3.5], [2, 2], ["17/05/1970", "17/05/1970"], ["S"]]
    assert [seen_in(gap)[name] for name in gap] == [[], [], [], []]


@given(tables(WARD, max_rows=4))
def test_a_request_may_hold_what_was_seen(table: pa.Table) -> None:
    body = request_model(WARD, max_rows=1)
    known = as_json(table.to_pylist()[0], WARD)
    for name, values in training_ranges(table, WARD).items():
        for value in values:
            body.model_validate_json(json.dumps({"rows": [known | {name: value}]}))


@given(tables(WARD, max_rows=4))
def test_nothing_that_was_there_lies_outside(table: pa.Table) -> None:
    for name, values in training_ranges(table, WARD).items():
        there = [one for one in table[name].to_pylist() if one is not None]
        match WARD.features[name]:
            case Category():
                assert set(there) == set(values)
            case Time(format=form):
                assert [min(there), max(there)] == [parse_time(end, form) for end in values] if there else not values
            case _:
                assert [min(there), max(there)] == values if there else not values
