"""Prometheus metrics of the model, besides BentoML's own.

Counting in shared memory, which several workers need, costs microseconds per number. So numbers are first added up in
this process, and written ten times a second and when this process is scraped: a scrape of one of several workers may
miss what the others counted in the last tenth of a second.
"""

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from assay.inference.predictor import PredictionBatch
from assay.serve.bentoml_internals import observe_all

BUCKETS = [number / 20 for number in range(1, 20)]


class Metrics:
    """The metrics of the model: the methods that count are cheap, `flush` writes."""

    def __init__(self, client: Any) -> None:
        """Register with BentoML's Prometheus client."""
        self.client = client
        self._counters = {
            "predictions": client.Counter(
                "assay_predictions", "Predictions by model version and class", ["version", "prediction"]
            ),
            "violations": client.Counter("assay_contract_violations", "Rows that break the contract", ["column"]),
            "unknown": client.Counter(
                "assay_unknown_categories", "Category values that are not in the contract", ["column"]
            ),
            "warnings": client.Counter("assay_warnings", "Values outside the training range", ["column"]),
            "challenger_failures": client.Counter(
                "assay_challenger_failures", "Requests on which a challenger failed", ["challenger"]
            ),
            "traffic_errors": client.Counter("assay_traffic_errors", "Invalid versions of traffic.yaml", []),
            "refused": client.Counter("assay_refused_requests", "Refused requests", ["reason"]),
            "dropped": client.Counter(
                "assay_unlogged_predictions",
                "Predictions missing from the log, by model version: it could not be written",
                ["version"],
            ),
        }
        self._scores = client.Histogram(
            "assay_score",
            "Probability of the positive class, or of the most probable of more than two classes",
            ["version"],
            buckets=BUCKETS,
        )
        self._bound: dict[tuple[str, ...], Any] = {}
        # Requests are answered in several threads.
        self._lock = threading.Lock()
        self._added: Counter[tuple[str, ...]] = Counter()
        self._observed: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, name: str, *labels: str, number: int = 1) -> None:
        """Count something."""
        with self._lock:
            self._added[(name, *labels)] += number

    def add_all(self, name: str, labels: Iterable[str]) -> None:
        """Count something once for each label."""
        for label in labels:
            self.add(name, label)

    def predicted(self, version: str, batch: PredictionBatch) -> None:
        """Count the predictions of a model, by class if there are classes, and record their scores."""
        scores = batch.scores
        if batch.best is None:
            self.add("predictions", version, "number", number=len(scores))
            return
        found = np.bincount(batch.best).tolist()
        positive = (scores[:, 1] if scores.shape[1] == 2 else scores.max(axis=1)).tolist()
        with self._lock:
            for label, number in zip(batch.labels, found, strict=False):
                if number:
                    self._added[("predictions", version, label)] += number
            self._observed[version] += positive

    def flush(self) -> Counter[tuple[str, ...]]:
        """Write what was counted, and return it, without the scores."""
        with self._lock:
            added, self._added = self._added, Counter()
            observed, self._observed = self._observed, defaultdict(list)
        for key, number in added.items():
            self._child(key).inc(number)
        for version, values in observed.items():
            observe_all(self._child(("score", version)), values)
        return added

    def _child(self, key: tuple[str, ...]) -> Any:
        child = self._bound.get(key)
        if child is None:
            name, *labels = key
            metric = self._scores if name == "score" else self._counters[name]
            child = self._bound[key] = metric.labels(*labels) if labels else metric
        return child


class Requests:
    """BentoML's metrics of requests, for those answered in front of BentoML."""

    def __init__(self, counting: Any, labels: dict[str, str]) -> None:
        """Take BentoML's middleware that counts requests, and the labels of this service."""
        self._counting = counting
        self._labels = labels
        self._added: dict[tuple[str, int, str], list[float]] = {}
        self._bound: dict[tuple[str, int], tuple[Any, Any]] = {}

    def add(self, path: str, status: int, version: str, seconds: float) -> None:
        """Count a request that was answered; `version` is that of the model that predicted, empty if none did."""
        self._added.setdefault((path, status, version), []).append(seconds)

    def flush(self) -> dict[tuple[str, int, str], list[float]]:
        """Write what was counted, and return it: how many seconds each request took."""
        added, self._added = self._added, {}
        for (path, status, _), seconds in added.items():
            total, duration = self._bound.get((path, status)) or self._bind(path, status)
            total.inc(len(seconds))
            observe_all(duration, seconds)
        return added

    def _bind(self, path: str, status: int) -> tuple[Any, Any]:
        labels = self._labels | {"endpoint": path, "http_response_code": str(status)}
        counting = self._counting
        bound = self._bound[path, status] = (
            counting.metrics_request_total.labels(**labels),
            counting.metrics_request_duration.labels(**labels),
        )
        return bound
