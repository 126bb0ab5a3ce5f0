"""The prediction log, through BentoML's monitoring, off the path of requests.

A request makes the lines of its rows, some microseconds each, and a thread writes them. That thread has to do next to
nothing in Python: whenever the event loop waits for a socket the thread would get the interpreter, and keep it for
long. BentoML's default monitor spends some 70 us a row there; `Lines` writes what it would write, in the same places.
A monitor of another kind, set in BentoML's configuration, is used as it is.
"""

import logging
import threading
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from itertools import chain
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import bentoml
import msgspec
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.context import server_context
from bentoml.monitoring import MonitorBase

from assay.contract.spec import Contract, Integer, Number
from assay.serve.answering import Answer, record
from assay.serve.rows import Values

if TYPE_CHECKING:
    from io import BufferedWriter, TextIOWrapper

logger = logging.getLogger("bentoml.assay")

# So many rows may wait to be written; more are counted as dropped.
MOST_WAITING = 100_000
SECONDS = 0.25

KINDS = {True: "numerical", False: "categorical"}

# What a line holds after the features, the answer first, and what that is.
OWN = {
    **dict.fromkeys(Answer.__struct_fields__, "prediction"),
    "prediction_id": "prediction_id",
    "warnings": "warnings",
    **{name: name for name in ("model_version", "role", "timestamp")},
}


class Lines(MonitorBase[Any]):
    """A monitor as BentoML's default one, for many rows at once: JSON lines in rotating files, one for each worker."""

    def __init__(self, name: str, log_path: str, **_: Any) -> None:
        """Write below a folder."""
        super().__init__(name)
        self._folder = Path(log_path, name)
        self._data: TimedRotatingFileHandler | None = None

    def start_record(self) -> None:
        """Do nothing: what is written is whole already."""

    def stop_record(self) -> None:
        """Do nothing."""

    def write(self, lines: Iterable[bytes], roles: dict[str, tuple[str, str]]) -> None:
        """Write lines, and before the first of them what their columns are."""
        if self._data is None:
            worker = server_context.worker_index or 0
            for part in ("schema", "data"):
                (self._folder / part).mkdir(parents=True, exist_ok=True)
            columns = [{"name": name, "role": role, "type": kind} for name, (role, kind) in roles.items()]
            schema = msgspec.json.encode({"columns": columns}) + b"\n"
            (self._folder / "schema" / f"schema.{worker}.log").write_bytes(schema)
            self._data = TimedRotatingFileHandler(self._folder / "data" / f"data.{worker}.log", when="D", utc=True)
        # As the handler does with a record, but for making a text of bytes, and bytes of that again.
        if self._data.shouldRollover(logging.makeLogRecord({})):
            self._data.doRollover()
        cast("TextIOWrapper[BufferedWriter]", self._data.stream).buffer.writelines(lines)
        self._data.flush()

    def close(self) -> None:
        """Close the file."""
        if self._data:
            self._data.close()


class PredictionLog:
    """Writes what was asked and told; never in the way of a request."""

    def __init__(self, contract: Contract, dropped: Callable[[int], None]) -> None:
        """Prepare to write; `dropped` is told of rows that there was no room for, or that could not be written."""
        features = {
            _apart(name, contract.features): isinstance(column, Number | Integer)
            for name, column in contract.features.items()
        }
        self._line = record([*features, *OWN])
        self._encoder = msgspec.json.Encoder()
        self._roles: dict[str, dict[str, tuple[str, str]]] = {
            "predictions": {
                **{name: ("feature", KINDS[is_number]) for name, is_number in features.items()},
                **{name: (role, "categorical") for name, role in OWN.items()},
            },
            "outcomes": {
                "prediction_id": ("prediction_id", "categorical"),
                "outcome": ("target", "categorical"),
                "timestamp": ("timestamp", "categorical"),
            },
        }
        self._dropped = dropped
        self._counting = threading.Lock()
        self._waiting: dict[str, list[tuple[int, Any]]] = {"predictions": [], "outcomes": []}
        self._rows = 0
        self._said = False
        self._ended = threading.Event()
        kind = BentoMLContainer.config.monitoring.type.get()
        self._is_default = kind in (None, "default")
        self._options: dict[str, Any] = {}
        if self._is_default:
            options = dict(BentoMLContainer.config.monitoring.options.get() or {})
            self._options = {"monitor_class": Lines, "monitor_options": options}
        self._thread = threading.Thread(target=self._run, name="prediction log", daemon=True)
        self._thread.start()

    def predictions(self, version: str, asked: list[Values], told: list[Answer], role: str) -> None:
        """Take down answers; `role` is champion, or the name of a challenger."""
        line, rest = self._line, (version, role, datetime.now(UTC).isoformat())
        rows = [
            line(*values, *msgspec.structs.astuple(answer), *rest) for values, answer in zip(asked, told, strict=True)
        ]
        self._put("predictions", rows)

    def outcomes(self, outcomes: list[dict[str, Any]]) -> None:
        """Take down what turned out to be true."""
        now = datetime.now(UTC).isoformat()
        self._put("outcomes", [{**outcome, "timestamp": now} for outcome in outcomes])

    def close(self) -> None:
        """Write what is waiting, and end."""
        self._ended.set()
        self._thread.join(timeout=5)

    def _put(self, name: str, rows: list[Any]) -> None:
        made = self._encoder.encode_lines(rows) if self._is_default else rows
        with self._counting:
            is_full = self._rows + len(rows) > MOST_WAITING
            if not is_full:
                self._rows += len(rows)
                self._waiting[name].append((len(rows), made))
        if is_full:
            self._dropped(len(rows))

    def _run(self) -> None:
        while not self._ended.wait(SECONDS):
            self._write_waiting()
        self._write_waiting()

    def _write_waiting(self) -> None:
        for name in self._waiting:
            with self._counting:
                waiting, self._waiting[name] = self._waiting[name], []
            rows = sum(number for number, _ in waiting)
            if not rows:
                continue
            try:
                self._write(name, [made for _, made in waiting])
            # Nobody's request may fail for the log, and the thread has to go on.
            except Exception as error:
                self._dropped(rows)
                if not self._said:
                    self._said = True
                    logger.warning("the prediction log cannot be written: %s", error)
            with self._counting:
                self._rows -= rows

    def _write(self, name: str, waiting: list[Any]) -> None:
        roles = self._roles[name]
        if self._is_default:
            with bentoml.monitor(name, **self._options) as monitor:
                monitor.write(waiting, roles)
            return
        for row in chain.from_iterable(waiting):
            with bentoml.monitor(name) as monitor:
                for column, value in msgspec.to_builtins(row).items():
                    monitor.log(value, column, *roles[column])


def _apart(name: str, features: Collection[str]) -> str:
    """Return the name of a feature in a line, another one where what a line holds of its own has that name."""
    if name in OWN:
        while name in OWN or name in features:
            name = f"feature {name}"
    return name
