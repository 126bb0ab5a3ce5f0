"""`assay forget --receipt`: rows of a forgotten client leave the data, as a change like any other."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from assay.base.errors import InputError
from assay.base.files import write_json
from assay.predictions.collected import COLLECTED, read_record
from assay.production.unlearn import unlearn
from patients import COLUMNS, TARGETS, contract
from production.collecting import logged, table
from production.test_collect import CLIENTS, WARD, Killed, data, honest, project, run, write

__all__ = ["project"]
RECEIPT = Path("receipt.json")


@pytest.fixture
def collected(project: Path) -> Path:
    """A project with rows of eight clients."""
    made = {"name": "patients", "data": "data/x.csv", "task": "binary", "target": TARGETS["binary"], "columns": COLUMNS}
    write_json(Path("contract.yaml"), made)
    assert run(honest())["clients"] == 8
    write_json(RECEIPT, {"format": 1, "key": CLIENTS[0]})
    return project


def test_the_rows_of_the_client_leave_and_all_others_stay_as_they_are_written(collected: Path) -> None:
    before = WARD.data.read_text().splitlines()
    assert unlearn(RECEIPT) == (8, 0)
    assert WARD.data.read_text().splitlines() == [
        line for place, line in enumerate(before) if place < 401 or (place - 401) % 8
    ]
    assert CLIENTS[0] not in COLLECTED.read_text()
    assert len(read_record(WARD.data).rows()) == 56
    assert unlearn(RECEIPT) == (0, 0)
    # Nothing is collected twice for that.
    assert run(honest(), honest(start=1000, seed=3))["added"] > 0


def test_a_row_that_is_no_longer_there_is_counted_and_one_that_looks_alike_stays(collected: Path) -> None:
    write(data().slice(0, 420))
    assert unlearn(RECEIPT) == (3, 5)
    assert len(data()) == 417


def test_a_run_that_is_killed_is_mended_by_the_next(collected: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as killed:
        killed.setattr("assay.production.unlearn.write_record", lambda _: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            unlearn(RECEIPT)
    assert len(data()) == 456
    assert unlearn(RECEIPT) == (0, 8)
    assert len(data()) == 456
    assert CLIENTS[0] not in COLLECTED.read_text()


@pytest.mark.parametrize("at", ["write_record", "replacing"])
def test_nothing_is_left_of_the_client_that_a_killed_collection_has_written(
    collected: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    write_json(RECEIPT, {"format": 1, "key": "newcomer"})

    def killed(_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(f"assay.production.collect.{at}", killed)
        with pytest.raises(Killed):
            run(logged(table(8, 7), ["newcomer"] * 8, start=1000))
    (copy,) = Path(".assay").glob("*.csv")
    # What a process leaves that ends while it replaces the data; no process has this number.
    shutil.copy(copy, "data/.x.csv.99999999.tmp")
    assert unlearn(RECEIPT) == (0, 0)
    assert sorted(path.name for path in [*Path(".assay").iterdir(), *Path("data").iterdir()]) == [
        "collect.lock",
        "collected.json",
        "x.csv",
    ]
    assert "newcomer" not in COLLECTED.read_text()
    assert len(read_record(WARD.data).rows()) == 64


def test_rows_that_nobody_could_find_after_a_change_of_the_contract_stay_in_the_record(collected: Path) -> None:
    made = json.loads(Path("contract.yaml").read_text())
    made["columns"]["noise"]["log"] = "omit"
    write_json(Path("contract.yaml"), made)
    before = WARD.data.read_text(), COLLECTED.read_text()
    with pytest.raises(InputError, match=r"8 rows of the client cannot be found, .* have changed since; run this with"):
        unlearn(RECEIPT)
    assert (WARD.data.read_text(), COLLECTED.read_text()) == before


def test_a_run_that_is_killed_is_mended_also_if_all_rows_of_a_collection_were_of_the_client(
    collected: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(honest(), logged(table(4, 7), [CLIENTS[0]] * 4, start=1000))
    assert {row.client for row in read_record(WARD.data).collections[-1].rows} == {CLIENTS[0]}
    with monkeypatch.context() as killed:
        killed.setattr("assay.production.unlearn.write_record", lambda _: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            unlearn(RECEIPT)
    assert unlearn(RECEIPT) == (0, 12)
    assert CLIENTS[0] not in COLLECTED.read_text()


def test_a_parquet_file_keeps_its_schema(project: Path) -> None:
    made = contract(data="data/x.parquet")
    given = {"name": "patients", "data": "data/x.parquet", "task": "binary"}
    write_json(Path("contract.yaml"), {**given, "target": TARGETS["binary"], "columns": COLUMNS})
    pq.write_table(table(400, 1), made.data)
    run(honest(), made=made)
    schema = pq.read_schema(made.data)
    write_json(RECEIPT, {"format": 1, "key": CLIENTS[3]})
    assert unlearn(RECEIPT) == (8, 0)
    assert pq.read_schema(made.data).equals(schema)
    assert len(pq.read_table(made.data)) == 456


@pytest.mark.parametrize("content", ["[]", "{}", '{"key": null}', '{"key": "c0ff', ""])
def test_another_file_is_no_receipt(collected: Path, content: str) -> None:
    RECEIPT.write_text(content)
    with pytest.raises(InputError, match=r"^receipt\.json: not a receipt of `assay forget`$"):
        unlearn(RECEIPT)
