from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.base.errors import InputError
from assay.contract.spec import Category
from assay.data.columns import (
    LARGEST,
    MANY,
    RequestColumns,
    codes,
    columns,
    from_rows,
    length,
    single,
    stacked,
    take,
    target,
)
from assay.properties.strategies import as_table, rows
from examples import contract, row, small

WARD = contract()


@given(st.lists(rows(WARD), min_size=1, max_size=4))
def test_rows_and_tables_give_the_same_columns(made: list[dict[str, Any]]) -> None:
    of_table, of_rows = columns(as_table(made, WARD), WARD), from_rows(made, WARD)
    assert list(of_table) == list(of_rows) == list(WARD.features)
    for name in WARD.features:
        assert of_table[name].dtype == of_rows[name].dtype
        np.testing.assert_array_equal(of_table[name], of_rows[name])
    assert length(of_table) == length(of_rows) == len(made)


def test_each_kind_has_its_type_and_its_sign_for_missing() -> None:
    empty = {name: None for name, column in WARD.columns.items() if column.missing == "allow"}
    made = columns(as_table([row(), row() | empty], WARD), WARD)
    assert {name: values.dtype.str[1:] for name, values in made.items()} == {
        "income-per-year": "f8",
        "1st": "f8",
        "_x": "f8",
        "floor": "f8",
        "schema": "f8",
        "count": "f8",
        "model_x": "f8",
        "maybe": "f8",
        "c0": "O",
        "size": "O",
        "note": "O",
        "remark": "O",
        "seen": "M8[us]",
        "born": "M8[us]",
        "ever": "M8[us]",
    }
    assert np.isnan([made["1st"][1], made["count"][1], made["maybe"][1]]).all()
    assert made["size"][1] is None
    assert made["remark"][1] is None
    assert np.isnat(made["born"][1])
    assert made["born"][0].item() == datetime(1970, 5, 17)


def test_no_rows_are_columns_of_no_length() -> None:
    made = from_rows([], WARD)
    assert length(made) == 0
    assert made["_x"].dtype == np.float64


def test_no_names_are_no_columns() -> None:
    assert columns(as_table([row()], WARD), WARD, []) == {}


def test_columns_can_be_written_to_without_touching_the_table() -> None:
    table = as_table([row()], WARD)
    columns(table, WARD)["_x"][0] = 99
    assert table["_x"].to_pylist() == [-7.25]


def test_rows_are_taken_by_index_or_mask() -> None:
    made = {"a": np.array([1.0, 2.0, 3.0]), "b": np.array(["x", "y", "z"], dtype=object)}
    for index in (np.array([2, 0]), np.array([True, False, True])):
        taken = take(made, index)
        assert sorted(taken["a"]) == [1.0, 3.0]
        assert sorted(taken["b"]) == ["x", "z"]
    assert length(made) == 3


def test_a_number_too_large_for_single_precision_is_the_largest() -> None:
    given_ = np.array([1e300, -1e300, 3.4e38, 0.1, np.nan])
    made = single(given_)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, np.array([LARGEST, -LARGEST, 3.4e38, 0.1, np.nan], dtype=np.float32))


@pytest.mark.parametrize(
    ("task", "values", "wanted"),
    [
        ("binary", ["yes", "no", "yes"], [1, 0, 1]),
        ("multiclass", ["very", "no", "a bit"], [2, 0, 1]),
        ("regression", [1.5, 0.0, 100.0], [1.5, 0.0, 100.0]),
    ],
)
def test_the_target_is_an_index_of_the_classes_or_a_number(task: str, values: list[Any], wanted: list[float]) -> None:
    made = target(pa.table({"sick": values}), small({"x": {"kind": "number"}}, task))
    assert made.tolist() == wanted
    assert made.dtype == (np.float64 if task == "regression" else np.int64)


def test_a_target_too_large_for_single_precision_is_refused_since_its_square_is_infinite() -> None:
    of_numbers = small({"x": {"kind": "number"}}, "regression")
    assert target(pa.table({"sick": [-LARGEST]}), of_numbers) == [-LARGEST]
    with pytest.raises(InputError, match=r"target 'sick': 1e\+200 is too large"):
        target(pa.table({"sick": [0.0, -1e200]}), of_numbers)


@pytest.mark.parametrize("rows", [1, MANY - 1, MANY, MANY + 1])
@pytest.mark.parametrize("kinds", [["f8"], ["f8", "i8", "?", "f4"], ["?", "f8"], ["O", "O"]], ids=str)
def test_stacked_columns_are_rows_of_a_matrix_whatever_their_number_and_type(rows: int, kinds: list[str]) -> None:
    # Each second value of a longer array, so not in one piece.
    columns = [np.arange(number, 2 * rows + number).astype(kind)[::2] for number, kind in enumerate(kinds)]
    np.testing.assert_array_equal(stacked(columns), np.stack(columns))


def test_a_request_is_asked_for_the_codes_of_a_category_once() -> None:
    column = contract(columns={"c": {"kind": "category", "values": ["b", "a"]}}).columns["c"]
    assert isinstance(column, Category)
    plain = {"c": np.array(["a", "b", None, "z"], dtype=object)}
    asked = RequestColumns(plain)
    assert codes(plain, "c", column).tolist() == codes(asked, "c", column).tolist() == [1, 0, 2, -1]
    assert codes(asked, "c", column) is codes(asked, "c", column)
    assert codes(plain, "c", column) is not codes(plain, "c", column)
