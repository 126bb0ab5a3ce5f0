"""The prediction log: whole lines, off the path of requests, and never in their way."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.serve import log
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


def told(rows: int) -> list[dict[str, Any]]:
    return [{"prediction": "sick", "decision": "well", "prediction_id": f"p{row}"} for row in range(rows)]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


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


@given(st.lists(st.text() | st.sampled_from(['},{"prediction_id":', "},{"]), min_size=1, max_size=5))
def test_a_line_is_a_row_whatever_its_texts_hold(texts: list[str]) -> None:
    rows = [{"prediction_id": f"p{place}", text: text, "last": text} for place, text in enumerate(texts)]
    made = log._lines(rows)
    assert [json.loads(line) for line in made.splitlines()] == rows


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
