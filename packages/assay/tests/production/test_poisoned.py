"""Poisoned feedback: whatever outsiders send to move the model is stopped when it is collected, or by a gate."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from assay.base.outcomes import Outcome
from assay.contract.spec import Contract
from assay.data.reading import read_table
from assay.data.versions import Version
from assay.gates.contract import compare
from assay.predictions.collected import read_record
from assay.production.collect import (
    CLIENT,
    CONTRADICT,
    DISAGREE,
    DISTRUSTED,
    KNOWN,
    LIMIT,
    NO_CONTRACT,
    UNFIT,
    WRITTEN,
    collect,
)
from assay.project.params import Collect, load_params
from patients import COLUMNS, contract
from places import ROOT
from production.collecting import DUE, flipped, logged, table, with_outcomes

WARD = contract()
REGRESSION = contract("regression", target={"name": "outcome", "range": [-20, 20]})
NOTED = contract(columns=COLUMNS | {"note": {"kind": "text", "missing": "allow"}})
HONEST = 160
# What 400 rows allow: all, and one client.
MOST, OF_ONE = 80, 20
PARAMS = load_params(ROOT / "params.yaml")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    Path("data").mkdir()
    return tmp_path


def write(rows: pa.Table) -> None:
    rows.to_pandas().to_csv(WARD.data, index=False)


def noted(rows: pa.Table, notes: list[str]) -> pa.Table:
    return rows.append_column("note", pa.array(notes, pa.string()))


def poisoned(*batches: pa.RecordBatch, made: Contract = WARD, start: int = 0) -> tuple[dict[str, Any], int]:
    """Collect from honest clients and others; return the result, and how many rows of the others were added."""
    rows = table(HONEST, 5, made) if made is not NOTED else noted(table(HONEST, 5), ["fine"] * HONEST)
    keys = [f"honest {row % 8}" for row in range(HONEST)]
    result = collect([logged(rows, keys, made, start=start), *batches], made, Collect(), DUE, duplicates=0.05)
    clients = [row.client or "" for row in read_record(made.data).rows().values()]
    return result, sum("honest" not in client for client in clients)


def by_one(rows: pa.Table, made: Contract = WARD, **changes: Any) -> pa.RecordBatch:
    return logged(rows, ["eve"] * len(rows), made, **{"start": 9000} | changes)


def some(rows: pa.Table, mask: list[bool]) -> pa.Table:
    """Flip the labels of some rows."""
    whole = flipped(rows)["outcome"].to_pylist()
    return with_outcomes(
        rows, [b if m else a for a, b, m in zip(rows["outcome"].to_pylist(), whole, mask, strict=True)]
    )


def missed(rows: pa.Table, keys: list[str | None]) -> pa.RecordBatch:
    """Return predictions of rows whose label was flipped after they were predicted rightly."""
    return logged(flipped(rows), keys, wrong=0.95, start=9000)


def boundary(rows: int) -> pa.Table:
    """Return rows that are nearly one row, close to where the label changes, all with the label of the other side."""
    one = table(1, 8).to_pandas().loc[[0] * rows]
    one["noise"] = np.linspace(-1, 1, rows)
    return with_outcomes(pa.Table.from_pandas(one, table(1, 8).schema, preserve_index=False), ["sick"] * rows)


def random(rows: pa.Table) -> pa.RecordBatch:
    labels = np.random.default_rng(0).choice(["sick", "well"], len(rows)).tolist()
    return by_one(with_outcomes(rows, labels), wrong=0.5)


def outcomes_of(rows: pa.Table, made: Contract, shift: float) -> pa.RecordBatch:
    """Return predictions of numbers that are right, with outcomes that are not."""
    batch = by_one(rows, made)
    return batch.set_column(6, "outcome", pa.array([value + shift for value in rows["outcome"].to_pylist()]))


DISAGREEING: dict[str, Callable[[], pa.RecordBatch]] = {
    "all labels flipped": lambda: missed(table(40, 6), ["eve"] * 40),
    "half of the labels flipped": lambda: by_one(some(table(40, 6), [True, False] * 20), wrong=0.5),
    "labels flipped without a key": lambda: missed(table(40, 6), [None] * 40),
    "labels flipped under a key for each row": lambda: missed(table(40, 6), [f"eve {n}" for n in range(40)]),
    "labels flipped under keys of nine rows": lambda: missed(table(90, 6), [f"eve {n % 10}" for n in range(90)]),
    "labels drawn at random": lambda: random(table(60, 6)),
    "one label for everybody": lambda: by_one(with_outcomes(table(60, 6), ["sick"] * 60), wrong=0.5),
    "rows close to the boundary with one label": lambda: by_one(boundary(40), wrong=1.0),
    "a flood of flipped labels": lambda: missed(table(1000, 6), ["eve"] * 1000),
}


@pytest.mark.parametrize("case", DISAGREEING)
def test_labels_that_nobody_else_confirms_are_left_out(project: Path, case: str):
    write(table(400, 1))
    result, added = poisoned(DISAGREEING[case]())
    assert (added, result["added"]) == (0, MOST)
    assert result["left_out"][DISAGREE]["rows"] >= 40


def test_numbers_that_nobody_else_confirms_are_left_out(project: Path):
    write(table(400, 1, REGRESSION))
    result, added = poisoned(outcomes_of(table(40, 6, REGRESSION), REGRESSION, 5.0), made=REGRESSION)
    assert (added, result["left_out"][DISAGREE]["rows"]) == (0, 40)


# Batch, the reason for which rows are left out, and how many are not.
BOUNDED: dict[str, tuple[Callable[[], pa.RecordBatch], str, int]] = {
    "a flood of true rows": (lambda: by_one(table(1000, 6)), CLIENT, OF_ONE),
    "a flood of true rows without a key": (lambda: logged(table(1000, 6), [None] * 1000, start=9000), CLIENT, OF_ONE),
    "a flood under many keys": (
        lambda: logged(table(1000, 6), [f"eve {n % 500}" for n in range(1000)], start=9000),
        LIMIT,
        MOST,
    ),
    "one row a thousand times": (lambda: by_one(table(1, 6).take([0] * 1000), wrong=0.0), KNOWN, 1),
    "rows of the data with other labels": (lambda: by_one(flipped(table(400, 1)), wrong=0.0), KNOWN, 0),
    "rows of the data again": (lambda: by_one(table(400, 1)), KNOWN, 0),
    "each row with both labels": (
        lambda: by_one(pa.concat_tables([table(30, 6), flipped(table(30, 6))]), wrong=0.0),
        CONTRADICT,
        0,
    ),
    "values out of range": (
        lambda: by_one(table(30, 6).set_column(0, "age", pa.array([500] * 30)), wrong=0.0),
        NO_CONTRACT,
        0,
    ),
}


@pytest.mark.parametrize("case", BOUNDED)
def test_what_comes_in_numbers_is_bounded_and_what_is_known_stays_as_it_is(project: Path, case: str):
    batch, why, most = BOUNDED[case]
    write(table(400, 1))
    result, added = poisoned(batch())
    assert added <= most
    assert result["added"] <= MOST
    assert why in result["left_out"]


def test_a_number_that_the_target_cannot_have_is_left_out(project: Path):
    write(table(400, 1, REGRESSION))
    result, added = poisoned(outcomes_of(table(5, 6, REGRESSION), REGRESSION, 500.0), made=REGRESSION)
    assert (added, result["left_out"][NO_CONTRACT]["rows"]) == (0, 5)


def test_a_text_that_a_file_gives_back_differently_is_left_out(project: Path):
    write(noted(table(400, 1), ["fine"] * 400))
    result, added = poisoned(by_one(noted(table(10, 6), ["a\0b"] * 10), NOTED, wrong=0.0), made=NOTED)
    assert (added, result["left_out"][WRITTEN]["rows"]) == (0, 10)


def test_a_correction_to_a_number_that_the_target_cannot_have_changes_nothing(project: Path):
    write(table(400, 1, REGRESSION))
    poisoned(made=REGRESSION)
    rows = table(HONEST, 5, REGRESSION)
    before = WARD.data.read_bytes()
    wrong = logged(with_outcomes(rows, [500.0] * HONEST), ["honest"] * HONEST, REGRESSION)
    result = collect([wrong], REGRESSION, Collect(), DUE, duplicates=0.05)
    assert (result["corrected"], result["left_out"][UNFIT]["rows"]) == (0, MOST)
    assert WARD.data.read_bytes() == before


@pytest.mark.parametrize("note", ['=cmd|"/c calc"!A0', 'a,b\n"c', "\u2028", "1\r\n2,3", "x" * 9000])
def test_a_text_breaks_out_of_no_cell(project: Path, note: str):
    write(noted(table(400, 1), ["fine"] * 400))
    _, added = poisoned(by_one(noted(table(10, 6), [note] * 10), NOTED, wrong=0.0), made=NOTED)
    assert added == 10
    assert read_table(NOTED.data, NOTED)[0]["note"].to_pylist().count(note) == 10


@pytest.mark.parametrize("note", ["a\rb", "\r", "a\r"])
def test_a_text_that_ends_a_line_for_some_readers_is_quoted(project: Path, note: str):
    write(noted(table(400, 1), ["fine"] * 400))
    _, added = poisoned(by_one(noted(table(10, 6), [note] * 10), NOTED, wrong=0.0), made=NOTED)
    assert added == 10
    assert read_table(NOTED.data, NOTED)[0]["note"].to_pylist().count(note) == 10


def test_a_client_that_turns_its_outcomes_once_they_are_rows_changes_nothing(project: Path):
    write(table(400, 1))
    rows = table(40, 6)
    poisoned(by_one(rows))
    before = WARD.data.read_bytes()
    result, _ = poisoned(missed(rows, ["eve"] * 40))
    assert (result["corrected"], result["left_out"][DISTRUSTED]["rows"]) == (0, OF_ONE)
    assert WARD.data.read_bytes() == before


def judged(before: pa.Table) -> Outcome:
    """Return what the gate `contract` says of the data with what was collected."""
    now, _ = read_table(WARD.data, WARD)
    return compare(
        [Outcome("contract", "PROMOTE", "")], Version(before, WARD), Version(now, WARD), PARAMS.gates.contract
    )


def test_what_is_honest_passes_the_gate(project: Path):
    write(table(400, 1))
    before = read_table(WARD.data, WARD)[0]
    poisoned()
    assert judged(before).verdict == "PROMOTE"


def only(label: str) -> pa.Table:
    rows = table(600, 6)
    return rows.filter(pa.compute.equal(rows["outcome"], label)).slice(0, 100)


def old(rows: int) -> pa.Table:
    found = table(3000, 6)
    return found.filter(pa.compute.greater(found["age"], 80)).slice(0, rows)


# Many clients, who say the truth about rows that are not like others.
GATED: dict[str, tuple[Callable[[], pa.Table], str]] = {
    "true rows of one class": (lambda: only("sick"), "'well' makes up 0.0% of the 80 added rows"),
    "true rows of one end of a column": (lambda: old(100), "age"),
}


@pytest.mark.parametrize("case", GATED)
def test_true_rows_that_are_chosen_to_move_the_model_are_held(project: Path, case: str):
    rows, said = GATED[case]
    write(table(400, 1))
    before = read_table(WARD.data, WARD)[0]
    made = rows()
    result, added = poisoned(logged(made, [f"eve {n % 9}" for n in range(len(made))], start=9000, wrong=0.05))
    assert added > MOST / 2, result
    outcome = judged(before)
    assert outcome.verdict == "HOLD"
    assert said in outcome.reason


def test_labels_that_are_corrected_afterwards_in_one_direction_are_held(project: Path):
    write(table(400, 1))
    poisoned()
    before = read_table(WARD.data, WARD)[0]
    rows = table(HONEST, 5)
    wrong = logged(with_outcomes(rows, ["sick"] * HONEST), [f"honest {row % 8}" for row in range(HONEST)])
    result = collect([wrong], WARD, Collect(), DUE, duplicates=0.05)
    assert result["corrected"] > 10
    outcome = judged(before)
    assert outcome.verdict in ("HOLD", "REJECT")
    assert "outcome is re" in outcome.reason
