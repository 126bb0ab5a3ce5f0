"""Contracts and rows that tests share."""

import json
from copy import deepcopy
from datetime import datetime
from typing import Any

import pyarrow as pa

from assay.contract.spec import Contract
from assay.data.check import check
from assay.data.reading import typed
from assay.data.split import assign, places
from assay.data.violations import Violation
from assay.project.params import Prepare
from assay.properties.strategies import as_table

TASKS = ("binary", "multiclass", "regression")
TARGETS: dict[str, dict[str, Any]] = {
    "binary": {"name": "sick", "classes": ["no", "yes"], "positive": "yes"},
    "multiclass": {"name": "sick", "classes": ["no", "a bit", "very"]},
    "regression": {"name": "sick", "range": [0, 100], "unit": "days"},
}
COLUMNS: dict[str, dict[str, Any]] = {
    "patient": {"kind": "id"},
    "income-per-year": {"kind": "number", "range": [0, 0.4], "unit": "M€", "description": "before tax"},
    "1st": {"kind": "number", "range": [-1.5, 60], "missing": "allow"},
    "_x": {"kind": "number"},
    "floor": {"kind": "number", "range": [0, float("inf")]},
    "schema": {"kind": "integer", "range": [-3, 120]},
    "count": {"kind": "integer", "missing": "allow"},
    "model_x": {"kind": "boolean"},
    "maybe": {"kind": "boolean", "missing": "allow"},
    "c0": {"kind": "category", "values": ["red", "green", 'très bleu, "oui"']},
    "size": {"kind": "category", "values": ["S"], "missing": "allow"},
    "note": {"kind": "text", "max_length": 50},
    "remark": {"kind": "text", "max_length": 1, "missing": "allow"},
    "seen": {"kind": "time", "range": ["2020-01-01", "2024-12-31T23:59:59"]},
    "born": {"kind": "time", "format": "%d/%m/%Y", "range": ["1900-01-01", "2030-06-30"], "missing": "allow"},
    "ever": {"kind": "time"},
    "scribble": {"kind": "ignored", "reason": "typed in by hand"},
}
# One row that keeps to every contract below; the target is added to it.
ROW: dict[str, Any] = {
    "patient": "p1",
    "income-per-year": 0.2,
    "1st": 3.5,
    "_x": -7.25,
    "floor": 1e9,
    "schema": 40,
    "count": 2,
    "model_x": True,
    "maybe": False,
    "c0": "red",
    "size": "S",
    "note": "well",
    "remark": "r",
    "seen": datetime(2021, 2, 3, 4, 5, 6, 7),
    "born": datetime(1970, 5, 17),
    "ever": datetime(1815, 6, 18, 11, 35),
    "scribble": "zzz",
}
LABELS: dict[str, tuple[Any, Any]] = {
    "binary": ("no", "yes"),
    "multiclass": ("a bit", "very"),
    "regression": (1.0, 2.0),
}


def plain(task: str = "binary", **changes: Any) -> dict[str, Any]:
    """Return a contract with every kind of column as plain data, with some keys changed."""
    made = {"name": "ward", "data": "data/ward.csv", "task": task, "target": TARGETS[task], "columns": COLUMNS}
    return deepcopy(made | changes)


def contract(task: str = "binary", **changes: Any) -> Contract:
    """Return a contract with every kind of column."""
    return Contract.model_validate_json(json.dumps(plain(task, **changes)))


def small(columns: dict[str, dict[str, Any]], task: str = "binary", **changes: Any) -> Contract:
    """Return a contract with these columns only."""
    return contract(task, columns=columns, **changes)


def row(task: str = "binary", **values: Any) -> dict[str, Any]:
    """Return a row that keeps to the contract, but for the values given."""
    return ROW | {"sick": LABELS[task][0]} | values


def beside(made: dict[str, Any], task: str) -> list[dict[str, Any]]:
    """Return a row between two good ones of different classes, so that no rule about whole columns is broken."""
    return [row(task, patient="p0"), made, row(task, patient="p2", sick=LABELS[task][1])]


def faults(rows: list[dict[str, Any]], made: Contract) -> list[Violation]:
    """Return all that reading and checking say of rows."""
    table, violations = typed(as_table(rows, made), made)
    return violations + check(table, made)


def parts(table: pa.Table, made: Contract, shares: Prepare) -> dict[str, pa.Table]:
    """Return the rows of each side of the split."""
    return {side: table.take(pa.array(index)) for side, index in places(assign(table, made, shares)).items()}
