"""Tables as requests: what is wrong is found, and what is right is read, whether quickly or not."""

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.contract.spec import Contract
from assay.contract.strategies import as_table, breaches, rows
from assay.data.columns import from_rows
from assay.serve import tables
from assay.serve.answering import Told, record
from assay.serve.refusal import Refused
from assay.serve.tables import PARQUET, STREAM, prediction_ids, read_table, write_table
from examples import contract, row
from served import sent_as

WARD = contract()
MOST = 5


def encoded(table: pa.Table, kind: bytes = STREAM) -> bytes:
    return sent_as(kind.decode(), table)


def read(table: pa.Table, made: Contract = WARD) -> tuple[Any, list[str]]:
    """Return the columns of a table and what is wrong with it; where nothing is, slowly and quickly are the same."""
    data, violations = read_table(encoded(table), STREAM, made, MOST)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_right", lambda table, contract: None)
        slow, found = read_table(encoded(table), STREAM, made, MOST)
    assert violations == found
    same(data, slow)
    return data, [str(violation) for violation in violations]


def same(data: Any, wanted: Any) -> None:
    assert data.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_array_equal(data[name], values)
        assert data[name].dtype == values.dtype


def features(made: list[dict[str, Any]]) -> pa.Table:
    table = as_table(made, WARD)
    return table.select(list(WARD.features))


@given(data=st.lists(rows(WARD), min_size=1, max_size=MOST), kind=st.sampled_from([STREAM, PARQUET]))
def test_rows_of_the_contract_are_read_as_they_are(data: list[dict[str, Any]], kind: bytes) -> None:
    found, violations = read_table(encoded(features(data), kind), kind, WARD, MOST)
    assert not violations
    same(found, {name: values for name, values in from_rows(data, WARD).items() if name in WARD.features})


def test_a_table_of_the_types_of_the_contract_is_read_quickly() -> None:
    only = WARD.model_copy(update={"columns": WARD.features})
    assert tables._right(features([row(), row()]), only) is not None


@pytest.mark.parametrize(("name", "rule", "values"), [one for one in breaches(WARD) if one[0] in WARD.features])
@settings(max_examples=10)
@given(data=st.data())
def test_a_value_that_breaks_the_contract_is_named(name: str, rule: str, values: Any, data: st.DataObject) -> None:
    (violation,) = read(features([row(), row(**{name: data.draw(values)})]))[1]
    assert violation.startswith(f"column {name!r}")
    assert rule in violation


def test_the_ends_of_a_range_belong_to_it_and_what_is_next_to_them_does_not() -> None:
    lowest, highest = -1.5, 60.0
    for inside, outside in ((lowest, np.nextafter(lowest, -2)), (highest, np.nextafter(highest, 61))):
        assert not read(features([row(**{"1st": inside})]))[1]
        assert read(features([row(**{"1st": outside})]))[1]


@pytest.mark.parametrize("name", [name for name, column in WARD.features.items() if column.missing == "allow"])
def test_a_column_that_may_have_gaps_may_have_nothing_else(name: str) -> None:
    assert not read(features([row(**{name: None})]))[1]


@pytest.mark.parametrize("name", [name for name, column in WARD.features.items() if column.missing == "refuse"])
def test_a_gap_is_refused_where_the_contract_has_none(name: str) -> None:
    (violation,) = read(features([row(), row(**{name: None})]))[1]
    assert "missing value" in violation
    assert read(features([row(**{name: None})]))[1]


def test_columns_that_the_model_does_not_use_may_be_there_and_no_others() -> None:
    table = as_table([row()], WARD)
    assert set(table.column_names) > set(WARD.features)
    assert not read(table)[1]
    (violation,) = read(table.append_column("other", pa.array([1])))[1]
    assert "column 'other': unknown column" in violation
    (violation,) = read(table.drop_columns(["schema"]))[1]
    assert "missing column" in violation


OTHERS = [pa.float32(), pa.int64(), pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]


@pytest.mark.parametrize("kind", OTHERS)
def test_values_may_have_another_type_that_holds_the_same(kind: pa.DataType) -> None:
    table = features([row(**{"1st": 3.0})])
    place = table.column_names.index("1st")
    if pa.types.is_dictionary(kind) or pa.types.is_large_string(kind):
        place = table.column_names.index("c0")
    changed = table.set_column(place, table.column_names[place], table.column(place).cast(kind))
    same(read(changed)[0], read(table)[0])


def test_a_whole_number_that_no_float_holds_is_refused() -> None:
    (violation,) = read(features([row(count=2**53 + 1)]))[1]
    assert "above the range" in violation


CUT = [encoded(features([row()]))[:-50], encoded(features([row()]), PARQUET)[:-5]]


@pytest.mark.parametrize("body", [b"", b"no table", *CUT])
@pytest.mark.parametrize("kind", [STREAM, PARQUET])
def test_what_is_no_whole_table_is_refused(body: bytes, kind: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_table(body, kind, WARD, MOST)
    assert refused.value.status == 400


@pytest.mark.parametrize("kind", [STREAM, PARQUET])
def test_more_rows_than_are_taken_are_too_large(kind: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_table(encoded(features([row()] * (MOST + 1)), kind), kind, WARD, MOST)
    assert refused.value.status == 413


def test_answers_are_a_table_with_a_column_for_each_class() -> None:
    scores = np.array([[0.75, 0.25], [0.5, 0.5], [0.1, 0.9]])
    warnings = {2: ["age: 200", "noise: 20"], 0: ["age: 201"]}
    labels = np.array(["no", "yes"], dtype=object)
    told = Told("p", scores, warnings, labels, record(labels), np.array([0, 1, 1]), np.array([0, 0, 1]))
    table = pa.ipc.open_stream(write_table(told, ("no", "yes"), "v1", STREAM)).read_all()
    assert table.to_pylist() == [
        {
            "prediction": one.prediction,
            "decision": one.decision,
            "prediction_id": one.prediction_id,
            "probability no": msgspec.to_builtins(one.probabilities)["no"],
            "probability yes": msgspec.to_builtins(one.probabilities)["yes"],
            "warnings": one.warnings,
        }
        for one in told.rows()
    ]
    assert table.schema.metadata == {b"model_version": b"v1"}


def test_numbers_that_are_answered_are_a_column() -> None:
    told = Told("p", np.array([1.5, 2.5]), {}, np.array([], dtype=object), record(()))
    table = pq.read_table(pa.BufferReader(write_table(told, (), "v1", PARQUET)))
    assert table.column_names == ["prediction", "prediction_id", "warnings"]
    assert table["prediction"].to_pylist() == [1.5, 2.5]


@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=4))
def test_predictions_are_called_in_a_table_as_they_are_in_rows(sizes: list[int]) -> None:
    told = [Told(f"p{size}", np.zeros(size), {}, np.array([], dtype=object), record(())) for size in sizes]
    names = prediction_ids(told)
    names.validate(full=True)
    assert names.to_pylist() == [answer.prediction_id for one in told for answer in one.rows()]
