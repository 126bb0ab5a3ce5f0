"""The curves of a model, as tables that `dvc plots` draws."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from assay.base.rounding import significant
from assay.contract.spec import Contract
from assay.evaluation.metrics import ScoredRows, calibration_bins, confidence_and_truth

POINTS = 200
SHOWN_ROWS = 5000
SMALLEST = 20

Table = Sequence[Mapping[str, Any]]


# The columns of each plot. A plot of another task is written without rows because dvc.yaml lists all plots.
HEADERS = {
    "roc": ("false_positive_rate", "true_positive_rate"),
    "precision_recall": ("recall", "precision"),
    "reliability": ("predicted", "observed", "rows"),
    "confusion": ("actual", "predicted"),
    "residuals": ("predicted", "residual"),
    "learning": ("rows", "train", "validation"),
}


def curves(rows: ScoredRows, contract: Contract) -> dict[str, Table]:
    """Return the plots of the task by name, each with at most 200 points on a line."""
    if contract.task == "regression":
        return {"residuals": residuals(rows)}
    common = {"confusion": confusion(rows, contract), "reliability": reliability(rows)}
    if contract.task == "binary":
        return {"roc": roc(rows), "precision_recall": precision_recall(rows), **common}
    return common


def roc(rows: ScoredRows) -> Table:
    """Return the receiver operating characteristic of a binary model."""
    false, true, _ = roc_curve(rows.target, rows.scores[:, 1])
    return _line({"false_positive_rate": false, "true_positive_rate": true})


def precision_recall(rows: ScoredRows) -> Table:
    """Return precision against recall of a binary model."""
    precision, recall, _ = precision_recall_curve(rows.target, rows.scores[:, 1])
    return _line({"recall": recall[::-1], "precision": precision[::-1]})


def reliability(rows: ScoredRows) -> Table:
    """Return observed share and predicted probability in ten bins with equal numbers of rows."""
    confidence, truth = confidence_and_truth(rows)
    bins = calibration_bins(confidence)
    return [
        {
            "predicted": significant(confidence[bins == part].mean()),
            "observed": significant(truth[bins == part].mean()),
            "rows": int((bins == part).sum()),
        }
        for part in np.unique(bins)
    ]


def confusion(rows: ScoredRows, contract: Contract) -> Table:
    """Return true and predicted label of each row, or of an even selection of 5000 rows."""
    labels = contract.classes
    return [
        {"actual": labels[rows.target[i]], "predicted": labels[rows.decision[i]]}
        for i in _even(len(rows.target), SHOWN_ROWS)
    ]


def residuals(rows: ScoredRows) -> Table:
    """Return prediction and residual (truth minus prediction) of each row, or of an even selection of 5000 rows."""
    return [
        {"predicted": significant(rows.scores[i]), "residual": significant(rows.target[i] - rows.scores[i])}
        for i in _even(len(rows.target), SHOWN_ROWS)
    ]


def learning_curve(sizes: Iterable[int], loss_of: Callable[[int], tuple[float, float]]) -> Table:
    """Return training and validation loss of models fitted on the first `size` training rows, for each size."""
    return [
        {"rows": size, "train": significant(seen), "validation": significant(unseen)}
        for size, (seen, unseen) in ((size, loss_of(size)) for size in sizes)
    ]


def learning_sizes(rows: int, points: int, max_rows: int) -> list[int]:
    """Return training sizes, each half of the next, up to `rows` or `max_rows`."""
    largest = min(rows, max_rows)
    return sorted({size for halvings in range(points) if (size := largest >> halvings) >= SMALLEST} | {largest})


def _line(axes: Mapping[str, np.ndarray]) -> Table:
    index = _even(len(next(iter(axes.values()))), POINTS)
    return [{name: significant(values[i]) for name, values in axes.items()} for i in index]


def _even(n: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
