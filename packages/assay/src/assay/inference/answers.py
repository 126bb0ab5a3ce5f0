"""From a request to its answer: what the service does with rows, apart from HTTP."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec
import numpy as np

from assay.contract.spec import Integer, Number, Time
from assay.data.columns import Columns, stacked
from assay.inference.package import Package


def record(names: Sequence[str]) -> Callable[..., Any]:
    """Return what makes of values, in the order of names, what is a JSON object of these names."""
    fields = {f"c{number}": name for number, name in enumerate(names)}
    try:
        # A fifth of the memory of a dictionary, and so a third of the time.
        return msgspec.defstruct("Record", list(fields), rename=fields, gc=False)
    except ValueError:
        # It takes no name with a quotation mark, a backslash or a control character.
        return lambda *values: dict(zip(names, values, strict=True))


class Answer(msgspec.Struct, omit_defaults=True, gc=False):
    """What is answered to a row, as `shapes.Prediction` says it."""

    prediction: str | float
    prediction_id: str
    probabilities: Any = {}
    decision: str = ""
    warnings: list[str] = []


@dataclass(slots=True)
class PredictionBatch:
    """What is answered to some rows, column by column, and warnings by row.

    `scores` are probabilities of shape (rows, classes), or numbers of shape (rows,). `best` and `decided` are places of
    labels: of the likeliest class, and of the one that is decided for; without classes they are None. `labelled` makes
    of the probabilities of a row what is answered. A prediction has the `name` of the answer, and its row.
    """

    name: str
    scores: np.ndarray
    warnings: dict[int, list[str]]
    labels: np.ndarray
    labelled: Callable[..., Any]
    best: np.ndarray | None = None
    decided: np.ndarray | None = None
    _rows: list[Answer] = field(default_factory=list, init=False)

    def rows(self) -> list[Answer]:
        """Return it row by row."""
        if not self._rows:
            ids = [f"{self.name}-{row}" for row in range(len(self.scores))]
            if self.best is None or self.decided is None:
                self._rows = list(map(Answer, self.scores.tolist(), ids))
            else:
                best = self.labels[self.best].tolist()
                decided = best if self.decided is self.best else self.labels[self.decided].tolist()
                self._rows = list(map(Answer, best, ids, map(self.labelled, *self.scores.T.tolist()), decided))
            for row, said in self.warnings.items():
                self._rows[row].warnings = said
        return self._rows


class Answers:
    """What one model answers."""

    def __init__(self, package: Package) -> None:
        """Prepare to answer."""
        self.package = package
        self.version = package.version
        contract = package.contract
        self.classes = contract.classes
        # With these an answer gets a name that no other process and no later start gives again. Requests of several
        # threads take from one count, which a generator would not bear.
        self._start, self._count = os.urandom(8).hex(), count()
        self._labelled = record(self.classes)
        self._labels = np.array(self.classes, dtype=object)
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

    def batch(self, scores: np.ndarray, warnings: dict[int, list[str]]) -> PredictionBatch:
        """Return what is answered to each row; raises ArithmeticError for a score that is no number."""
        finite = np.isfinite(scores)
        if not finite.all():
            row = finite.reshape(len(scores), -1).all(axis=1).argmin()
            raise ArithmeticError(f"row {row}: values so extreme that the model has no answer")
        told = PredictionBatch(f"{self._start}-{next(self._count)}", scores, warnings, self._labels, self._labelled)
        if self.classes:
            told.best = told.decided = scores.argmax(axis=1)
            if (threshold := self.package.threshold) is not None:
                told.decided = (scores[:, 1] >= threshold).astype(np.intp)
        return told

    def warnings(self, data: Columns) -> tuple[dict[int, list[str]], list[str]]:
        """Return by row what lies outside of all that the model was trained on, and the columns, one for each time."""
        found: dict[int, list[str]] = {}
        columns: list[str] = []
        if self._numbers:
            values = stacked([data[name] for name in self._numbers])
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
