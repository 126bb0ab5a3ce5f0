"""From rows to predictions, without HTTP."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from assay.contract.spec import Boolean, Integer, Number, Time
from assay.data.columns import Columns, RequestColumns, stacked
from assay.inference.ids import new_ids
from assay.inference.package import Package


def record(names: Sequence[str]) -> Callable[..., Any]:
    """Return a function from values, in the order of names, to something that JSON encodes as an object."""
    fields = {f"c{number}": name for number, name in enumerate(names)}
    try:
        # Takes a fifth of the memory of a dictionary, and so a third of the time.
        return msgspec.defstruct("Record", list(fields), rename=fields, gc=False)
    except ValueError:
        # msgspec allows no name with a quotation mark, a backslash or a control character.
        return lambda *values: dict(zip(names, values, strict=True))


class RowPrediction(msgspec.Struct, omit_defaults=True, gc=False):
    """The prediction for a row; `shapes.Prediction` documents the fields."""

    prediction: str | float
    prediction_id: str
    probabilities: Any = {}
    decision: str = ""
    warnings: list[str] = []


@dataclass(slots=True)
class PredictionBatch:
    """Predictions for some rows, column by column, and warnings by row.

    `scores` are probabilities of shape (rows, classes), or numbers of shape (rows,). `best` and `decided` are indices
    into `labels`: of the most probable class, and of the class to decide for; None without classes. `labelled` turns
    the probabilities of a row into an object by class. `names` are the ids of the predictions, joined by commas.
    """

    names: str
    scores: np.ndarray
    warnings: dict[int, list[str]]
    labels: np.ndarray
    labelled: Callable[..., Any]
    best: np.ndarray | None = None
    decided: np.ndarray | None = None
    # Both the answer and the log need these.
    _rows: list[RowPrediction] = field(default_factory=list, init=False)
    _ids: list[str] = field(default_factory=list, init=False)
    _named: tuple[list[Any], list[Any]] = field(default=([], []), init=False)
    _by_class: list[list[float]] = field(default_factory=list, init=False)

    def ids(self) -> list[str]:
        """Return the ids of the predictions."""
        if not self._ids:
            self._ids = self.names.split(",") if self.names else []
        return self._ids

    def named(self) -> tuple[list[Any], list[Any]]:
        """Return the most probable class and the decision for each row, or the number and, without classes, nothing."""
        if not self._named[0]:
            if self.best is None or self.decided is None:
                self._named = self.scores.tolist(), []
            else:
                best = self.labels[self.best].tolist()
                self._named = best, best if self.decided is self.best else self.labels[self.decided].tolist()
        return self._named

    def by_class(self) -> list[list[float]]:
        """Return the probabilities of each class, with a value per row."""
        if not self._by_class:
            self._by_class = self.scores.T.tolist()
        return self._by_class

    def rows(self) -> list[RowPrediction]:
        """Return the predictions row by row."""
        if not self._rows:
            ids, (best, decided) = self.ids(), self.named()
            if self.best is None:
                self._rows = list(map(RowPrediction, best, ids))
            else:
                self._rows = list(map(RowPrediction, best, ids, map(self.labelled, *self.by_class()), decided))
            for row, message in self.warnings.items():
                self._rows[row].warnings = message
        return self._rows


class Predictor:
    """Makes the predictions of one model."""

    def __init__(self, package: Package) -> None:
        """Look up everything that is the same for all requests."""
        self.package = package
        self.version = package.version
        contract = package.contract
        self.classes = contract.classes
        self._labelled = record(self.classes)
        self._labels = np.array(self.classes, dtype=object)
        seen = {name: ends for name, ends in package.about["seen"].items() if ends}
        kinds = contract.features.items()
        # As RowReader has them. No range is known of a boolean, and of a number of which none was seen.
        self._numbers = [name for name, kind in kinds if isinstance(kind, Number | Integer | Boolean)]
        # Values that increase over time are soon beyond those of the training data, all of them: no warning says so.
        bounds = [
            (low, np.inf if contract.goes_on(name) else high)
            for name in self._numbers
            for low, high in [seen.get(name, (-np.inf, np.inf))]
        ]
        self._low, self._high = np.array(bounds, np.float64).reshape(-1, 2, 1).swapaxes(0, 1)
        self._times = {
            name: np.datetime64(seen[name][0], "us")
            for name, kind in contract.features.items()
            if isinstance(kind, Time) and name in seen
        }
        self._categories = {
            name: frozenset(seen[name])
            for name, kind in contract.features.items()
            if kind.kind == "category" and name in seen and set(seen[name]) != set(kind.values)
        }

    def batch(self, scores: np.ndarray, warnings: dict[int, list[str]]) -> PredictionBatch:
        """Return the predictions for scores; raises ArithmeticError if a score is not finite."""
        finite = np.isfinite(scores)
        if not finite.all():
            row = finite.reshape(len(scores), -1).all(axis=1).argmin()
            raise ArithmeticError(f"row {row}: the values are too extreme: the model gives no finite score")
        batch = PredictionBatch(new_ids(len(scores)), scores, warnings, self._labels, self._labelled)
        if self.classes:
            batch.best = batch.decided = scores.argmax(axis=1)
            if (threshold := self.package.threshold) is not None:
                batch.decided = (scores[:, 1] >= threshold).astype(np.intp)
        return batch

    def warnings(self, data: Columns) -> tuple[dict[int, list[str]], list[str]]:
        """Return warnings by row about values outside the training data, and the column of each warning."""
        found: dict[int, list[str]] = {}
        columns: list[str] = []
        if self._numbers:
            values = data.numbers if isinstance(data, RequestColumns) else None
            if values is None:
                values = stacked([data[name] for name in self._numbers])
            outside = (values < self._low) | (values > self._high)
            if outside.any():
                for index, row in np.argwhere(outside).tolist():
                    columns.append(self._numbers[index])
                    low, high = self._low[index, 0], self._high[index, 0]
                    found.setdefault(row, []).append(_beyond(self._numbers[index], values[index, row], low, high))
        for name, first in self._times.items():
            for row in np.flatnonzero(data[name] < first).tolist():
                columns.append(name)
                found.setdefault(row, []).append(_beyond(name, data[name][row], first, np.inf))
        for name, known in self._categories.items():
            for row, value in enumerate(data[name]):
                if value is not None and value not in known:
                    columns.append(name)
                    found.setdefault(row, []).append(f"{name}: {value!r} is not in the training data")
        return found, columns


def _beyond(name: str, value: Any, low: Any, high: Any) -> str:
    shown = [f"{one:g}" if isinstance(one, float) else str(one) for one in (value, low, high)]
    if high == np.inf:
        return f"{name}: {shown[0]} is before the training range, which begins with {shown[1]}"
    return f"{name}: {shown[0]} is outside the training range, {shown[1]} to {shown[2]}"
