"""Predictions with outcomes, by clients who are honest or not."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from assay.contract.spec import Contract
from assay.data.reading import typed
from assay.predictions.read import Schema
from patients import contract, patients

DUE = datetime(2026, 11, 29, tzinfo=UTC)
START = DUE - timedelta(days=10)


def table(rows: int, seed: int, made: Contract | None = None) -> pa.Table:
    """Return rows as those of the data file."""
    given = made or contract()
    data, target = patients(rows, given.task, seed)
    arrays = {name: pa.array(values, from_pandas=True) for name, values in data.items()}
    arrays |= {"smoker": arrays["smoker"].cast(pa.bool_()), "age": arrays["age"].cast(pa.int64())}
    classes = given.classes
    arrays[given.target.name] = pa.array([classes[one] for one in target] if classes else target)
    return typed(pa.table(arrays), given, is_plain=True)[0]


def logged(
    rows: pa.Table,
    keys: Sequence[str | None],
    made: Contract | None = None,
    *,
    wrong: float = 0.05,
    start: int = 0,
    arm: str = "champion",
    time: datetime = START,
) -> pa.RecordBatch:
    """Return predictions of rows that are wrong with some probability, and their outcomes: those of the rows."""
    given = made or contract()
    schema = Schema(given)
    outcomes = rows[given.target.name].to_pylist()
    misses = np.random.default_rng(len(rows) + start).random(len(rows)) < wrong
    values: list[Any] = outcomes
    if given.classes:
        other = dict(zip(given.classes, reversed(given.classes), strict=True))
        values = [other[one] if miss else one for one, miss in zip(outcomes, misses, strict=True)]
    inputs = {name: rows[name].combine_chunks().cast(kind) for name, kind in schema.features.items()}
    return pa.RecordBatch.from_pydict(
        {
            "prediction_id": pa.array(
                [f"{START.timestamp() * 1000 + start + n:012.0f}-p-{n}" for n in range(len(rows))]
            ),
            "time": pa.array([time] * len(rows), pa.timestamp("us", tz="UTC")),
            "arm": pa.array([arm] * len(rows)),
            "key": pa.array(list(keys), pa.string()),
            "inputs": pa.StructArray.from_arrays(list(inputs.values()), fields=list(schema.arrow.field("inputs").type)),
            "prediction": pa.array(values),
            "outcome": pa.array(outcomes),
        }
    )


def with_outcomes(rows: pa.Table, outcomes: Sequence[Any], name: str = "outcome") -> pa.Table:
    """Return rows with other outcomes."""
    at = rows.column_names.index(name)
    return rows.set_column(at, name, pa.array(outcomes, rows.schema.field(name).type))


def flipped(rows: pa.Table) -> pa.Table:
    """Return rows with the opposite label."""
    other = {"sick": "well", "well": "sick"}
    return with_outcomes(rows, [other[one] for one in rows["outcome"].to_pylist()])
