"""Answers to many rows, as tables of the prediction log."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from assay.contract.strategies import as_table, rows
from assay.data.columns import columns
from assay.serve.answering import Told, record
from assay.serve.logged import features, logged
from examples import contract

WARD = contract()


@given(data=st.lists(rows(WARD), min_size=1, max_size=5))
def test_columns_become_the_table_that_they_come_from(data: list[dict[str, Any]]) -> None:
    table = as_table(data, WARD).select(list(WARD.features))
    assert features(columns(table, WARD), WARD) == table


def test_tables_that_came_in_pieces_are_one() -> None:
    piece = pa.table({"a": pa.array([1.0, None]), "b": pa.array(["x", "y"])})
    scores = np.array([[0.25, 0.75], [0.5, 0.5], [1.0, 0.0], [0.1, 0.9]])
    labels = ["yes", "no", "no", "yes"]
    told = Told(scores, labels, ["p0", "p1", "p2", "p3"], labels, {1: ["a: 3"]}, record(("no", "yes")))
    now = datetime(2026, 11, 22, tzinfo=UTC)
    schema, body = logged(
        told, pa.concat_tables([piece, piece]), {"a": "a", "b": "B"}, ("no", "yes"), {"timestamp": now}
    )
    found = pa.ipc.open_stream(b"".join((schema, body))).read_all().to_pylist()
    assert [row["a"] for row in found] == [1.0, None, 1.0, None]
    assert found[1] == {
        "a": None,
        "B": "y",
        "prediction": "no",
        "prediction_id": "p1",
        "probabilities": {"no": 0.5, "yes": 0.5},
        "decision": "no",
        "warnings": ["a: 3"],
        "timestamp": now,
    }
