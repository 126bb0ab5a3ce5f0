"""Metrics of a model on rows, with bootstrap intervals.

Each metric is computed for many weightings of the same rows at once: a bootstrap resample weights each row by how often
it was drawn.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from assay.base.rounding import significant
from assay.contract.spec import Contract, Costs
from assay.statistics.bootstrap import Estimate, Weights, percentile_interval, resample_weights
from assay.statistics.losses import row_costs, row_losses

CHUNK = 1_600_000
PART_ROWS = 8_000
FEWEST_OF_A_CLASS = 50
CALIBRATION_BINS = 10


@dataclass(frozen=True)
class ScoredRows:
    """The input of a metric: targets, scores and decisions of the same rows, and the costs of errors.

    Shapes: `target` and `decision` (rows,); `scores` (rows, classes), or (rows,) for regression.
    """

    target: np.ndarray
    scores: np.ndarray
    decision: np.ndarray
    costs: Costs | None = None
    cache: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def ranking(self) -> tuple[np.ndarray, np.ndarray]:
        """Row indices by descending score of the positive class, and the start of each distinct score."""
        score = self.scores[:, 1]
        order = np.argsort(-score, kind="stable")
        return order, np.flatnonzero(np.concatenate([[True], np.diff(score[order]) != 0]))

    def by_score(self, weights: "Weights") -> tuple[np.ndarray, np.ndarray]:
        """Return the weights of positives and of negatives at each distinct score, highest first.

        The last result is cached because several metrics need it and it is their slowest part.
        """
        if self.cache.get("weights") is not weights:
            order, starts = self.ranking
            ordered = weights[:, order]
            positives = np.add.reduceat(ordered * self.target[order], starts, axis=1)
            self.cache["split"] = positives, np.add.reduceat(ordered, starts, axis=1) - positives
            self.cache["weights"] = weights
        split: tuple[np.ndarray, np.ndarray] = self.cache["split"]
        return split


@dataclass(frozen=True)
class Metric:
    """A metric: its name, whether higher is better, and a function of rows and weights.

    The weights have shape (weightings, rows), the result (weightings,).
    """

    name: str
    higher_is_better: bool
    compute: Callable[[ScoredRows, Weights], np.ndarray]


def _mean(values: np.ndarray, weights: Weights) -> np.ndarray:
    return np.asarray(weights @ values / weights.sum(axis=1))


def _roc_auc(rows: ScoredRows, weights: Weights) -> np.ndarray:
    positives, negatives = rows.by_score(weights)
    above = np.cumsum(positives, axis=1) - positives / 2
    return np.asarray((negatives * above).sum(axis=1) / (positives.sum(axis=1) * negatives.sum(axis=1)))


def _average_precision(rows: ScoredRows, weights: Weights) -> np.ndarray:
    positives, negatives = rows.by_score(weights)
    true, false = np.cumsum(positives, axis=1), np.cumsum(negatives, axis=1)
    precision = true / np.maximum(true + false, 1e-300)
    return np.asarray((precision * positives).sum(axis=1) / positives.sum(axis=1))


def _accuracy(rows: ScoredRows, weights: Weights) -> np.ndarray:
    return _mean(rows.decision == rows.target, weights)


def _balanced_accuracy(rows: ScoredRows, weights: Weights) -> np.ndarray:
    right = rows.decision == rows.target
    recalls = [
        (weights[:, rows.target == label] @ right[rows.target == label]) / weights[:, rows.target == label].sum(axis=1)
        for label in np.unique(rows.target)
    ]
    return np.asarray(np.mean(recalls, axis=0))


def _recall(rows: ScoredRows, weights: Weights) -> np.ndarray:
    positive = rows.target == 1
    return _mean(rows.decision[positive] == 1, weights[:, positive])


def _precision(rows: ScoredRows, weights: Weights) -> np.ndarray:
    chosen = weights * (rows.decision == 1)
    return np.asarray(chosen @ rows.target / np.maximum(chosen.sum(axis=1), 1e-300))


def _log_loss(rows: ScoredRows, weights: Weights) -> np.ndarray:
    return _mean(row_losses(rows.target, rows.scores), weights)


def _brier(rows: ScoredRows, weights: Weights) -> np.ndarray:
    truth = np.eye(rows.scores.shape[1])[rows.target]
    spread = (rows.scores - truth) ** 2
    return _mean(spread[:, 1] if truth.shape[1] == 2 else spread.sum(axis=1), weights)


def _calibration_error(rows: ScoredRows, weights: Weights) -> np.ndarray:
    confidence, right = confidence_and_truth(rows)
    bins = calibration_bins(confidence)
    gaps = [np.abs(weights[:, bins == b] @ (confidence - right)[bins == b]) for b in np.unique(bins)]
    return np.asarray(np.sum(gaps, axis=0) / weights.sum(axis=1))


def _cost(rows: ScoredRows, weights: Weights) -> np.ndarray:
    if rows.costs is None:
        raise ValueError("the contract names no costs")
    costs = row_costs(rows.target, rows.decision, rows.costs.false_positive, rows.costs.false_negative)
    return _mean(costs, weights)


def _mae(rows: ScoredRows, weights: Weights) -> np.ndarray:
    return _mean(np.abs(rows.target - rows.scores), weights)


def _rmse(rows: ScoredRows, weights: Weights) -> np.ndarray:
    return np.asarray(np.sqrt(_mean((rows.target - rows.scores) ** 2, weights)))


def _r2(rows: ScoredRows, weights: Weights) -> np.ndarray:
    mean = _mean(rows.target, weights)
    total = _mean(rows.target**2, weights) - mean**2
    return np.asarray(1 - _mean((rows.target - rows.scores) ** 2, weights) / np.maximum(total, 1e-300))


CLASSES = [
    Metric("accuracy", True, _accuracy),
    Metric("balanced_accuracy", True, _balanced_accuracy),
    Metric("log_loss", False, _log_loss),
    Metric("brier", False, _brier),
    Metric("calibration_error", False, _calibration_error),
]
BINARY = [
    Metric("roc_auc", True, _roc_auc),
    Metric("average_precision", True, _average_precision),
    *CLASSES,
    Metric("precision", True, _precision),
    Metric("recall", True, _recall),
]
REGRESSION = [Metric("mae", False, _mae), Metric("rmse", False, _rmse), Metric("r2", True, _r2)]


def metrics_for(contract: Contract) -> list[Metric]:
    """Return the metrics of the contract's task, the most informative first."""
    if contract.task == "regression":
        return REGRESSION
    if contract.task == "multiclass":
        return CLASSES
    return BINARY + ([Metric("cost", False, _cost)] if contract.costs else [])


def confidence_and_truth(rows: ScoredRows) -> tuple[np.ndarray, np.ndarray]:
    """Return what calibration compares, both of shape (rows,): a probability, and whether it was right.

    For a binary task this is the positive class, for more classes the most likely label.
    """
    if rows.scores.shape[1] == 2:
        return rows.scores[:, 1], rows.target == 1
    return rows.scores.max(axis=1), rows.scores.argmax(axis=1) == rows.target


def measure(rows: ScoredRows, metrics: list[Metric]) -> dict[str, float]:
    """Return the value of each metric."""
    once = np.ones((1, len(rows.target)))
    return {metric.name: float(metric.compute(rows, once)[0]) for metric in metrics}


def by_class(rows: ScoredRows, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return number of rows, recall, precision and F1 of each class; 0 where there is nothing to divide by."""
    places = range(len(classes))
    precision, recall, f1, number = precision_recall_fscore_support(
        rows.target, rows.decision, labels=places, zero_division=0
    )
    return {
        classes[i]: {
            "rows": int(number[i]),
            "recall": significant(recall[i]),
            "precision": significant(precision[i]),
            "f1": significant(f1[i]),
        }
        for i in places
    }


def estimate(
    rows: ScoredRows,
    metrics: list[Metric],
    *,
    confidence: float,
    resamples: int,
    seed: int,
    units: np.ndarray | None = None,
) -> dict[str, Estimate]:
    """Return each metric with its interval.

    `units` are the groups of dependent rows; whole groups are resampled.
    """
    drawn = _resampled([rows], metrics, resamples, seed, units)
    return _intervals(measure(rows, metrics), drawn, confidence)


def compare(
    pair: tuple[ScoredRows, ScoredRows],
    metrics: list[Metric],
    *,
    confidence: float,
    resamples: int,
    seed: int,
    units: np.ndarray | None = None,
) -> dict[str, Estimate]:
    """Return the difference of each metric, first model minus second, on the same rows.

    Both models use the same resamples (paired bootstrap), which removes the variation from hard and easy rows.
    """
    drawn = _resampled(pair, metrics, resamples, seed, units)
    return _intervals(_contrast(pair, metrics), drawn, confidence)


def _contrast(models: Sequence[ScoredRows], metrics: list[Metric]) -> dict[str, float]:
    """Return each metric of one model, or the difference between two models."""
    first, *rest = (measure(rows, metrics) for rows in models)
    return {name: value - sum(other[name] for other in rest) for name, value in first.items()}


def _intervals(values: Mapping[str, float], drawn: Mapping[str, np.ndarray], confidence: float) -> dict[str, Estimate]:
    return {name: percentile_interval(value, drawn[name], confidence) for name, value in values.items()}


def _resampled(
    models: Sequence[ScoredRows], metrics: list[Metric], resamples: int, seed: int, units: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Return the deviation of each metric (or difference of two models) in each resample, shape (resamples,).

    With more than 8,000 rows, resamples come from random parts of that size, and their deviations are scaled with the
    square root of the share of units in the part (m out of n bootstrap, Bickel, Goetze, van Zwet 1997, over several
    parts as in Kleiner et al. 2014). The interval is as narrow, in a time that does not grow with the rows.
    """
    n = len(models[0].target)
    classes = models[0].target if models[0].scores.ndim == 2 else np.zeros(n, dtype=np.int64)
    _, unit = np.unique(np.arange(n) if units is None else units, return_inverse=True)
    number = int(unit.max()) + 1
    # A part must contain some rows of each class.
    rarest = np.bincount(classes).clip(1).min()
    in_part = (
        number if n <= PART_ROWS or rarest * PART_ROWS < FEWEST_OF_A_CLASS * n else max(2, number * PART_ROWS // n)
    )
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[np.ndarray]] = {metric.name: [] for metric in metrics}
    done = 0
    while done < resamples:
        index = np.flatnonzero(np.isin(unit, rng.choice(number, in_part, replace=False))) if in_part < number else None
        part = models if index is None else [take_rows(rows, index) for rows in models]
        part_unit, part_classes = (unit, classes) if index is None else (unit[index], classes[index])
        size = min(resamples - done, max(1, CHUNK // len(part_unit)))
        weights = resample_weights(part_classes, part_unit, size, rng)
        whole = _contrast(part, metrics)
        for metric in metrics:
            first, *rest = (metric.compute(rows, weights) for rows in part)
            drawn[metric.name].append((first - sum(rest) - whole[metric.name]) * np.sqrt(in_part / number))
        done += size
    return {name: np.concatenate(values) for name, values in drawn.items()}


def take_rows(rows: ScoredRows, index: np.ndarray) -> ScoredRows:
    """Return some of the rows."""
    return ScoredRows(rows.target[index], rows.scores[index], rows.decision[index], rows.costs)


def calibration_bins(confidence: np.ndarray) -> np.ndarray:
    """Return the bin of each row: ten bins by probability, about equal in size; ties share a bin."""
    rank = np.searchsorted(np.sort(confidence), confidence, side="left")
    return np.asarray(rank * CALIBRATION_BINS // len(confidence))
