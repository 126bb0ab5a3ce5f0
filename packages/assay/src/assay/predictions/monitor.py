"""The default place of the prediction log: files, as BentoML's default monitor writes them."""

import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
from bentoml.monitoring import MonitorBase

if TYPE_CHECKING:
    from io import BufferedWriter, TextIOWrapper

    import pyarrow as pa

# The format of lines and tables, named at the start of each file.
LOG_FORMAT = 1


class Files(MonitorBase[Any]):
    """A monitor like BentoML's default one, but for many rows at once, with files per worker.

    It writes JSON lines to rotating files, and tables to Arrow streams, a new one each day.
    """

    def __init__(self, name: str, log_path: str, worker: int = 0, **_: Any) -> None:
        """Write to files in a folder."""
        super().__init__(name)
        self._folder = Path(log_path, name)
        self._worker = worker
        self._lines: TimedRotatingFileHandler | None = None
        self._tables: BufferedWriter | None = None
        self._day = ""

    def start_record(self) -> None:
        """Do nothing: records are complete when they are written."""

    def stop_record(self) -> None:
        """Do nothing."""

    def write_lines(self, lines: Iterable[bytes], roles: dict[str, tuple[str, str]]) -> None:
        """Write lines; before the first one, write a schema of their columns."""
        if self._lines is None:
            for part in ("schema", "data"):
                (self._folder / part).mkdir(parents=True, exist_ok=True)
            columns = [{"name": name, "role": role, "type": kind} for name, (role, kind) in roles.items()]
            schema = msgspec.json.encode({"format": LOG_FORMAT, "columns": columns}) + b"\n"
            (self._folder / "schema" / f"schema.{self._worker}.log").write_bytes(schema)
            path = self._folder / "data" / f"data.{self._worker}.log"
            self._lines = TimedRotatingFileHandler(path, when="D", utc=True)
        # What the handler does with a record, without decoding the bytes and encoding them again.
        if self._lines.shouldRollover(logging.makeLogRecord({})):
            self._lines.doRollover()
        cast("TextIOWrapper[BufferedWriter]", self._lines.stream).buffer.writelines(lines)
        self._lines.flush()

    def write_tables(self, beginning: "pa.Buffer", tables: "Iterable[pa.Buffer]") -> None:
        """Write tables as Arrow messages; before the first one, write the beginning of the stream."""
        now = f"{datetime.now(UTC):%Y-%m-%dT%H%M%S.%f}"
        try:
            if self._tables is None or now[:10] != self._day:
                self._end_tables()
                (self._folder / "data").mkdir(parents=True, exist_ok=True)
                self._tables = (self._folder / "data" / f"data.{self._worker}.{now}.arrows").open("xb")
                self._day = now[:10]
                self._tables.write(beginning)
            self._tables.writelines(tables)
            self._tables.flush()
        except OSError:
            # After an incomplete message the rest of the stream cannot be read.
            self._end_tables()
            raise

    def _end_tables(self) -> None:
        tables, self._tables = self._tables, None
        if tables:
            with suppress(OSError):
                tables.close()

    def close(self) -> None:
        """Close the files."""
        self._end_tables()
        if self._lines:
            self._lines.close()
