from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assay.predictions import monitor
from assay.predictions.monitor import Files


def _tables(where: Path) -> list[Path]:
    return sorted(where.glob("predictions/data/data.0.*.arrows"))


def test_tables_have_a_file_for_each_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pa.table({"a": [1]}).to_batches()[0]
    schema, rows = made.schema.serialize(), made.serialize()
    files = Files("predictions", str(tmp_path))
    days = iter([20, 20, 21])

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Clock":
            return cls(2026, 11, next(days), tzinfo=tz)

    monkeypatch.setattr(monitor, "datetime", Clock)
    for _ in range(3):
        files.write_tables(schema, [rows, rows])
    files.close()
    assert [pa.ipc.open_stream(path).read_all().num_rows for path in _tables(tmp_path)] == [4, 2]


def test_after_half_a_table_a_new_file_begins(tmp_path: Path) -> None:
    made = pa.table({"a": [1]}).to_batches()[0]
    schema, rows = made.schema.serialize(), made.serialize()
    files = Files("predictions", str(tmp_path))

    def full_disk() -> Iterator[bytes]:
        yield rows.to_pybytes()[:20]
        raise OSError(28, "No space left on device")

    files.write_tables(schema, [rows])
    with pytest.raises(OSError, match="No space"):
        files.write_tables(schema, full_disk())
    files.write_tables(schema, [rows])
    files.close()
    first, second = _tables(tmp_path)
    assert pa.ipc.open_stream(first).read_next_batch().num_rows == 1
    assert pa.ipc.open_stream(second).read_all().num_rows == 1


def test_after_half_a_beginning_a_new_file_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pa.table({"a": [1]}).to_batches()[0]
    beginning, rows = made.schema.serialize(), made.serialize()
    files = Files("predictions", str(tmp_path))
    begin = Path.open

    def full_disk(path: Path, mode: str) -> Any:
        with begin(path, mode) as file:
            file.write(beginning.to_pybytes()[:20])
        monkeypatch.setattr(Path, "open", begin)
        return begin(Path("/dev/full"), "wb", buffering=0)

    monkeypatch.setattr(Path, "open", full_disk)
    with pytest.raises(OSError, match="No space"):
        files.write_tables(beginning, [rows])
    files.write_tables(beginning, [rows])
    files.close()
    assert pa.ipc.open_stream(_tables(tmp_path)[-1]).read_all().num_rows == 1
