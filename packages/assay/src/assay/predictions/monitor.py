"""The log of who sends predictions elsewhere by BentoML's configuration of monitoring: to OpenTelemetry, say."""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import bentoml
import msgspec
from opentelemetry import metrics
from opentelemetry.sdk.metrics import Counter, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    PeriodicExportingMetricReader,
)
from opentelemetry.util.types import Attributes

from assay.contract.spec import Contract, Integer, Number
from assay.data.columns import Columns
from assay.inference.predictor import PredictionBatch
from assay.predictions.segments import OUTCOMES, PREDICTIONS
from assay.predictions.write import Layout

logger = logging.getLogger("bentoml.assay")

# What OpenTelemetry's SDK counts about itself: records that it took from its queue or dropped, and that it sent or not.
PROCESSED, SENT, ERROR = "otel.sdk.processor.log.processed", "otel.sdk.exporter.log.exported", "error.type"
WAITING = ("otel.sdk.processor.log.queue.size", "otel.sdk.exporter.log.inflight")
# The attribute that says which monitor an instrument counts for.
MONITOR = "monitor"
# The logger of all monitors of BentoML.
SHARED = "bentoml_monitor_data"
# How often it is asked.
SECONDS = 5.0
# The most records that wait to be sent, unless its own variable says otherwise: a few of the largest requests.
QUEUE = "20000"
# How long a service that ends goes on sending.
ENDING_SECONDS = 5.0


class MonitorLog:
    """Hands predictions and outcomes to the configured monitor, row by row and value by value."""

    def __init__(self, contract: Contract, lost: Callable[[int], None] | None = None) -> None:
        """Take the contract of the model; `lost` gets the number of predictions that OpenTelemetry could not send."""
        # BentoML accepts these roles and no others.
        self._kinds = {
            name: ("feature", "numerical" if isinstance(column, Number | Integer) else "categorical")
            for name, column in contract.features.items()
            if column.log == "keep"
        }
        self._layout, self._classes = Layout(contract), contract.classes
        self._monitors: dict[str, Any] = {}
        # Requests are answered in several threads.
        self._lock = threading.Lock()
        self._losses = _Losses(lost) if lost else None
        self._meters = _count(self._losses) if self._losses else None

    def predictions(
        self,
        version: str,
        arm: str,
        batch: PredictionBatch,
        data: Columns,
        *,
        keys: Sequence[tuple[bytes, int]] = (),  # noqa: ARG002 - a monitor gets no keys
    ) -> None:
        """Hand over predictions; raises what the monitor raises."""
        rows, (prediction, decision) = len(batch.scores), batch.named()
        about: dict[str, Sequence[Any]] = {"prediction_id": batch.ids(), "prediction": prediction}
        if decision:
            probabilities = [dict(zip(self._classes, row, strict=True)) for row in batch.scores.tolist()]
            about |= {"decision": decision, "probabilities": probabilities}
        about["warnings"] = [self._layout.discreet(batch.warnings.get(row, [])) for row in range(rows)]
        same = {"version": version, "arm": arm, "time": datetime.now(UTC).isoformat()}
        about |= {name: [text] * rows for name, text in same.items()}
        # Times as texts: OpenTelemetry has no other.
        listed = self._layout.logged
        given = msgspec.to_builtins(listed.record(*listed.values(data)))
        # As BentoML does with names of its own.
        columns = {f"{name}_" if name in about else name: (given[name], *kind) for name, kind in self._kinds.items()}
        columns |= {name: (values, "prediction", "categorical") for name, values in about.items()}
        self._hand_over(PREDICTIONS, columns, rows)

    def outcomes(
        self,
        outcomes: Sequence[Mapping[str, Any]],
        key: bytes = b"",  # noqa: ARG002 - a monitor gets no keys
    ) -> tuple[int, int]:
        """Hand over outcomes; return how many, and that none has an unknown id."""
        columns = {
            "prediction_id": ([one["prediction_id"] for one in outcomes], "prediction", "categorical"),
            "outcome": ([one["outcome"] for one in outcomes], "target", "categorical"),
            "time": ([datetime.now(UTC).isoformat()] * len(outcomes), "prediction", "categorical"),
        }
        self._hand_over(OUTCOMES, columns, len(outcomes))
        return len(outcomes), 0

    def _hand_over(self, name: str, columns: Mapping[str, tuple[Sequence[Any], str, str]], rows: int) -> None:
        done = 0
        with self._lock:
            if rows and name not in self._monitors:
                if self._meters:
                    self._meters.monitor = name
                # BentoML takes the names of the columns from the first record, and warns if that has more than a row.
                self._monitors[name] = _apart(_log(name, columns, slice(0, 1)))
                done = 1
        if done < rows:
            _log(name, columns, slice(done, rows))

    def close(self) -> None:
        """Send to OpenTelemetry what waits, for a few seconds; BentoML would end without. Say what is lost."""
        providers = [one.logger_provider for one in self._monitors.values() if getattr(one, "logger_provider", None)]
        threads = [threading.Thread(target=one.shutdown, daemon=True) for one in providers]
        for thread in threads:
            thread.start()
        end = time.monotonic() + ENDING_SECONDS
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        if self._meters:
            self._meters.shutdown()
        if self._losses and self._losses.waiting:
            logger.warning("%d records of the prediction log were not sent to OpenTelemetry", self._losses.waiting)


def _log(name: str, columns: Mapping[str, tuple[Sequence[Any], str, str]], part: slice) -> Any:
    """Hand a part of the rows to a monitor of BentoML; return it."""
    with bentoml.monitor(name) as monitor:
        for column, (values, role, kind) in columns.items():
            monitor.log_batch(values[part], column, role, kind)
    return monitor


def _apart(monitor: Any) -> Any:
    """Give a monitor that has just begun a logger of its own, and return it.

    All monitors of BentoML share one logger. A monitor that begins replaces its handlers, and would get all records.
    """
    shared = logging.getLogger(SHARED)
    if getattr(monitor, "data_logger", None) is shared:
        monitor.data_logger = logging.Logger(SHARED, shared.level)
        for handler in shared.handlers:
            monitor.data_logger.addHandler(handler)
    return monitor


class _Meters(MeterProvider):
    """Labels each instrument with the monitor of BentoML that it counts for: the name in `monitor` at that moment."""

    monitor = ""

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes | None = None,
    ) -> metrics.Meter:
        return super().get_meter(name, version, schema_url, {**(attributes or {}), MONITOR: self.monitor})


class _Losses(MetricExporter):
    """Counts the predictions that OpenTelemetry dropped or failed to send, and passes each new number to a function.

    It writes losses of other records to the service's own log only.
    """

    def __init__(self, lost: Callable[[int], None]) -> None:
        super().__init__(preferred_temporality={Counter: AggregationTemporality.DELTA})
        self._lost = lost
        self.waiting = 0

    def export(self, metrics_data: MetricsData, timeout_millis: float = 0, **_: Any) -> MetricExportResult:  # noqa: ARG002
        points = [
            (str((scope.scope.attributes or {}).get(MONITOR)), metric.name, point)
            for resource in metrics_data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
            if isinstance(point, NumberDataPoint)
        ]
        self.waiting = sum(int(point.value) for _, name, point in points if name in WAITING)
        for monitor, name, point in points:
            if name in (PROCESSED, SENT) and point.attributes and ERROR in point.attributes and point.value:
                if monitor == PREDICTIONS:
                    self._lost(int(point.value))
                reason = f"{point.attributes[ERROR]!s}: {point.value:,}"
                logger.warning("%s did not reach OpenTelemetry (%s)", monitor, reason)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 0) -> bool:  # noqa: ARG002
        return True

    def shutdown(self, timeout_millis: float = 0, **_: Any) -> None: ...


def _count(losses: _Losses) -> _Meters:
    """Let OpenTelemetry, whose settings are variables of the environment, count what does not arrive."""
    os.environ["OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED"] = "true"
    os.environ.setdefault("OTEL_BLRP_MAX_QUEUE_SIZE", QUEUE)
    meters = _Meters([PeriodicExportingMetricReader(losses, 1000 * SECONDS)])
    metrics.set_meter_provider(meters)
    if metrics.get_meter_provider() is not meters:
        logger.warning("predictions that do not reach OpenTelemetry are not counted: its metrics are set up elsewhere")
    return meters
