"""A made-up model in production: its reference, and batches of its prediction log."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from assay.contract.spec import Contract
from assay.export.reference import Reference, Scored, make_reference
from assay.production.monitor import monitor
from assay.production.windows import Watch, look
from patients import COLUMNS, contract, patients

NOW = datetime(2026, 11, 29, tzinfo=UTC)
COSTS = {"false_positive": 1, "false_negative": 4, "unit": "visit"}
VERSION = "0123456789ab"
Change = Callable[[dict[str, np.ndarray]], None]


def made(task: str = "binary") -> Contract:
    return contract(task, **({"costs": COSTS} if task == "binary" else {}))


def world(rows: int, seed: int, task: str, change: Change | None = None) -> tuple[pa.Table, Scored, np.ndarray]:
    """Return rows, the scores of a model that knows their truth but for chance, and the outcomes."""
    data, _ = patients(rows, seed=seed)
    rng = np.random.default_rng([seed, 0])
    if change:
        change(data)
    risk = 0.06 * (np.nan_to_num(data["age"], nan=55) - 55) + 1.5 * (data["ward"] == "west")
    # What a change adds to the truth, and the model does not know.
    drift = data.pop("drift", np.zeros(rows))
    arrays = {name: pa.array(values, from_pandas=True) for name, values in data.items()}
    table = pa.table(arrays | {"smoker": arrays["smoker"].cast(pa.bool_())})
    if task == "regression":
        return table, Scored(risk, risk), risk + drift + rng.normal(0, 0.5, rows)
    positive = 1 / (1 + np.exp(-risk))
    parts = [1 - positive, positive] if task == "binary" else [1 - positive, positive * 0.7, positive * 0.3]
    scores = np.stack(parts, axis=1)
    truth = scores.copy()
    truth[:, 1] = np.clip(truth[:, 1] + drift, 0, 1)
    truth /= truth.sum(axis=1, keepdims=True)
    target = (rng.random((rows, 1)) > truth.cumsum(axis=1)[:, :-1]).sum(axis=1)
    decision = (positive >= 0.2).astype(int) if task == "binary" else scores.argmax(axis=1)
    return table, Scored(scores, decision), target


def without_log(column: str, how: str) -> Contract:
    """Return the contract with a column that the log hashes or omits."""
    return contract(costs=COSTS, columns=COLUMNS | {column: {**COLUMNS[column], "log": how}})


def reference(rows: int = 4000, task: str = "binary", contract: Contract | None = None) -> Reference:
    table, scored, target = world(rows, 1_000_000, task)
    counted = {"features": rows, "scores": rows, "losses": rows}
    return make_reference(contract or made(task), table, scored, (scored, target), counted)


@cache
def day(
    ago: int,
    rows: int = 300,
    task: str = "binary",
    change: Change | None = None,
    outcomes: float = 1.0,
    version: str = VERSION,
) -> pa.RecordBatch:
    """Return the log of a day, `ago` days before NOW; a share of the rows has outcomes."""
    table, scored, target = world(rows, ago, task, change)
    classes = made(task).classes
    start = NOW - timedelta(days=ago)
    times = [start + timedelta(hours=24 * row / rows) for row in range(rows)]
    labels: Any = [classes[index] for index in target] if classes else target.tolist()
    has = np.random.default_rng([ago, 1]).random(rows) < outcomes
    inputs = pa.StructArray.from_arrays([column.combine_chunks() for column in table.columns], names=table.column_names)
    columns = {
        "prediction_id": pa.array([f"{ago:012x}-{row}" for row in range(rows)]),
        "time": pa.array(times, pa.timestamp("us", tz="UTC")),
        "version": pa.array([version] * rows),
        "arm": pa.array(["champion"] * rows),
        "contract": pa.array(["c0ffee"] * rows),
        "key": pa.nulls(rows, pa.string()),
        "inputs": inputs,
        "prediction": pa.array(scored.scores if not classes else [classes[i] for i in scored.scores.argmax(axis=1)]),
        "decision": pa.nulls(rows, pa.string()) if not classes else pa.array([classes[i] for i in scored.decision]),
        "probabilities": pa.nulls(rows)
        if not classes
        else pa.StructArray.from_arrays([pa.array(part) for part in scored.scores.T], list(classes)),
        "warnings": pa.array([[]] * rows, pa.list_(pa.string())),
        "outcome": pa.array(
            [label if known else None for label, known in zip(labels, has, strict=True)],
            pa.string() if classes else pa.float64(),
        ),
    }
    return pa.RecordBatch.from_pydict(columns)


@cache
def promised(task: str = "binary", rows: int = 4000) -> Reference:
    return reference(rows, task)


def watch(task: str = "binary", **changes: Any) -> Watch:
    given: dict[str, Any] = {
        "contract": made(task),
        "reference": promised(task),
        "version": VERSION,
        "since": NOW - timedelta(days=90),
        "until": NOW,
        "now": NOW,
        **changes,
    }
    return Watch(**given)


def at_the_weekend(days: np.ndarray) -> np.ndarray:
    return np.asarray((days + 3) % 7 >= 5)


def in_winter(days: np.ndarray) -> np.ndarray:
    return np.asarray(days % 180 < 90)


def seasons(rows: int, *, by_day: bool, are_older: Callable[[np.ndarray], np.ndarray] = at_the_weekend) -> Reference:
    """Return a reference in which older people come on some days, which are known or not."""
    # Two years and more, from a Monday on.
    days = 4 + np.arange(rows) % 728

    def change(data: dict[str, np.ndarray]) -> None:
        data["age"] = np.where(are_older(days), np.minimum(data["age"] + 20, 120), data["age"])

    table, scored, target = world(rows, 1_000_001, "binary", change)
    counted = {"features": rows, "scores": rows, "losses": rows}
    return make_reference(
        made(), table, scored, (scored, target), counted, (days, days, None) if by_day else (None, None, None)
    )


def said(batches: Iterable[pa.RecordBatch], task: str = "binary", **changes: Any) -> dict[str, Any]:
    watched = watch(task, **changes)
    return monitor(watched, look(batches, watched))


def found(result: dict[str, Any], check: str) -> dict[str, Any]:
    return next(one for one in result["outcomes"] if one["check"] == check)


def days(number: int, change: Change | None = None, last: int = 3, **changes: Any) -> list[pa.RecordBatch]:
    """Return some days, the last of which are changed."""
    return [day(ago, change=change if ago <= last else None, **changes) for ago in range(number, 0, -1)]


def missing(data: dict[str, np.ndarray]) -> None:
    data["age"] = np.where(np.arange(len(data["age"])) % 20 == 0, np.nan, data["age"])
