"""Outcomes that a table reports: by prediction id, or by the ids of a row and a time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy

from assay.base.errors import InputError
from assay.cli.production import _outcomes_in
from assay.contract.spec import Contract
from assay.data.columns import RequestColumns
from assay.inference.ids import EPOCH
from assay.predictions.entry import CHECK
from assay.predictions.forget import forget
from assay.predictions.outcomes import joined
from assay.predictions.read import LogCounts
from assay.predictions.reported import Reported, outcomes_of, record
from assay.predictions.write import PredictionLog
from patients import COLUMNS, contract, patients
from predictions.test_write import DIGEST, fails_after, told

WARD = contract()
VISITS = contract(columns=COLUMNS | {"patient": {"kind": "id"}, "visit": {"kind": "id"}})
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


def reported(source: Path | str, of: Contract = WARD) -> tuple[list[Reported], int]:
    return outcomes_of(_outcomes_in(str(source), None, of), str(source), of)


def written(folder: Path, text: str, name: str = "outcomes.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("ending", ["csv", "parquet", "sqlite"])
def test_a_table_of_outcomes_is_read_and_what_the_target_cannot_have_is_counted(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"outcomes.{ending}"
    source = f"sqlite:///{path}" if ending == "sqlite" else str(path)
    table = pa.table({"prediction_id": ["a", "b", "c", "d"], "outcome": ["well", None, "ill", "sick"]})
    match ending:
        case "csv":
            table.to_pandas().to_csv(path, index=False)
        case "parquet":
            pq.write_table(table, path)
        case _:
            table.to_pandas().to_sql("came_true", sqlalchemy.create_engine(source), index=False)
    outcomes, wrong = reported(source)
    assert outcomes == [{"prediction_id": "a", "outcome": "well"}, {"prediction_id": "d", "outcome": "sick"}]
    assert wrong == 2


def test_a_file_of_numbers_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "outcome,prediction_id,note\n1.5,a,x\nmany,b,y\n2,c,z\n1e400,d,inf\n")
    outcomes, wrong = reported(path, contract("regression"))
    assert ([one["outcome"] for one in outcomes], wrong) == ([1.5, 2.0], 2)


@pytest.mark.parametrize("name", ["outcomes.csv", "outcomes.txt"])
def test_a_number_outside_the_range_of_the_target_is_counted(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, "prediction_id,outcome\na,0\nb,-5\nc,977\nd,99999\n", name)
    outcomes, wrong = reported(path, contract("regression", target={"name": "rentals", "range": [0, 977]}))
    assert ([one["outcome"] for one in outcomes], wrong) == ([0.0, 977.0], 2)


@pytest.mark.parametrize("name", ["outcomes.csv", "outcomes.txt"])
@pytest.mark.parametrize("form", ["utf-8", "utf-16", "cp1252"])
def test_a_table_of_any_form_is_read(tmp_path: Path, name: str, form: str) -> None:
    path = tmp_path / name
    path.write_bytes("prediction_id;outcome;note\na;well;à\nb;sick;é\n".encode(form))
    assert reported(path) == ([{"prediction_id": "a", "outcome": "well"}, {"prediction_id": "b", "outcome": "sick"}], 0)


def test_a_day_without_outcomes_is_no_error(tmp_path: Path) -> None:
    assert reported(written(tmp_path, "prediction_id,outcome\n")) == ([], 0)
    assert record(tmp_path, [], WARD) == (0, 0)


@pytest.mark.parametrize(
    "content", ["prediction_id,result\na,well\n", "id,outcome\na,well\n", "prediction_id,result\n", ""]
)
def test_a_file_without_the_columns_is_an_error_that_names_them(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match=r"outcomes\.csv: "):
        reported(written(tmp_path, content))


def test_where_rows_have_ids_both_ways_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        reported(written(tmp_path, "patient,visit,outcome\n7,1,sick\n"), VISITS)
    assert str(raised.value).endswith(
        "outcomes.csv: expected the columns prediction_id and outcome, or patient, visit, time and outcome; "
        "found no value of time"
    )


def test_only_outcomes_of_predictions_in_the_log_are_recorded(tmp_path: Path) -> None:
    data, _ = patients(4)
    batch = told(4)
    PredictionLog(tmp_path, WARD, DIGEST).predictions("v1", "champion", batch, data)
    asked = batch.ids()[0]
    given = [{"prediction_id": name, "outcome": "sick"} for name in (asked, asked + "7", "x", None)]
    assert record(tmp_path, given, WARD) == (1, 3)
    assert came_true(tmp_path) == {asked: "sick"}


def test_outcomes_for_which_there_is_no_room_are_not_recorded_and_the_log_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = told(2)
    PredictionLog(tmp_path, WARD, DIGEST).predictions("v1", "champion", batch, patients(2)[0])
    given = [{"prediction_id": name, "outcome": "sick"} for name in batch.ids()]
    fails_after(monkeypatch, 50)
    with pytest.raises(InputError, match=f"^{tmp_path}: cannot be written: No space left on device$"):
        record(tmp_path, given, WARD)
    assert came_true(tmp_path) == {}


def came_true(folder: Path) -> dict[str, Any]:
    rows = [row for batch in joined(folder, LogCounts()) for row in batch.to_pylist()]
    return {row["prediction_id"]: row["outcome"] for row in rows if row["outcome"]}


@pytest.fixture
def visits(tmp_path: Path) -> list[str]:
    """The ids of predictions in a log: for visit 1 of patient 7 at noon and an hour later, then for others."""
    log = PredictionLog(tmp_path / "log", VISITS, DIGEST)
    names = []
    asked = [(7, "1", b"ann"), (7.0, "1", b"bob"), (8, "1", b""), (None, "1", b"")]
    for hours, (patient, visit, client) in enumerate(asked):
        data, _ = patients(1)
        moment = (NOON + timedelta(hours=hours) - EPOCH) // timedelta(milliseconds=1)
        batch = replace(told(1), names=f"{moment:012x}-{hours}")
        rows = RequestColumns(data, ids=[[patient], [visit]])
        log.predictions("v1", "champion", batch, rows, keys=[(client, 1)])
        log.predictions("v2", "shadow", batch, rows, keys=[(client, 1)])
        log.predictions("v1", CHECK, replace(batch, names=f"{moment:012x}-check"), rows)
        names.append(batch.names)
    return names


def test_an_outcome_is_that_of_the_last_prediction_for_its_ids_up_to_its_time(
    tmp_path: Path, visits: list[str]
) -> None:
    path = written(
        tmp_path,
        "patient,visit,time,outcome\n"
        "7,1,2026-11-03 12:59,sick\n"
        "7,1,2026-11-30T00:00:00+01:00,well\n"
        # Before any prediction, and of nobody.
        "7,1,2026-11-03 11:59,sick\n9,1,2026-11-30,sick\n"
        # Without a time that can be read, or an id.
        "8,1,,sick\n8,1,tomorrow,sick\n,1,2026-11-30,sick\n",
    )
    outcomes, wrong = reported(path, VISITS)
    assert (*record(tmp_path / "log", outcomes, VISITS), wrong) == (2, 2, 3)
    assert came_true(tmp_path / "log") == {visits[0]: "sick", visits[1]: "well"}


def test_of_two_outcomes_of_a_prediction_the_later_one_counts_in_any_order(tmp_path: Path, visits: list[str]) -> None:
    path = tmp_path / "outcomes.parquet"
    days = [datetime(2026, 11, day) for day in (9, 8)]
    pq.write_table(pa.table({"patient": [8, 8], "visit": [1, 1], "time": days, "outcome": ["well", "sick"]}), path)
    record(tmp_path / "log", reported(path, VISITS)[0], VISITS)
    assert came_true(tmp_path / "log") == {visits[2]: "well"}


def test_the_log_holds_no_id_and_forgetting_a_client_keeps_those_of_others(tmp_path: Path, visits: list[str]) -> None:
    data, _ = patients(2)
    rows = RequestColumns(data, ids=[["patient-0815", "patient-4711"], ["1", "1"]])
    log, batch = PredictionLog(tmp_path / "log", VISITS, DIGEST), told(2)
    log.predictions("v1", "champion", batch, rows, keys=[(b"ann", 1), (b"bob", 1)])
    assert "patient-" not in "".join(path.read_text() for path in (tmp_path / "log/predictions").iterdir())
    forget(tmp_path / "log", b"ann")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    outcomes = [
        {"patient": name, "visit": "1", "time": tomorrow.replace(tzinfo=None), "outcome": "sick"}
        for name in ("patient-0815", "patient-4711")
    ]
    assert record(tmp_path / "log", outcomes, VISITS) == (1, 1)
    assert came_true(tmp_path / "log") == {batch.ids()[1]: "sick"}


def test_a_log_whose_secret_stayed_elsewhere_says_so(tmp_path: Path, visits: list[str]) -> None:
    (tmp_path / "log/secret").unlink()
    path = written(tmp_path, "patient,visit,time,outcome\n7,1,2026-11-03,sick\n")
    with pytest.raises(InputError, match=r"log/secret: there is no such file, by which ids are found"):
        record(tmp_path / "log", reported(path, VISITS)[0], VISITS)
