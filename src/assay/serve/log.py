"""The prediction log, through BentoML's monitoring, off the path of requests.

A request only puts what it asked and was told into a queue; a thread writes. BentoML's default monitor spends some
70 us a row on logging records. `Lines` writes what it would write, in the same places, many rows at once. A monitor of
another kind, set in BentoML's configuration, is used as it is.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import bentoml
import numpy as np
import orjson
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.context import server_context
from bentoml.monitoring import MonitorBase

from assay.contract.spec import Contract, Integer, Number
from assay.data.columns import Columns, length

logger = logging.getLogger("bentoml.assay")

# So many rows may wait to be written; more are counted as dropped.
MOST_WAITING = 100_000

# What a model is and its role, what was asked, what was told; without a model, outcomes.
Record = tuple[tuple[str, str] | None, Columns, list[dict[str, Any]]]


class Lines(MonitorBase[Any]):
    """A monitor as BentoML's default one, for many rows at once: JSON lines in rotating files, one for each worker."""

    def __init__(self, name: str, log_path: str, **_: Any) -> None:
        """Write below a folder."""
        super().__init__(name)
        self._folder = Path(log_path, name)
        self._data: logging.Handler | None = None

    def start_record(self) -> None:
        """Begin a record."""
        self._record: dict[str, list[Any]] = {}
        self._kinds: list[dict[str, str]] = []

    def log_batch(self, data_batch: Iterable[Any], name: str, role: str, data_type: str) -> None:
        """Add a column."""
        self._record[name] = list(data_batch)
        self._kinds.append({"name": name, "role": role, "type": data_type})

    def stop_record(self) -> None:
        """Write the rows, and before the first of them the columns."""
        if self._data is None:
            worker = server_context.worker_index or 0
            for part in ("schema", "data"):
                (self._folder / part).mkdir(parents=True, exist_ok=True)
            schema = orjson.dumps({"columns": self._kinds}) + b"\n"
            (self._folder / "schema" / f"schema.{worker}.log").write_bytes(schema)
            self._data = TimedRotatingFileHandler(self._folder / "data" / f"data.{worker}.log", when="D", utc=True)
            self._data.terminator = ""
        names = list(self._record)
        rows = zip(*self._record.values(), strict=True)
        lines = b"".join(orjson.dumps(dict(zip(names, row, strict=True))) + b"\n" for row in rows)
        self._data.emit(logging.makeLogRecord({"msg": lines.decode()}))

    def close(self) -> None:
        """Close the file."""
        if self._data:
            self._data.close()


class PredictionLog:
    """Writes what was asked and told; never in the way of a request."""

    def __init__(self, contract: Contract, dropped: Callable[[int], None]) -> None:
        """Prepare to write; `dropped` is told of rows that there was no room for, or that could not be written."""
        self._features = {
            name: "numerical" if isinstance(column, Number | Integer) else "categorical"
            for name, column in contract.features.items()
        }
        self._dropped = dropped
        self._queue: SimpleQueue[Record] = SimpleQueue()
        self._waiting = 0
        self._counting = threading.Lock()
        self._said = False
        self._ended = threading.Event()
        kind = BentoMLContainer.config.monitoring.type.get()
        options = dict(BentoMLContainer.config.monitoring.options.get() or {})
        self._monitor: dict[str, Any] = {}
        if kind in (None, "default"):
            self._monitor = {"monitor_class": Lines, "monitor_options": options}
        self._thread = threading.Thread(target=self._write, name="prediction log", daemon=True)
        self._thread.start()

    def predictions(self, version: str, data: Columns, told: list[dict[str, Any]], role: str) -> None:
        """Take down answers; `role` is champion, challenger or shadow."""
        self._put(len(told), ((version, role), data, told))

    def outcomes(self, outcomes: list[dict[str, Any]]) -> None:
        """Take down what turned out to be true."""
        self._put(len(outcomes), (None, {}, outcomes))

    def close(self) -> None:
        """Write what is waiting, and end."""
        self._ended.set()
        self._thread.join(timeout=5)

    def _put(self, rows: int, record: Record) -> None:
        with self._counting:
            is_full = self._waiting + rows > MOST_WAITING
            self._waiting += 0 if is_full else rows
        if is_full:
            self._dropped(rows)
        else:
            self._queue.put(record)

    def _write(self) -> None:
        while not self._ended.wait(0.25) or not self._queue.empty():
            try:
                while True:
                    self._write_one(*self._queue.get_nowait())
            except Empty:
                pass

    def _write_one(self, about: tuple[str, str] | None, data: Columns, told: list[dict[str, Any]]) -> None:
        try:
            if about is None:
                self._write_outcomes(told)
            else:
                self._write_predictions(*about, data, told)
        # Nobody's request may fail for the log, and the thread has to go on.
        except Exception as error:
            self._dropped(len(told))
            if not self._said:
                self._said = True
                logger.warning("the prediction log cannot be written: %s", error)
        finally:
            with self._counting:
                self._waiting -= len(told)

    def _write_predictions(self, version: str, role: str, data: Columns, told: list[dict[str, Any]]) -> None:
        rows = length(data)
        now = datetime.now(UTC).isoformat()
        with bentoml.monitor("predictions", **self._monitor) as monitor:
            for name, kind in self._features.items():
                monitor.log_batch(_plain(data[name]), name, "feature", kind)
            for name in ("prediction", "decision", "probabilities", "prediction_id"):
                if name in told[0]:
                    monitor.log_batch([one[name] for one in told], name, "prediction", "categorical")
            for name, value in (("model_version", version), ("role", role), ("timestamp", now)):
                monitor.log_batch([value] * rows, name, name, "categorical")

    def _write_outcomes(self, outcomes: list[dict[str, Any]]) -> None:
        now = datetime.now(UTC).isoformat()
        with bentoml.monitor("outcomes", **self._monitor) as monitor:
            for name in ("prediction_id", "outcome"):
                monitor.log_batch([outcome[name] for outcome in outcomes], name, "target", "categorical")
            monitor.log_batch([now] * len(outcomes), "timestamp", "time", "categorical")


def _plain(values: np.ndarray) -> list[Any]:
    if values.dtype.kind == "M":
        return [None if text == "NaT" else text for text in np.datetime_as_string(values).tolist()]
    # JSON has no NaN: orjson writes null.
    return list(values.tolist())
