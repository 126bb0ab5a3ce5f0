"""The prediction log: whole lines, off the path of requests, and never in their way."""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bentoml.monitoring import MonitorBase

from assay.serve import log
from assay.serve.answering import Answer
from assay.serve.log import Lines, PredictionLog
from assay.serve.rows import Rows
from patients import contract, patients

WARD = contract()
ROWS = Rows(WARD, 100)


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monitors: dict[str, Lines] = {}
    monkeypatch.setattr("bentoml._internal.monitoring.api._MONITOR_INSTANCES", monitors)
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "monitoring"
    for monitor in monitors.values():
        monitor.close()


def told(rows: int) -> list[Answer]:
    return [Answer("sick", f"p{row}", {"sick": 0.7, "well": 0.3}, "well") for row in range(rows)]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def test_each_row_is_a_line_with_what_was_asked_and_told(where: Path) -> None:
    data, _ = patients(50)
    data["age"][3] = np.nan
    data["admitted"][4] = np.datetime64("NaT")
    dropped: list[int] = []
    kept = PredictionLog(WARD, dropped.append)
    kept.predictions("v1", ROWS.values(data), told(50), "champion")
    kept.close()
    found = lines(where / "predictions/data/data.0.log")
    assert [line["prediction_id"] for line in found] == [f"p{row}" for row in range(50)]
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
    kept = PredictionLog(made, lambda rows: None)
    texts = ["said", '"},{"', "a\nb\r\u2028", "\\"]
    kept.predictions("v1", [(text,) for text in texts], told(4), "champion")
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
    kept = PredictionLog(made, lambda rows: None)
    kept.predictions("v1", [(1.0, 2.0, 3.0)], told(1), "champion")
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

    kept = PredictionLog(contract(columns={"age": {"kind": "number"}}), lambda rows: None)
    kept._is_default = False
    monkeypatch.setattr("assay.serve.log.bentoml.monitor", lambda name: nullcontext(Other(name)))
    kept.predictions("v1", [(3.5,)], told(1), "champion")
    kept.close()
    assert seen[:4] == [
        ("age", 3.5, "feature", "numerical"),
        ("prediction", "sick", "prediction", "categorical"),
        ("prediction_id", "p0", "prediction_id", "categorical"),
        ("probabilities", {"sick": 0.7, "well": 0.3}, "prediction", "categorical"),
    ]


def test_outcomes_have_a_log_of_their_own(where: Path) -> None:
    kept = PredictionLog(WARD, lambda rows: None)
    kept.outcomes([{"prediction_id": "p1", "outcome": "sick"}])
    kept.close()
    (line,) = lines(where / "outcomes/data/data.0.log")
    assert (line["prediction_id"], line["outcome"]) == ("p1", "sick")


def test_what_there_is_no_room_for_is_dropped_and_counted(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MOST_WAITING", 60)
    data, _ = patients(50)
    dropped: list[int] = []
    kept = PredictionLog(WARD, dropped.append)
    kept.predictions("v1", ROWS.values(data), told(50), "champion")
    kept.predictions("v1", ROWS.values(data), told(50), "champion")
    kept.close()
    assert sum(dropped) + len(lines(where / "predictions/data/data.0.log")) == 100
    assert sum(dropped) in (0, 50)


def test_a_log_that_cannot_be_written_is_told_of_once_and_counted(
    where: Path, caplog: pytest.LogCaptureFixture
) -> None:
    where.write_text("a file where the folder should be")
    data, _ = patients(5)
    dropped: list[int] = []
    kept = PredictionLog(WARD, dropped.append)
    for _ in range(3):
        kept.predictions("v1", ROWS.values(data), told(5), "champion")
    kept.close()
    assert sum(dropped) == 15
    assert len([record for record in caplog.records if "prediction log" in record.message]) == 1
