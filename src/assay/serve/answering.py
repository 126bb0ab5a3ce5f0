"""From a request to its answer: what the service does with rows, apart from HTTP."""

import os
from collections.abc import Iterator
from itertools import count
from math import isfinite
from typing import Any

import numpy as np

from assay.contract.spec import Integer, Number, Time
from assay.data.columns import Columns
from assay.serve.package import Package


class Answers:
    """What one model answers."""

    def __init__(self, package: Package) -> None:
        """Prepare to answer."""
        self.package = package
        self.version = package.version
        contract = package.contract
        self.classes = contract.classes
        self._ids = _ids()
        seen = {name: ends for name, ends in package.about["seen"].items() if ends}
        self._numbers = [name for name, kind in contract.features.items() if isinstance(kind, Number | Integer)]
        self._numbers = [name for name in self._numbers if name in seen]
        self._low = np.array([[seen[name][0]] for name in self._numbers])
        self._high = np.array([[seen[name][1]] for name in self._numbers])
        self._times = {
            name: np.array(seen[name], dtype="datetime64[us]")
            for name, kind in contract.features.items()
            if isinstance(kind, Time) and name in seen
        }
        self._categories = {
            name: frozenset(seen[name])
            for name, kind in contract.features.items()
            if kind.kind == "category" and name in seen and set(seen[name]) != set(kind.values)
        }

    def scores(self, data: Columns) -> np.ndarray:
        """Return probabilities, shape (rows, classes), or numbers, shape (rows,)."""
        return self.package.score(data)

    def told(self, scores: np.ndarray, warnings: dict[int, list[str]]) -> list[dict[str, Any]]:
        """Return the answer for each row, as JSON values; raises ArithmeticError for a score that is no number."""
        # In plain Python, for most requests hold one row, and a call of numpy costs more than its work.
        found, ids, labels, threshold = scores.tolist(), self._ids, self.classes, self.package.threshold
        made: list[dict[str, Any]] = []
        for row, score in enumerate(found):
            if not labels:
                total, answer = score, {"prediction": score, "prediction_id": next(ids)}
            else:
                total, best = sum(score), labels[score.index(max(score))]
                decision = best if threshold is None else labels[score[1] >= threshold]
                answer = {
                    "prediction": best,
                    "probabilities": dict(zip(labels, score, strict=True)),
                    "decision": decision,
                    "prediction_id": next(ids),
                }
            if not isfinite(total):
                raise ArithmeticError(f"row {row}: values so extreme that the model has no answer")
            made.append(answer)
        for row, said in warnings.items():
            made[row]["warnings"] = said
        return made

    def warnings(self, data: Columns) -> tuple[dict[int, list[str]], list[str]]:
        """Return by row what lies outside of all that the model was trained on, and the columns, one for each time."""
        found: dict[int, list[str]] = {}
        columns: list[str] = []
        if self._numbers:
            values = np.concatenate([data[name] for name in self._numbers]).reshape(len(self._numbers), -1)
            outside = (values < self._low) | (values > self._high)
            if outside.any():
                for place, row in np.argwhere(outside).tolist():
                    columns.append(self._numbers[place])
                    low, high = self._low[place, 0], self._high[place, 0]
                    found.setdefault(row, []).append(_beyond(self._numbers[place], values[place, row], low, high))
        for name, (low, high) in self._times.items():
            for row in np.flatnonzero((data[name] < low) | (data[name] > high)).tolist():
                columns.append(name)
                found.setdefault(row, []).append(_beyond(name, data[name][row], low, high))
        for name, known in self._categories.items():
            for row, value in enumerate(data[name]):
                if value is not None and value not in known:
                    columns.append(name)
                    found.setdefault(row, []).append(f"{name}: no training row had {value!r}")
        return found, columns


def _beyond(name: str, value: Any, low: Any, high: Any) -> str:
    shown = [f"{one:g}" if isinstance(one, float) else str(one) for one in (value, low, high)]
    return f"{name}: {shown[0]} is outside {shown[1]} to {shown[2]}, where all training rows were"


def _ids() -> Iterator[str]:
    """Yield names for predictions that no other process and no later start gives again."""
    start = os.urandom(8).hex()
    return (f"{start}-{number:x}" for number in count())
