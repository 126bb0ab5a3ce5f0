"""A small made-up problem with every kind of feature but text, with gaps, for any task."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from assay.contract.spec import Contract
from places import ROOT

COLUMNS = {
    "age": {"kind": "integer", "range": [0, 120]},
    "heart-rate": {"kind": "number", "range": [30, 220], "missing": "allow"},
    "noise": {"kind": "number", "range": [-10, 10]},
    "smoker": {"kind": "boolean", "missing": "allow"},
    "ward": {"kind": "category", "values": ["north", "south", "west"], "missing": "allow"},
    "street": {"kind": "category", "values": [f"street {i}" for i in range(30)]},
    "admitted": {"kind": "time"},
}
TARGETS = {
    "binary": {"name": "outcome", "classes": ["sick", "well"], "positive": "sick"},
    "multiclass": {"name": "outcome", "classes": ["sick", "well", "unsure"]},
    "regression": {"name": "outcome"},
}


def contract(task: str = "binary", **changes: object) -> Contract:
    made = {"name": "patients", "data": "data/x.csv", "task": task, "target": TARGETS[task], "columns": COLUMNS}
    return Contract.model_validate_json(json.dumps(made | changes))


def patients(rows: int, task: str = "binary", seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return columns, and a target that depends on age, heart rate, ward and street, and on nothing else."""
    rng = np.random.default_rng(seed)
    age = rng.integers(20, 90, rows).astype(float)
    rate = rng.normal(80, 15, rows).clip(30, 220).round(1)
    ward = rng.choice(["north", "south", "west"], rows).astype(object)
    street = rng.integers(0, 30, rows)
    risk = 0.06 * (age - 55) + 0.05 * (rate - 80) + 1.5 * (ward == "west") - 0.5 + 0.05 * (street - 15)
    noisy = risk + rng.normal(0, 0.5, rows)
    target = {
        "binary": (noisy > 0).astype(np.int64),
        "multiclass": np.digitize(noisy, [-0.8, 0.8]).astype(np.int64),
        "regression": noisy,
    }[task]
    gaps = rng.random((3, rows)) < 0.1
    data = {
        "age": age,
        "heart-rate": np.where(gaps[0], np.nan, rate),
        "noise": rng.normal(0, 1, rows),
        "smoker": np.where(gaps[1], np.nan, rng.integers(0, 2, rows)),
        "ward": np.where(gaps[2], None, ward),
        "street": np.array([f"street {i}" for i in street], dtype=object),
        "admitted": np.datetime64("2024-01-01", "us") + rng.integers(0, 10**13, rows).astype("timedelta64[us]"),
    }
    return data, target


def write_project(rows_per_group: int, split: Mapping[str, str]) -> None:
    """Write a project of patients into the current folder, whose data have several groups of rows."""
    data, target = patients(400)
    table = pa.table({name: pa.array(values, from_pandas=True) for name, values in data.items()})
    labels = pa.array([TARGETS["binary"]["classes"][index] for index in target])
    Path("data").mkdir()
    pq.write_table(table.append_column("outcome", labels), "data/x.parquet", row_group_size=rows_per_group)
    made = {"name": "patients", "data": "data/x.parquet", "task": "binary", "target": TARGETS["binary"]}
    Path("contract.yaml").write_text(json.dumps({**made, "columns": COLUMNS, "split": split}))
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"))
