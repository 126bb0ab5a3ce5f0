"""Counts of requests: they are in the log within a minute, once, and nobody can fill the disk with them."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from assay.predictions import segments
from assay.predictions.entry import Counted
from assay.predictions.read import LogCounts
from assay.predictions.requests import RequestLog, counted
from assay.predictions.segments import REQUESTS

ANSWERED = {("/predict", 200, "v1"): [0.1]}
EVENTS = {
    ("refused", "contract"): 3,
    ("violations", "age"): 7,
    ("violations", ""): 1,
    ("unknown", "ward"): 2,
    ("dropped", "v1"): 5,
    ("predictions", "v1", "well"): 9,
}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[RequestLog]:
    made = RequestLog(tmp_path, "v1", [250.0, 1000.0], days=90)
    yield made
    made.close()


def read(folder: Path) -> list[Counted]:
    now = datetime.now(UTC)
    return list(counted(folder, LogCounts(), now - timedelta(hours=2), now + timedelta(hours=1)))


def test_what_is_counted_is_in_the_log_without_what_clients_sent(tmp_path: Path, log: RequestLog) -> None:
    log.add({("/predict", 200, "v1"): [0.1, 0.3, 2.0]})
    log.add({("/predict", 503, ""): [5.0]})
    log.add({("/feedback", 200, ""): [9.0]})
    log.add({("/docs", 200, ""): [1.0]})
    log.add({("/predict", 422, ""): [0.1]})
    log.add_events(EVENTS)
    log.add(ANSWERED)
    log.write()
    (found,) = read(tmp_path)
    assert (found.version, found.answered, found.failed, found.timed, found.unlogged) == ("v1", 5, 1, 4, 5)
    assert found.slow == {"250": 2, "1000": 1}
    assert (found.refused, found.violations, found.unknown) == ({"contract": 3}, {"age": 7, "": 1}, {"ward": 2})


def test_each_version_has_its_latency_and_unlogged_rows_and_the_one_in_use_has_the_rest(
    tmp_path: Path, log: RequestLog
) -> None:
    for version, seconds in (("v1", 0.1), ("v2", 0.3), ("v2", 0.1)):
        log.add({("/predict", 200, version): [seconds]})
    log.add({("/predict", 503, ""): [0.1]})
    log.add_events(EVENTS | {("dropped", "v2"): 1, ("dropped", "v3"): 4, ("dropped", "v4"): 0})
    log.write()
    found = {one.version: one for one in read(tmp_path)}
    assert {version: (one.timed, one.slow, one.unlogged) for version, one in found.items()} == {
        "v1": (1, {}, 5),
        "v2": (2, {"250": 1}, 1),
        "v3": (0, {}, 4),
    }
    assert {version: (one.answered, one.failed, one.refused) for version, one in found.items()} == {
        "v1": (3, 1, {"contract": 3}),
        "v2": (0, 0, {}),
        "v3": (0, 0, {}),
    }


def test_any_number_of_requests_is_one_line_and_none_is_no_line(tmp_path: Path, log: RequestLog) -> None:
    for _ in range(1000):
        log.add({("/predict", 422, ""): [0.1]})
        log.add_events({("refused", "contract"): 1})
    log.write()
    log.write()
    log.add({("/docs", 200, ""): [0.1]})
    log.write()
    (segment,) = (tmp_path / REQUESTS).iterdir()
    assert len(segment.read_bytes()) < 200
    assert read(tmp_path)[0].refused == {"contract": 1000}


def test_what_cannot_be_written_is_written_later(
    tmp_path: Path, log: RequestLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.add(ANSWERED)
    with monkeypatch.context() as full:
        full.setattr(segments.os, "write", lambda *_: segments._disk_is_full())
        with pytest.raises(OSError, match="No space left"):
            log.write()
    log.add(ANSWERED)
    log.write()
    assert [one.answered for one in read(tmp_path)] == [2]


def test_a_segment_that_was_copied_counts_once_and_old_ones_go(tmp_path: Path, log: RequestLog) -> None:
    old = tmp_path / REQUESTS / "2020-01-01T00.0.jsonl"
    recent = f"{datetime.now(UTC) - timedelta(days=2):%Y-%m-%dT%H}.0.jsonl"
    old.parent.mkdir()
    for path in (old, old.with_name(recent)):
        path.touch()
    log.add(ANSWERED)
    log.write()
    assert not old.exists()
    segment = next(path for path in (tmp_path / REQUESTS).iterdir() if path.name != recent)
    for name in (segment.name.replace(".jsonl", "1.jsonl"), recent):
        shutil.copy(segment, segment.with_name(name))
    counts = LogCounts()
    now = datetime.now(UTC)
    assert len(list(counted(tmp_path, counts, now - timedelta(days=3), now + timedelta(hours=1)))) == 1
    assert (counts.doubled, counts.foreign) == (1, 1)
