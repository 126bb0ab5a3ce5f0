"""What a client sends keeps its meaning, or the version says that it does not."""

import json
from typing import Any

import pytest

from assay.contract.compatible import serves_clients_of
from assay.contract.spec import Contract

COLUMNS: dict[str, dict[str, Any]] = {
    "age": {"kind": "number", "range": [0, 120], "unit": "years"},
    "beds": {"kind": "integer", "missing": "allow"},
    "ward": {"kind": "category", "values": ["a", "b"]},
    "note": {"kind": "text", "max_length": 100},
    "when": {"kind": "time", "range": ["2020-01-01", "2030-01-01"]},
    "key": {"kind": "id"},
}
TARGET: dict[str, Any] = {"name": "ill", "classes": ["no", "yes"], "positive": "yes"}


def contract(target: dict[str, Any] | None = None, **columns: dict[str, Any] | None) -> Contract:
    """Return a contract with some columns changed, added, replaced by one of another kind, or with None removed."""
    changed = dict(COLUMNS)
    for name, column in columns.items():
        if column is None:
            del changed[name]
        else:
            changed[name] = column if "kind" in column else COLUMNS[name] | column
    about = {"name": "ward", "description": "x", "task": "binary", "data": "data/x.csv"}
    return Contract.model_validate_json(json.dumps(about | {"target": TARGET | (target or {}), "columns": changed}))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"age": {"range": [-1, 121]}},
        {"age": {"range": None}},
        {"age": {"missing": "allow"}},
        {"ward": {"values": ["b", "c", "a"]}},
        {"note": {"max_length": 101}},
        {"when": {"range": ["2019-01-01", "2031-01-01"]}},
        {"new": {"kind": "boolean", "missing": "allow"}},
        {"new": {"kind": "id"}},
        {"key": None},
        {"age": {"description": "other words"}},
    ],
)
def test_what_widens_leaves_clients_as_they_are(changes: dict[str, Any]) -> None:
    assert serves_clients_of(contract(), contract(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"age": {"range": [1, 120]}},
        {"age": {"range": [0, 119]}},
        {"age": {"unit": "months"}},
        {"beds": {"missing": "refuse"}},
        {"beds": {"range": [0, 5]}},
        {"beds": {"kind": "number", "missing": "allow"}},
        {"ward": {"values": ["a", "c"]}},
        {"note": {"max_length": 99}},
        {"when": {"format": "%d.%m.%Y"}},
        {"new": {"kind": "boolean"}},
        {"note": None},
        {"age": {"kind": "ignored", "reason": "x"}},
        # A client may not know the new label.
        {"target": {"classes": ["no", "very"], "positive": "very"}},
        {"target": {"positive": "no"}},
        {"target": {"name": "sick"}},
    ],
)
def test_what_narrows_or_means_something_else_does_not(changes: dict[str, Any]) -> None:
    assert not serves_clients_of(contract(), contract(**changes))
