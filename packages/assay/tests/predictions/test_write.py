"""The prediction log: whole lines, off the path of requests, and never in their way."""

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from bentoml.monitoring import MonitorBase

from assay import predictions
from assay.contract.spec import Contract
from assay.data.columns import Columns, take
from assay.inference.predictor import PredictionBatch, record
from assay.inference.rows import RowReader
from assay.predictions.write import MANY, PredictionLog
from patients import contract, patients
from servers import until

WARD = contract()


def told(rows: int) -> PredictionBatch:
    labels, scores = np.array(["well", "sick"], dtype=object), np.tile([0.7, 0.3], (rows, 1))
    return PredictionBatch("p", scores, {}, labels, record(labels), np.ones(rows, int), np.zeros(rows, int))


def logging(dropped: Callable[[int], None] = lambda rows: None, made: Contract = WARD) -> PredictionLog:
    return PredictionLog(made, RowReader(made, 1000).values, dropped)


def numbers(**values: float) -> Columns:
    return {name: np.array([value]) for name, value in values.items()}


def tables(where: Path) -> list[pa.Table]:
    return [pa.ipc.open_stream(path).read_all() for path in sorted(where.glob("predictions/data/data.0.*.arrows"))]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def test_each_row_is_a_line_with_what_was_asked_and_told(where: Path) -> None:
    data, _ = patients(50)
    data["age"][3] = np.nan
    data["admitted"][4] = np.datetime64("NaT")
    dropped: list[int] = []
    kept = logging(dropped.append)
    kept.predictions("v1", "champion", told(50), data)
    kept.close()
    found = lines(where / "predictions/data/data.0.log")
    assert [line["prediction_id"] for line in found] == [f"p-{row}" for row in range(50)]
    assert {(line["model_version"], line["role"], line["decision"]) for line in found} == {("v1", "champion", "well")}
    assert found[0]["ward"] == data["ward"][0]
    assert found[0]["admitted"] == str(data["admitted"][0])
    assert (found[3]["age"], found[4]["admitted"]) == (None, None)
    assert not dropped
    (schema,) = lines(where / "predictions/schema/schema.0.log")
    assert [column["name"] for column in schema["columns"]][: len(WARD.features)] == list(WARD.features)


@pytest.mark.parametrize("name", ["timestamp", "prediction", 'a "b"', "", "\x00"])
def test_a_feature_may_have_any_name_also_one_that_a_line_has(where: Path, name: str) -> None:
    made = contract(columns={name: {"kind": "text", "max_length": 100}})
    kept = logging(made=made)
    texts = ["said", '"},{"', "a\nb\r\u2028", "\\"]
    kept.predictions("v1", "champion", told(4), {name: np.array(texts, dtype=object)})
    kept.close()
    (schema,) = lines(where / "predictions/schema/schema.0.log")
    (feature,) = [column["name"] for column in schema["columns"] if column["role"] == "feature"]
    found = lines(where / "predictions/data/data.0.log")
    assert [line[feature] for line in found] == texts
    assert {line["prediction"] for line in found} == {"sick"}
    assert all(list(line) == [column["name"] for column in schema["columns"]] for line in found)


def test_names_of_features_stay_apart(where: Path) -> None:
    names = ["role", "feature role", "feature feature role"]
    made = contract(columns={name: {"kind": "number"} for name in names})
    kept = logging(made=made)
    kept.predictions("v1", "champion", told(1), dict(zip(names, np.array([[1.0], [2.0], [3.0]]), strict=True)))
    kept.close()
    (line,) = lines(where / "predictions/data/data.0.log")
    assert list(line.values())[:3] == [1.0, 2.0, 3.0]
    assert line["role"] == "champion"


def test_another_monitor_gets_what_a_line_holds_value_by_value(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    class Other(MonitorBase[Any]):
        def log(self, data: Any, name: str, role: str, data_type: str) -> None:
            seen.append((name, data, role, data_type))

        def start_record(self) -> None: ...

        def stop_record(self) -> None: ...

    kept = logging(made=contract(columns={"age": {"kind": "number"}}))
    kept._is_default = False
    monkeypatch.setattr("assay.predictions.write.bentoml.monitor", lambda name: nullcontext(Other(name)))
    kept.predictions("v1", "champion", told(1), numbers(age=3.5))
    kept.close()
    assert seen[:4] == [
        ("age", 3.5, "feature", "numerical"),
        ("prediction", "sick", "prediction", "categorical"),
        ("prediction_id", "p-0", "prediction_id", "categorical"),
        ("probabilities", {"well": 0.7, "sick": 0.3}, "prediction", "categorical"),
    ]


def test_many_rows_are_a_table_with_what_lines_would_hold(where: Path) -> None:
    data, _ = patients(MANY)
    data["age"][3] = np.nan
    data["admitted"][4] = np.datetime64("NaT")
    answers, few = told(MANY), MANY - 1
    answers.warnings[7] = ["age: 200", "noise: 20"]
    kept = logging()
    kept.predictions("v1", "champion", replace(answers, scores=answers.scores[:few]), take(data, np.arange(few)))
    kept.predictions("v1", "champion", answers, data)
    kept.predictions("v2", "other", answers, data)
    kept.close()
    found = lines(where / "predictions/data/data.0.log")
    assert len(found) == few
    (table,) = tables(where)
    rows = table.to_pylist()
    assert [(row["model_version"], row["role"]) for row in rows] == [("v1", "champion")] * MANY + [
        ("v2", "other")
    ] * MANY
    assert (rows[3]["age"], rows[4]["admitted"]) == (None, None)
    for row, line in zip(rows, found, strict=False):
        assert list(row) == list(line)
        assert row["timestamp"] > datetime.fromisoformat(line["timestamp"])
        given = {**row, "admitted": row["admitted"] and row["admitted"].isoformat(), "timestamp": line["timestamp"]}
        assert given == line | {"admitted": line["admitted"] and f"{datetime.fromisoformat(line['admitted']):%FT%T.%f}"}


def test_an_answer_that_waits_for_the_log_is_kept_without_the_rows_that_were_made_of_it(where: Path) -> None:
    data, _ = patients(MANY)
    kept, answers = logging(), told(MANY)
    kept.predictions("v1", "champion", answers, data)
    ((_, waiting),) = kept._waiting["requests"]
    answers.rows()
    kept.close()
    assert not waiting.batch._rows


def test_numbers_that_are_answered_are_a_table_too(where: Path) -> None:
    data, _ = patients(MANY, "regression")
    answers = PredictionBatch("p", np.arange(MANY) / 2, {}, np.array([], dtype=object), record(()))
    few = replace(answers, scores=answers.scores[:5])
    kept = logging(made=contract("regression"))
    kept.predictions("v1", "champion", few, take(data, np.arange(5)))
    kept.predictions("v1", "champion", answers, data)
    kept.close()
    (table,) = tables(where)
    (line, *_) = lines(where / "predictions/data/data.0.log")
    assert set(line) - set(table.column_names) == {"probabilities", "decision"}
    assert table["prediction"].to_pylist() == [row / 2 for row in range(MANY)]


def test_outcomes_have_a_log_of_their_own(where: Path) -> None:
    kept = logging()
    kept.outcomes([{"prediction_id": "p1", "outcome": "sick"}])
    (line,) = lines(where / "outcomes/data/data.0.log")
    kept.close()
    assert (line["prediction_id"], line["outcome"]) == ("p1", "sick")


def test_what_there_is_no_room_for_is_dropped_and_counted(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.predictions.write.MOST_WAITING", 60)
    data, _ = patients(50)
    dropped: list[int] = []
    kept = logging(dropped.append)
    kept.predictions("v1", "champion", told(50), data)
    kept.predictions("v1", "champion", told(50), data)
    kept.close()
    assert sum(dropped) + len(lines(where / "predictions/data/data.0.log")) == 100
    assert sum(dropped) in (0, 50)


def test_a_log_that_cannot_be_written_is_told_of_once_and_counted(
    where: Path, caplog: pytest.LogCaptureFixture
) -> None:
    where.write_text("a file where the folder should be")
    data, _ = patients(5)
    dropped: list[int] = []
    kept = logging(dropped.append)
    for _ in range(3):
        kept.predictions("v1", "champion", told(5), data)
    kept.close()
    assert sum(dropped) == 15
    assert len([record for record in caplog.records if "prediction log" in record.message]) == 1


def test_where_tables_cannot_be_made_many_rows_are_lines_and_that_is_told_of(
    where: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # As if pyarrow could not be loaded.
    monkeypatch.delattr(predictions, "schema", raising=False)
    monkeypatch.setitem(sys.modules, "assay.predictions.schema", None)
    data, _ = patients(MANY)
    kept = logging()
    kept.predictions("v1", "champion", told(MANY), data)
    until(lambda: [record for record in caplog.records if "prediction log" in record.message], "it is told of")
    kept.predictions("v1", "champion", told(MANY), data)
    kept.close()
    assert len([record for record in caplog.records if "prediction log" in record.message]) == 1
    assert len(lines(where / "predictions/data/data.0.log")) == 2 * MANY
