"""The reader of the prediction log: every whole entry once, and everything else counted."""

import base64
import errno
import io
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from assay.base.files import write_json
from assay.predictions.outcomes import joined
from assay.predictions.read import LogCounts, predictions
from patients import contract

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
CONTRACT = contract(
    columns={
        "age": {"kind": "number", "missing": "allow"},
        "smoker": {"kind": "boolean"},
        "ward": {"kind": "text", "missing": "allow"},
        "admitted": {"kind": "time", "missing": "allow"},
    }
)
DIGEST = "c0ffee"


def entry(name: str, time: datetime = NOON, rows: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "time": time.isoformat(),
        "version": "v1",
        "arm": "champion",
        "contract": DIGEST,
        "prediction_id": [f"{name}-{row}" for row in range(rows)],
        "key": [None] * rows,
        "inputs": {
            "age": [50.5] * rows,
            "smoker": [True] * rows,
            "ward": ["north"] * rows,
            "admitted": ["2026-01-02T03:04:05"] * rows,
        },
        "prediction": ["sick"] * rows,
        "decision": ["well"] * rows,
        "probabilities": {"well": [0.25] * rows, "sick": [0.75] * rows},
        **changes,
    }


def line(name: str, time: datetime = NOON, **changes: Any) -> bytes:
    return json.dumps(entry(name, time, **changes), separators=(",", ":")).encode() + b"\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    write_json(tmp_path / f"contracts/{DIGEST}.json", {"format": 1, "contract": json.loads(CONTRACT.model_dump_json())})
    (tmp_path / "predictions").mkdir()
    return tmp_path


def put(log: Path, content: bytes, time: datetime = NOON, process: str = "a") -> None:
    with (log / f"predictions/{time:%Y-%m-%dT%H}.{process}.jsonl").open("ab") as file:
        file.write(content)


def found(log: Path, **between: datetime) -> tuple[list[str], LogCounts]:
    counts = LogCounts()
    batches = list(predictions(log, counts, **between))
    ids = [one for batch in batches for one in batch["prediction_id"].to_pylist()]
    assert counts.entries == len(ids)
    return ids, counts


def test_a_segment_that_was_copied_under_the_name_of_another_hour_counts_once(log: Path):
    put(log, line("a", rows=3))
    put(log, line("a", rows=3), NOON + timedelta(hours=1))
    ids, counts = found(log)
    assert (ids, counts.foreign) == (["a-0", "a-1", "a-2"], 1)


def test_a_pipe_under_the_name_of_a_segment_holds_nobody_up(log: Path):
    put(log, line("a"))
    os.mkfifo(log / f"predictions/{NOON:%Y-%m-%dT%H}.pipe.jsonl")
    assert found(log)[0] == ["a-0"]


def test_a_prediction_is_read_as_it_was_made(log: Path) -> None:
    put(log, line("a", key=["f00d"], warnings=[["age: 50.5"]]))
    (batch,) = predictions(log, LogCounts())
    assert batch.to_pylist() == [
        {
            "prediction_id": "a-0",
            "time": NOON,
            "version": "v1",
            "arm": "champion",
            "contract": DIGEST,
            "key": "f00d",
            "inputs": {"age": 50.5, "smoker": True, "ward": "north", "admitted": datetime(2026, 1, 2, 3, 4, 5)},
            "prediction": "sick",
            "decision": "well",
            "probabilities": {"well": 0.25, "sick": 0.75},
            "warnings": ["age: 50.5"],
        }
    ]


def test_packed_columns_are_read_as_lists_are(log: Path) -> None:
    def packed(values: Any, kind: str) -> str:
        return base64.b64encode(np.array(values, kind).tobytes()).decode()

    texts = {"ward": ["north", None]}
    dates = np.array(["2026-01-02", "NaT"], "M8[us]")
    numbers = {
        "age": packed([1.5, np.nan], "<f8"),
        "smoker": packed([1, 0], "<f8"),
        "admitted": packed(dates, "<M8[us]"),
    }
    plain = {"age": [1.5, None], "smoker": [True, False], "admitted": ["2026-01-02", None]}
    scores = packed([[0.25, 0.75]] * 2, "<f8")
    put(log, line("a", rows=2, inputs=texts, packed=numbers, scores=scores, probabilities={}))
    put(log, line("b", rows=2, inputs=texts | plain))
    one, other = predictions(log, LogCounts())
    assert one.drop_columns("prediction_id") == other.drop_columns("prediction_id")


def test_hours_come_in_their_order_and_only_those_asked_for(log: Path) -> None:
    times = [NOON + timedelta(hours=hour) for hour in (2, 0, 1)]
    for time in times:
        put(log, line(f"{time:%H}", time), time)
    assert found(log)[0] == ["12-0", "13-0", "14-0"]
    assert found(log, since=NOON + timedelta(minutes=1))[0] == ["13-0", "14-0"]
    assert found(log, since=NOON, until=NOON + timedelta(hours=1))[0] == ["12-0"]
    assert found(log, until=NOON)[1].segments == 0


def test_the_first_and_the_last_hour_of_the_calendar_are_hours_like_others(log: Path) -> None:
    last = datetime(9999, 12, 31, 23, tzinfo=UTC)
    put(log, line("a", last), last)
    assert found(log, since=NOON)[0] == ["a-0"]
    assert found(log, since=datetime.min.replace(tzinfo=UTC))[0] == ["a-0"]


@pytest.mark.parametrize("cut", [1, 20, -1])
def test_a_line_that_was_cut_is_counted_and_the_rest_is_read(log: Path, cut: int) -> None:
    put(log, line("a") + line("b")[:cut])
    put(log, line("c"), process="b")
    ids, counts = found(log)
    # Only the end of the last line may be missing.
    assert (ids, counts.torn + counts.foreign) == ((["a-0", "c-0"], 1) if cut != -1 else (["a-0", "b-0", "c-0"], 0))
    assert counts.torn == (cut == 20)


def test_what_was_copied_is_read_once(log: Path) -> None:
    shadow = line("a", arm="shadow", version="v2")
    put(log, line("a", rows=2) + shadow + line("a", rows=2))
    put(log, line("a", rows=2) + shadow, process="copy")
    ids, counts = found(log)
    assert (ids, counts.doubled) == (["a-0", "a-1", "a-0"], 5)


FOREIGN = {
    "no JSON": b"a message of the system\n",
    "other JSON": b'{"level": "info"}\n',
    "binary": b"\x00\xff\x00\n",
    "a contract that is not here": line("b", contract="beef"),
    "a contract elsewhere": line("b", contract="../contracts/" + DIGEST),
    "a feature too few": line("b", inputs={"age": [1.0]}),
    "a number too few": line("b", rows=2, inputs=entry("b")["inputs"]),
    "a text as a number": line("b", inputs={**entry("b")["inputs"], "age": ["old"]}),
    "no time": line("b", time=datetime(2026, 11, 29, 12)),
    "no row": line("b", rows=0),
    "a class too few": line("b", probabilities={"well": [1.0]}),
    "packed numbers that break off": line("b", packed={"age": "AAAA"}),
    "a number without an end": b"1" * 100_000 + b"\n",
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_no_entry_is_counted_and_the_rest_is_read(log: Path, what: str) -> None:
    put(log, line("a") + FOREIGN[what] + line("c"))
    ids, counts = found(log)
    assert (ids, counts.foreign, counts.torn) == (["a-0", "c-0"], 1, 0)


def test_entries_of_two_contracts_are_in_batches_of_their_own(log: Path) -> None:
    other = contract(columns={"age": {"kind": "text"}})
    write_json(log / "contracts/beef.json", {"format": 1, "contract": json.loads(other.model_dump_json())})
    for name in ("a", "b"):
        put(log, line(name) + line(name + name, contract="beef", inputs={"age": ["old"]}))
    kinds = [batch.schema.field("inputs").type.field("age").type for batch in predictions(log, LogCounts())]
    assert kinds == [pa.float64(), pa.string()] * 2


def test_a_log_that_is_not_there_has_no_entries(tmp_path: Path) -> None:
    assert found(tmp_path / "nowhere") == ([], LogCounts())


@pytest.mark.parametrize("part", ["predictions", "outcomes", "contracts"])
def test_a_log_that_may_not_be_read_is_an_error(log: Path, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(log, line("a"))
    (log / "outcomes").mkdir()

    def refused(function: Callable[..., Any]) -> Callable[..., Any]:
        def checked(path: Any, *args: Any) -> Any:
            if Path(path).is_relative_to(log / part):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return function(path, *args)

        return checked

    # The user who runs the tests may be one who may read everything.
    for name in ("listdir", "scandir"):
        monkeypatch.setattr(os, name, refused(getattr(os, name)))
    monkeypatch.setattr(io, "open", refused(io.open))
    with pytest.raises(PermissionError, match=part):
        list(joined(log, LogCounts()))


def test_files_that_are_no_segments_are_left_alone(log: Path) -> None:
    for name in ("notes.jsonl", ".2026-11-29T12.a.jsonl.7.tmp", "2026-11-29T12.a.gz"):
        (log / "predictions" / name).write_bytes(line("a"))
    assert found(log)[0] == []
