"""The tables of `make gate-bench` are set up as the kinds of project that they stand for."""

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest

from assay.init.infer import Plan, infer
from gates.tables import BAD, HARMLESS, TABLES


def plan(name: str) -> Plan:
    table = TABLES[name]
    written = table.rows(np.random.default_rng(0)).to_csv(index=False).encode()
    return infer(pacsv.read_csv(pa.BufferReader(written)), table.target, name)


@pytest.mark.parametrize(
    ("name", "task", "split", "sensitive"),
    [
        ("people", "binary", {}, {"age", "sex", "race"}),
        ("hours", "regression", {"by": "time", "column": "time"}, set()),
        ("visits", "binary", {"by": "group", "column": "patient"}, {"age"}),
    ],
)
def test_init_finds_time_groups_and_what_is_sensitive(
    name: str, task: str, split: dict[str, str], sensitive: set[str]
) -> None:
    contract = plan(name).contract
    found = contract.get("split", {})
    assert contract["task"] == task
    assert {key: found[key] for key in split} == split
    assert set(contract.get("sensitive", [])) == sensitive


def test_each_change_has_one_name() -> None:
    names = [case.name for case in [*BAD, *HARMLESS]]
    assert len(set(names)) == len(names)
