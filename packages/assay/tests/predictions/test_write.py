"""The writer of the prediction log: what was answered is in the log, whole, and is read as it was."""

import errno
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bentoml
import duckdb
import numpy as np
import pandas as pd
import pytest
from bentoml.monitoring import MonitorBase
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from assay.contract.spec import Contract
from assay.data.columns import Columns, RequestColumns, take
from assay.inference.ids import new_ids, time_of
from assay.inference.predictor import PredictionBatch, record
from assay.predictions import segments, write
from assay.predictions.entry import CHECK, MANY
from assay.predictions.keys import key_hash, log_secret
from assay.predictions.monitor import ERROR, PROCESSED, MonitorLog, _Losses, _Meters
from assay.predictions.read import LogCounts, predictions
from assay.predictions.segments import hour_name
from assay.predictions.write import PredictionLog
from patients import contract, patients
from places import ROOT

WARD = contract()
DIGEST = "c0ffee"


def told(rows: int) -> PredictionBatch:
    labels, scores = np.array(["well", "sick"], dtype=object), np.tile([0.7, 0.3], (rows, 1))
    return PredictionBatch(new_ids(rows), scores, {}, labels, record(labels), np.ones(rows, int), np.zeros(rows, int))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PredictionLog]:
    made = PredictionLog(tmp_path, WARD, DIGEST)
    yield made
    made.close()


def read(folder: Path) -> list[dict[str, Any]]:
    counts = LogCounts()
    found = [row for batch in predictions(folder, counts) for row in batch.to_pylist()]
    assert (counts.torn, counts.foreign, counts.doubled) == (0, 0, 0)
    return found


def wanted(data: Columns, row: int) -> dict[str, Any]:
    """Return a row as the reader should."""
    missing = {name: bool(pd.isna(values[row])) for name, values in data.items()}
    plain = {name: values[row].item() if hasattr(values[row], "item") else values[row] for name, values in data.items()}
    plain["smoker"] = bool(plain["smoker"])
    return {name: None if missing[name] else value for name, value in plain.items()}


@pytest.mark.parametrize("rows", [1, MANY - 1, MANY])
def test_what_was_asked_and_answered_is_read_as_it_was(tmp_path: Path, log: PredictionLog, rows: int) -> None:
    data, _ = patients(rows)
    data["admitted"][0] = np.datetime64("NaT")
    batch = told(rows)
    batch.warnings[0] = ["age: 120"]
    log.predictions("v1", "champion", batch, data, keys=[(b"", 1), (b"client", rows - 1)])
    found = read(tmp_path)
    assert [row["inputs"] for row in found] == [wanted(data, row) for row in range(rows)]
    assert [row["prediction_id"] for row in found] == batch.ids()
    assert {(row["version"], row["arm"], row["contract"]) for row in found} == {("v1", "champion", DIGEST)}
    assert {(row["prediction"], row["decision"]) for row in found} == {("sick", "well")}
    assert found[0]["probabilities"] == {"well": 0.7, "sick": 0.3}
    assert [row["warnings"] for row in found] == [["age: 120"]] + [[]] * (rows - 1)
    hashed = key_hash(log_secret(tmp_path), b"client")
    assert [row["key"] for row in found] == [None] + [hashed] * (rows - 1)
    assert {row["time"] for row in found} == {time_of(batch.ids()[0])}


@pytest.mark.parametrize("rows", [5, MANY])
def test_numbers_that_are_predicted_are_read_as_they_were(tmp_path: Path, rows: int) -> None:
    data, _ = patients(rows, "regression")
    answers = PredictionBatch(new_ids(rows), np.arange(rows) / 2, {}, np.array([], dtype=object), record(()))
    PredictionLog(tmp_path, contract("regression"), DIGEST).predictions("v1", "champion", answers, data)
    found = read(tmp_path)
    assert [row["prediction"] for row in found] == [row / 2 for row in range(rows)]
    assert {(row["decision"], row["probabilities"]) for row in found} == {(None, None)}


@pytest.mark.parametrize("name", ["time", "prediction", 'a "b"', "", "\x00", "a\nb"])
def test_a_feature_may_have_any_name_and_hold_any_text(tmp_path: Path, name: str) -> None:
    texts = ["said", '"},{"', "a\nb\r\u2028", "\\"]
    log = PredictionLog(tmp_path, contract(columns={name: {"kind": "text", "max_length": 100}}), DIGEST)
    log.predictions("v1", "champion", told(4), {name: np.array(texts, dtype=object)})
    assert [row["inputs"][name] for row in read(tmp_path)] == texts


def test_two_lines_of_pandas_read_the_log(tmp_path: Path, log: PredictionLog) -> None:
    data, _ = patients(MANY + 2)
    log.predictions("v1", "champion", told(MANY), take(data, np.arange(MANY)))
    log.predictions("v1", "champion", told(2), take(data, np.arange(MANY, MANY + 2)))
    # As in docs/reference/log.md.
    rows = pd.concat(batch.to_pandas() for batch in predictions(tmp_path, LogCounts()))
    ages = pd.json_normalize(rows.inputs)["age"]
    assert ages.tolist() == data["age"].tolist()
    # And without Assay, what came in small requests.
    (path,) = (tmp_path / "predictions").glob("*.jsonl")
    plain = pd.read_json(path, lines=True).query("packed.isna()")
    table = pd.concat(pd.DataFrame({**one.inputs, "decision": one.decision}) for one in plain.itertuples())
    assert table["age"].tolist() == data["age"][MANY:].tolist()


def test_the_query_of_the_manual_reads_the_log_with_duckdb(
    tmp_path: Path, log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, _ = patients(MANY + 4)
    log.predictions("v1", "champion", told(2), take(data, np.arange(2)))
    log.predictions("v1", CHECK, told(2), take(data, np.arange(2, 4)))
    log.predictions("v1", "champion", told(MANY), take(data, np.arange(4, MANY + 4)))
    page = (ROOT / "packages/assay/docs/reference/log.md").read_text(encoding="utf-8")
    (query,) = re.findall(r"^```sql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path.parent)
    query = query.replace("monitoring/", f"{tmp_path.name}/").replace("mean_radius", "age")
    found = duckdb.sql(query).fetchall()
    assert [age for _, _, age in found] == data["age"][:2].tolist()
    assert len({one for one, _, _ in found}) == 2


def test_ids_sort_by_time_and_say_it() -> None:
    names = [new_ids(1) for _ in range(3)]
    assert [name.partition("-")[0] for name in names] == sorted(name.partition("-")[0] for name in names)
    found = time_of(names[0])
    assert found is not None
    assert abs(found - datetime.now(UTC)) < timedelta(minutes=1)


def test_who_has_an_id_cannot_guess_that_of_another_row_of_the_same_moment() -> None:
    first, *others = new_ids(1000).split(",")
    assert {len(one) for one in others} == {len(first)}
    # 80 random bits: none of the digits says anything of the other ids.
    digits = np.array([list(one.partition("-")[2]) for one in others])
    assert digits.shape[1] == 20
    assert min(len(np.unique(digits[:, place])) for place in range(20)) == 16
    assert len({*others, first}) == 1000


@pytest.mark.parametrize("text", ["", "x", "019acb6f7e00", "019ACB6F7E00-a", "fffffffffff-0", "ffffffffffff-0-0", "-"])
def test_what_is_no_id_says_no_time(text: str) -> None:
    assert time_of(text) is None


def test_a_prediction_is_in_the_segment_of_the_hour_in_its_id(tmp_path: Path) -> None:
    data, _ = patients(1)
    log = PredictionLog(tmp_path, WARD, DIGEST, days=36_500)
    times = [datetime(2026, 11, 29, hour, 59, 59, 999000, tzinfo=UTC) for hour in (12, 13, 12)]
    for number, time in enumerate(times):
        name = f"{int(time.timestamp() * 1000):012x}-{number}"
        log.predictions("v1", "champion", replace(told(1), names=name), data)
    found = {path.name.partition(".")[0]: path.read_bytes().count(b"\n") for path in tmp_path.glob("predictions/*")}
    assert found == {"2026-11-29T12": 2, "2026-11-29T13": 1}


def test_segments_are_deleted_when_they_are_too_old(tmp_path: Path) -> None:
    data, _ = patients(1)
    now = datetime.now(UTC)
    names = [f"{hour_name(now - timedelta(days=days))}.a.jsonl" for days in (1, 9, 11)]
    for folder in ("predictions", "outcomes"):
        (tmp_path / folder).mkdir()
        for name in [*names, "0000.txt"]:
            (tmp_path / folder / name).touch()
    PredictionLog(tmp_path, WARD, DIGEST, days=10).predictions("v1", "champion", told(1), data)
    assert {path.name for path in (tmp_path / "outcomes").iterdir()} == {*names[:2], "0000.txt"}
    assert not (tmp_path / "predictions" / names[2]).exists()


def test_a_clock_that_is_years_ahead_deletes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, _ = patients(1)
    now = datetime.now(UTC)
    names = [f"{hour_name(now - timedelta(days=days))}.a.jsonl" for days in (9, 11, 30)]
    for folder in ("predictions", "outcomes"):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
    # A worker for each hour: each one begins a segment.
    for hour in range(3):
        ahead = now + timedelta(days=3650, hours=hour)
        monkeypatch.setattr(
            write, "datetime", SimpleNamespace(now=lambda _, at=ahead: at, fromtimestamp=datetime.fromtimestamp)
        )
        batch = replace(told(1), names=f"{int(ahead.timestamp() * 1000):012x}-p-0")
        PredictionLog(tmp_path, WARD, DIGEST, days=10).predictions("v1", "champion", batch, data)
    # What was too old when the clock was right is gone.
    assert {path.name for path in (tmp_path / "outcomes").iterdir()} == set(names[:2])
    # The clock is right after all: there was no service for years.
    later = now + timedelta(days=3652)
    monkeypatch.setattr(write, "datetime", SimpleNamespace(now=lambda _: later, fromtimestamp=datetime.fromtimestamp))
    batch = replace(told(1), names=f"{int(later.timestamp() * 1000):012x}-p-0")
    PredictionLog(tmp_path, WARD, DIGEST, days=10).predictions("v1", "champion", batch, data)
    assert not list((tmp_path / "outcomes").iterdir())


def fails_after(monkeypatch: pytest.MonkeyPatch, bytes_written: int) -> None:
    """Let the disk be full after some bytes of the next write."""
    write = os.write

    def full(file: int, content: bytes) -> int:
        monkeypatch.setattr(segments.os, "write", write)
        if not bytes_written:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, content[:bytes_written])

    monkeypatch.setattr(segments.os, "write", full)


@pytest.mark.parametrize("bytes_written", [0, 1, 100])
def test_on_a_full_disk_there_is_no_part_of_an_entry(
    tmp_path: Path, log: PredictionLog, monkeypatch: pytest.MonkeyPatch, bytes_written: int
) -> None:
    data, _ = patients(1)
    first, third = told(1), told(1)
    log.predictions("v1", "champion", first, data)
    fails_after(monkeypatch, bytes_written)
    with pytest.raises(OSError, match="No space"):
        log.predictions("v1", "champion", told(1), data)
    log.predictions("v1", "champion", third, data)
    assert [row["prediction_id"] for row in read(tmp_path)] == [first.names, third.names]


def test_where_part_of_an_entry_cannot_be_undone_a_new_segment_begins(
    tmp_path: Path, log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, _ = patients(1)
    first, third = told(1), told(1)
    log.predictions("v1", "champion", first, data)
    fails_after(monkeypatch, 100)
    monkeypatch.setattr(segments.os, "ftruncate", lambda file, size: os.close(-1))
    with pytest.raises(OSError, match="No space"):
        log.predictions("v1", "champion", told(1), data)
    log.predictions("v1", "champion", third, data)
    counts = LogCounts()
    found = [one for batch in predictions(tmp_path, counts) for one in batch["prediction_id"].to_pylist()]
    assert (sorted(found), counts.torn) == (sorted([first.names, third.names]), 1)


def test_what_is_written_to_a_sealed_segment_is_in_another_one_too(tmp_path: Path, log: PredictionLog) -> None:
    data, _ = patients(1)
    given = [told(1) for _ in range(3)]
    log.predictions("v1", "champion", given[0], data)
    (path,) = (tmp_path / "predictions").iterdir()
    segments.seal(path)
    before = path.read_bytes()
    for one in given[1:]:
        log.predictions("v1", "champion", one, data)
    # As if it had been read before it was written to.
    path.unlink()
    path.write_bytes(before)
    assert {row["prediction_id"] for row in read(tmp_path)} == {one.names for one in given}


def test_a_segment_that_is_sealed_while_the_disk_is_full_gets_no_more(
    tmp_path: Path, log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, _ = patients(1)
    given = [told(1) for _ in range(2)]
    log.predictions("v1", "champion", given[0], data)
    (path,) = (tmp_path / "predictions").iterdir()
    segments.seal(path)
    fails_after(monkeypatch, 100)
    with pytest.raises(OSError, match="No space"):
        log.predictions("v1", "champion", told(1), data)
    before = path.read_bytes()
    log.predictions("v1", "champion", given[1], data)
    assert path.read_bytes() == before
    assert {row["prediction_id"] for row in read(tmp_path)} == {one.names for one in given}


def test_a_segment_that_was_half_sealed_is_sealed_by_who_comes_next(tmp_path: Path, log: PredictionLog) -> None:
    data, _ = patients(1)
    log.predictions("v1", "champion", told(1), data)
    (path,) = (tmp_path / "predictions").iterdir()
    path.chmod(segments.SEALED)
    segments.seal(path)
    log.predictions("v1", "champion", told(1), data)
    assert len(list((tmp_path / "predictions").iterdir())) == 2


def test_fsync_waits_for_the_disk_and_safe_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, _ = patients(1)
    synced: list[int] = []
    monkeypatch.setattr(segments.os, "fdatasync", synced.append)
    for fsync in (False, True):
        PredictionLog(tmp_path, WARD, DIGEST, fsync=fsync).predictions("v1", "champion", told(1), data)
        assert len(synced) == fsync


def test_entries_of_several_threads_are_each_whole(tmp_path: Path, log: PredictionLog) -> None:
    data, _ = patients(30)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: log.predictions("v1", "champion", told(30), data), range(40)))
    assert len(read(tmp_path)) == 40 * 30


WRITES = """
import sys
sys.path[:0] = [{tests!r}]
from pathlib import Path
from predictions.test_write import DIGEST, WARD, told
from assay.predictions.write import PredictionLog
from patients import patients

log, (data, _) = PredictionLog(Path({folder!r}), WARD, DIGEST), patients(3)
for number in range(10**9):
    batch = told(3)
    log.predictions("v1", "champion", batch, data)
    print(batch.names, flush=True)
"""


def test_what_a_process_acknowledged_is_there_after_it_was_killed(tmp_path: Path) -> None:
    code = WRITES.format(tests=str(Path(__file__).parents[1]), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        acknowledged = [process.stdout.readline() for _ in range(300)]
        process.kill()
        acknowledged += process.stdout.read().splitlines(keepends=True)
    whole = {line.strip() for line in acknowledged if line.endswith("\n")}
    counts = LogCounts()
    found = {one for batch in predictions(tmp_path, counts) for one in batch["prediction_id"].to_pylist()}
    assert {name for names in whole for name in names.split(",")} <= found
    assert (counts.foreign, counts.doubled) == (0, 0)
    assert counts.torn <= 1


def monitored(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what a monitor of the user's own gets from now on."""
    seen: list[Any] = []

    class Other(MonitorBase[Any]):
        def log(self, data: Any, name: str, role: str, data_type: str) -> None:
            seen.append((name, data, role, data_type))

        def start_record(self) -> None: ...

        def stop_record(self) -> None: ...

    monkeypatch.setattr("assay.predictions.monitor.bentoml.monitor", lambda name: nullcontext(Other(name)))
    return seen


def test_another_monitor_gets_every_value(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = monitored(monkeypatch)
    made: Contract = contract(columns={"age": {"kind": "number"}})
    batch = told(1)
    MonitorLog(made).predictions("v1", "champion", batch, {"age": np.array([3.5])})
    assert seen[:5] == [
        ("age", 3.5, "feature", "numerical"),
        ("prediction_id", batch.names, "prediction", "categorical"),
        ("prediction", "sick", "prediction", "categorical"),
        ("decision", "well", "prediction", "categorical"),
        ("probabilities", {"well": 0.7, "sick": 0.3}, "prediction", "categorical"),
    ]
    assert {name: value for name, value, *_ in seen}["arm"] == "champion"


@pytest.mark.filterwarnings("ignore:pythonjsonlogger.jsonlogger has been moved:DeprecationWarning")
def test_predictions_and_outcomes_stay_apart_in_bentomls_own_monitors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bentoml._internal.monitoring.api._MONITOR_INSTANCES", {})
    options = {"monitor_class": "default", "monitor_options": {"log_path": str(tmp_path)}}
    monkeypatch.setattr("assay.predictions.monitor.bentoml.monitor", partial(bentoml.monitor, **options))
    made, data = MonitorLog(contract(columns={"age": {"kind": "number"}})), {"age": np.array([3.5])}
    names = []
    for _ in range(2):
        batch = told(1)
        names += batch.ids()
        made.predictions("v1", "champion", batch, data)
        made.outcomes([{"prediction_id": names[0], "outcome": "sick"}])

    def ids(name: str) -> list[str]:
        lines = (tmp_path / name / "data/data.0.log").read_text().splitlines()
        return [json.loads(line)["prediction_id"] for line in lines]

    assert (ids("predictions"), ids("outcomes")) == (names, names[:1] * 2)
    for monitor in made._monitors.values():
        for handler in monitor.data_logger.handlers:
            handler.close()


def test_only_predictions_that_do_not_reach_opentelemetry_count_as_lost(caplog: pytest.LogCaptureFixture) -> None:
    lost: list[int] = []
    meters = _Meters([PeriodicExportingMetricReader(_Losses(lost.append), math.inf)])
    for meters.monitor, number in (("predictions", 3), ("outcomes", 5)):
        meters.get_meter("sdk").create_counter(PROCESSED).add(number, {ERROR: "queue_full"})
    meters.force_flush()
    meters.shutdown()
    assert lost == [3]
    assert "outcomes did not reach OpenTelemetry (queue_full: 5)" in caplog.text


def test_losses_that_are_not_counted_are_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As under `opentelemetry-instrument`."""
    for name in ("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "OTEL_BLRP_MAX_QUEUE_SIZE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER", NoOpMeterProvider())
    monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER_SET_ONCE._done", True)
    MonitorLog(WARD, lambda _: None).close()
    assert "predictions that do not reach OpenTelemetry are not counted" in caplog.text


@pytest.mark.parametrize("how", ["hash", "omit"])
def test_another_monitor_gets_nothing_that_the_contract_keeps_out_of_the_log(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    seen = monitored(monkeypatch)
    made = contract(columns={"age": {"kind": "number", "log": how}, "noise": {"kind": "number"}})
    batch = told(1)
    batch.warnings[0] = [f"{name}: 77.125 is outside the training range, 0 to 1" for name in ("age", "noise")]
    MonitorLog(made).predictions("v1", "champion", batch, {"age": np.array([77.125]), "noise": np.array([0.5])})
    assert (
        "warnings",
        ["age: outside of the training data", batch.warnings[0][1]],
        "prediction",
        "categorical",
    ) in seen
    assert "age" not in {name for name, *_ in seen}


def test_another_monitor_gets_outcomes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = monitored(monkeypatch)
    assert MonitorLog(WARD).outcomes([{"prediction_id": "p", "outcome": "sick"}]) == (1, 0)
    assert ("outcome", "sick", "target", "categorical") in seen


def test_the_log_does_not_hold_the_key_of_a_client(tmp_path: Path, log: PredictionLog) -> None:
    data, _ = patients(1)
    log.predictions("v1", "champion", told(1), data, keys=[(b"somebody@example.org", 1)])
    assert not any(b"somebody" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert (tmp_path / "secret").stat().st_mode & 0o077 == 0


def test_nothing_is_written_that_could_not_be_read_for_want_of_a_contract(tmp_path: Path, log: PredictionLog) -> None:
    data, _ = patients(1)
    (tmp_path / "contracts").touch()
    for _ in range(2):
        with pytest.raises(OSError, match="contracts"):
            log.predictions("v1", "champion", told(1), data)
    (tmp_path / "contracts").unlink()
    log.predictions("v1", "champion", told(1), data)
    assert len(read(tmp_path)) == 1


def test_the_contract_is_in_the_log(tmp_path: Path, log: PredictionLog) -> None:
    data, _ = patients(1)
    log.predictions("v1", "champion", told(1), data)
    kept = json.loads((tmp_path / f"contracts/{DIGEST}.json").read_text())
    assert kept["contract"]["name"] == WARD.name


@pytest.mark.parametrize("rows", [3, MANY])
@pytest.mark.parametrize("kind", ["number", "text"])
def test_what_the_contract_keeps_out_of_the_log_is_hashed_or_left_out(tmp_path: Path, rows: int, kind: str) -> None:
    hidden = {
        "omitted": {"kind": kind, "log": "omit", "missing": "allow"},
        "hashed": {"kind": kind, "log": "hash", "missing": "allow"},
    }
    made = contract(columns={**hidden, "age": {"kind": "number"}})
    secret = 77.125 if kind == "number" else "77.125"
    values = np.array([secret, *[None] * (rows - 2), secret], dtype=float if kind == "number" else object)
    data = {"omitted": values, "hashed": values, "age": np.arange(rows, dtype=float)}
    given = [[None if pd.isna(one) else one for one in values.tolist()]] * 2 + [list(range(rows))]
    log = PredictionLog(tmp_path, made, DIGEST)
    batch = told(rows)
    batch.warnings[0] = [f"{name}: 77.125 is outside the training range, 0 to 1" for name in hidden]
    log.predictions("v1", "champion", batch, data)
    log.predictions("v1", "champion", told(rows), RequestColumns(data, [tuple(one) for one in given]))
    found = [row["inputs"] for row in read(tmp_path)]
    assert all(list(row) == ["hashed", "age"] for row in found)
    assert {row["hashed"] for row in found} == {None, key_hash(log_secret(tmp_path), b"77.125")}
    assert [row["age"] for row in found] == [*range(rows)] * 2
    assert "77.125" not in "".join(path.read_text() for path in tmp_path.glob("predictions/*"))
