"""The prediction log, through BentoML's monitoring, off the path of requests.

A request of a few rows becomes one line per row, at some microseconds each, and a thread writes the lines. That thread
has to do almost nothing in Python: whenever the event loop waits for a socket, the thread would get the interpreter and
keep it for long. BentoML's default monitor needs some 70 us per row there; `monitor.Files` writes the same to the same
places. For requests of many rows the thread makes tables, from all requests since the last time: lines, or a table per
request, would take a quarter of the time of the predictions. A monitor of another kind, set in BentoML's configuration,
is used as it is.
"""

import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import bentoml
import msgspec

from assay.contract.spec import Contract, Integer, Number
from assay.data.columns import Columns
from assay.inference.predictor import PredictionBatch, RowPrediction, record
from assay.inference.rows import Values
from assay.predictions.monitoring import Monitoring

logger = logging.getLogger("bentoml.assay")

# The most rows that may wait to be written; more are counted as dropped.
MOST_WAITING = 100_000
SECONDS = 0.25
# From this number of rows a request is written as a table.
MANY = 200

KINDS = {True: "numerical", False: "categorical"}

# The fields of a line after the features, and the role of each.
OWN_FIELDS = {
    **dict.fromkeys(RowPrediction.__struct_fields__, "prediction"),
    "prediction_id": "prediction_id",
    "warnings": "warnings",
    **{name: name for name in ("model_version", "role", "timestamp")},
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request of many rows, its predictions, the model that made them, and the time."""

    batch: PredictionBatch
    data: Columns
    version: str
    role: str
    time: datetime


class PredictionLog:
    """Writes requests and predictions, without delaying a request."""

    def __init__(
        self,
        contract: Contract,
        values: Callable[[Columns], list[Values]],
        dropped: Callable[[int], None],
        monitoring: Monitoring = Monitoring(),  # noqa: B008 - it is frozen
    ) -> None:
        """Start the thread that writes.

        `values` turns columns into rows; `dropped` is called with the number of rows that did not fit in the queue or
        could not be written.
        """
        self._contract = contract
        self._values = values
        self._names = {name: _free_name(name, contract.features) for name in contract.features}
        features = {
            self._names[name]: isinstance(column, Number | Integer) for name, column in contract.features.items()
        }
        self._line = record([*features, *OWN_FIELDS])
        self._encoder = msgspec.json.Encoder()
        self._roles: dict[str, dict[str, tuple[str, str]]] = {
            "predictions": {
                **{name: ("feature", KINDS[is_number]) for name, is_number in features.items()},
                **{name: (role, "categorical") for name, role in OWN_FIELDS.items()},
            },
            "outcomes": {
                "prediction_id": ("prediction_id", "categorical"),
                "outcome": ("target", "categorical"),
                "timestamp": ("timestamp", "categorical"),
            },
        }
        self._dropped = dropped
        self._counting = threading.Lock()
        self._waiting: dict[str, list[tuple[int, Any]]] = {"predictions": [], "requests": []}
        self._writing = threading.Lock()
        self._rows = 0
        self._tables: Any = None
        self._warned = False
        self._ended = threading.Event()
        self._monitoring = monitoring
        self._is_default = monitoring.is_default
        self._thread = threading.Thread(target=self._run, name="prediction log", daemon=True)
        self._thread.start()

    def predictions(
        self,
        version: str,
        role: str,
        batch: PredictionBatch,
        data: Columns,
        *,
        rows: list[Values] | None = None,
    ) -> None:
        """Record predictions for columns, which may also be given as rows.

        `role` is champion, or the name of a challenger.
        """
        now = datetime.now(UTC)
        if self._is_default and len(batch.scores) >= MANY:
            # A copy, without the rows that are made for the response.
            self._put("requests", len(batch.scores), Request(replace(batch), data, version, role, now))
            return
        made = self._lines(version, role, now, batch, self._values(data) if rows is None else rows)
        self._put("predictions", len(made), self._as_written(made))

    def _lines(self, version: str, role: str, now: datetime, batch: PredictionBatch, rows: list[Values]) -> list[Any]:
        line, rest = self._line, (version, role, now.isoformat())
        return [
            line(*row, *msgspec.structs.astuple(answer), *rest) for row, answer in zip(rows, batch.rows(), strict=True)
        ]

    def outcomes(self, outcomes: list[dict[str, Any]]) -> None:
        """Write outcomes at once, since there may be no other copy; raises any error of writing."""
        now = datetime.now(UTC).isoformat()
        made = [{**outcome, "timestamp": now} for outcome in outcomes]
        with self._writing:
            self._write("outcomes", [self._as_written(made)])

    def close(self) -> None:
        """Write what is waiting, and stop the thread."""
        self._ended.set()
        self._thread.join(timeout=5)

    def _as_written(self, lines: list[Any]) -> Any:
        return self._encoder.encode_lines(lines) if self._is_default else lines

    def _put(self, name: str, rows: int, made: Any) -> None:
        with self._counting:
            is_full = self._rows + rows > MOST_WAITING
            if not is_full:
                self._rows += rows
                self._waiting[name].append((rows, made))
        if is_full:
            self._dropped(rows)

    def _run(self) -> None:
        while not self._ended.wait(SECONDS):
            self._write_waiting()
        self._write_waiting()

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            logger.warning("the prediction log cannot be written as configured: %s", error)

    def _write_waiting(self) -> None:
        for name in self._waiting:
            with self._counting:
                waiting, self._waiting[name] = self._waiting[name], []
            rows = sum(number for number, _ in waiting)
            if not rows:
                continue
            try:
                self._write(name, [made for _, made in waiting])
            # No request may fail because of the log, and the thread has to go on.
            except Exception as error:
                self._dropped(rows)
                self._warn(error)
            with self._counting:
                self._rows -= rows

    def _write(self, name: str, waiting: list[Any]) -> None:
        if name == "requests":
            self._write_requests(waiting)
            return
        roles = self._roles[name]
        if self._is_default:
            with self._files(name) as files:
                files.write_lines(waiting, roles)
            return
        for row in chain.from_iterable(waiting):
            with bentoml.monitor(name) as monitor:
                for column, value in msgspec.to_builtins(row).items():
                    monitor.log(value, column, *roles[column])

    def _write_requests(self, requests: list[Request]) -> None:
        try:
            # Here and below: imported by the thread, or once the service is ready, because it takes long.
            from assay.predictions.schema import Tables
        except ImportError as error:
            self._warn(error)
            for one in requests:
                lines = self._lines(one.version, one.role, one.time, one.batch, self._values(one.data))
                self._write("predictions", [self._encoder.encode_lines(lines)])
            return
        if self._tables is None:
            self._tables = Tables(self._contract, self._names)
        made = [table.serialize() for table in self._tables.of(requests)]
        with self._files("predictions") as files:
            files.write_tables(self._tables.beginning, made)

    def _files(self, name: str) -> Any:
        """Return the context of a monitor that writes to files called `name`."""
        from assay.predictions.monitor import Files

        options = {**self._monitoring.options, "worker": self._monitoring.worker}
        # BentoML accepts a class too, although its overloads do not say so.
        return bentoml.monitor(name, monitor_class=Files, monitor_options=options)  # type: ignore[call-overload]


def _free_name(name: str, features: Collection[str]) -> str:
    """Return the name of a feature in a line; a different one if the line has a field of that name."""
    if name in OWN_FIELDS:
        while name in OWN_FIELDS or name in features:
            name = f"feature {name}"
    return name
