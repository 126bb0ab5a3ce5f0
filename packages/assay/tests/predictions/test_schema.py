"""Answers to many rows, as tables of the prediction log."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from assay.data.columns import RequestColumns, columns
from assay.inference.predictor import PredictionBatch, record
from assay.predictions.schema import TOGETHER, Tables
from assay.predictions.write import Request
from assay.properties.strategies import as_table, rows
from examples import contract

WARD = contract()
NOW = datetime(2026, 11, 22, tzinfo=UTC)
SOME = st.lists(rows(WARD), min_size=1, max_size=5)
TABLES = Tables(WARD, {name: name for name in WARD.features})


@given(parts=st.lists(SOME, min_size=1, max_size=3))
def test_columns_of_requests_become_the_table_that_they_come_from(parts: list[list[dict[str, Any]]]) -> None:
    came = [as_table(part, WARD).select(list(WARD.features)) for part in parts]
    made = TABLES.features([RequestColumns(columns(table, WARD)) for table in came])
    found = pa.table(dict(zip(WARD.features, made, strict=True)))
    found.validate(full=True)
    whole = pa.concat_tables(came)
    assert found.cast(whole.schema) == whole


def request(name: str, values: list[float | None], version: str = "v1") -> Request:
    labels, rows = np.array(["no", "yes"], dtype=object), len(values)
    scores = np.tile([0.25, 0.75], (rows, 1))
    told = PredictionBatch(
        name, scores, {rows - 1: [name]}, labels, record(labels), np.ones(rows, int), np.zeros(rows, int)
    )
    data = {"a": np.array(values, dtype=float), "b": np.array(["x"] * rows, dtype=object)}
    return Request(told, data, version, "champion", NOW)


TWO = contract(
    columns={"a": {"kind": "number", "missing": "allow"}, "b": {"kind": "category", "values": ["y", "x"]}},
    target={"name": "t", "classes": ["no", "yes"], "positive": "yes"},
)


def made(requests: list[Request]) -> list[list[dict[str, Any]]]:
    """Return what is read of the tables that are made of requests."""
    tables = Tables(TWO, {"a": "a", "b": "B"})
    messages = [table.serialize().to_pybytes() for table in tables.of(requests)]
    empty, *found = pa.ipc.open_stream(tables.beginning.to_pybytes() + b"".join(messages))
    assert empty.num_rows == 0
    return [table.to_pylist() for table in found]


def test_requests_that_wait_together_are_one_table_row_by_row_in_their_order() -> None:
    (found,) = made([request("p", [1.0, None]), request("q", [3.0, 4.0])])
    assert [row["a"] for row in found] == [1.0, None, 3.0, 4.0]
    assert [row["prediction_id"] for row in found] == ["p-0", "p-1", "q-0", "q-1"]
    assert [row["warnings"] for row in found] == [[], ["p"], [], ["q"]]
    assert found[1] == {
        "a": None,
        "B": "x",
        "prediction": "yes",
        "prediction_id": "p-1",
        "probabilities": {"no": 0.25, "yes": 0.75},
        "decision": "no",
        "warnings": ["p"],
        "model_version": "v1",
        "role": "champion",
        "timestamp": NOW,
    }


def test_what_another_version_answered_is_another_table() -> None:
    asked = [request("p", [1.0, 2.0]), request("q", [1.0, 2.0]), request("r", [1.0, 2.0], version="v2")]
    assert [{row["model_version"] for row in table} for table in made(asked)] == [{"v1"}, {"v2"}]


def test_no_request_is_lost_or_written_twice_where_many_wait() -> None:
    asked = [request(f"p{number}", [1.0, 2.0]) for number in range(2 * TOGETHER + 1)]
    found = made(asked)
    assert len(found) == 3
    assert [row["prediction_id"] for table in found for row in table] == [
        f"p{number}-{row}" for number in range(len(asked)) for row in (0, 1)
    ]


def test_what_one_model_answered_is_together_also_where_another_answered_in_between() -> None:
    asked = [request(f"p{number}", [1.0], version=f"v{number % 2}") for number in range(6)]
    found = [[(row["model_version"], row["prediction_id"]) for row in table] for table in made(asked)]
    assert found == [[("v0", "p0-0"), ("v0", "p2-0"), ("v0", "p4-0")], [("v1", "p1-0"), ("v1", "p3-0"), ("v1", "p5-0")]]


def test_lists_stay_apart_whatever_columns_are_called() -> None:
    lists = {"timestamp": ["a", "b"], "": ["c"], "\x00": ["no", "d"], 'a "b"': ["b", "a"]}
    odd = contract(columns={name: {"kind": "category", "values": values} for name, values in lists.items()})
    tables = Tables(odd, {name: f"feature {name}" for name in lists})
    data = {name: np.array(values[-1:] * 2, dtype=object) for name, values in lists.items()}
    (table,) = tables.of([replace(request("p", [1.0, 2.0]), data=data)])
    read = pa.ipc.open_stream(tables.beginning.to_pybytes() + table.serialize().to_pybytes()).read_all()
    for row in read.to_pylist():
        assert [row[f"feature {name}"] for name in lists] == [values[-1] for values in lists.values()]
        assert (row["prediction"], row["decision"]) == tuple(odd.classes[place] for place in (1, 0))
