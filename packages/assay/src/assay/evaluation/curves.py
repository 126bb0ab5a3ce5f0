"""The curves of a model, as tables that `dvc plots` draws."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from assay.base.rounding import significant
from assay.contract.spec import Contract
from assay.evaluation.metrics import Rows, calibration_bins, confidence_and_truth

POINTS = 200
SHOWN_ROWS = 5000
SMALLEST = 20

Table = Sequence[Mapping[str, Any]]


# The columns of each plot. One that does not suit the task is written without rows, for dvc.yaml names them all.
HEADERS = {
    "roc": ("false_positive_rate", "true_positive_rate"),
    "precision_recall": ("recall", "precision"),
    "reliability": ("predicted", "observed", "rows"),
    "confusion": ("actual", "predicted"),
    "residuals": ("predicted", "residual"),
    "learning": ("rows", "train", "validation"),
}


def curves(rows: Rows, contract: Contract) -> dict[str, Table]:
    """Return the plots that suit the task: name of the plot to its points, at most 200 on a line."""
    if contract.task == "regression":
        return {"residuals": residuals(rows)}
    common = {"confusion": confusion(rows, contract), "reliability": reliability(rows)}
    if contract.task == "binary":
        return {"roc": roc(rows), "precision_recall": precision_recall(rows), **common}
    return common


def roc(rows: Rows) -> Table:
    """Return the receiver operating characteristic of a binary model."""
    false, true, _ = roc_curve(rows.target, rows.scores[:, 1])
    return _line({"false_positive_rate": false, "true_positive_rate": true})


def precision_recall(rows: Rows) -> Table:
    """Return precision against recall of a binary model."""
    precision, recall, _ = precision_recall_curve(rows.target, rows.scores[:, 1])
    return _line({"recall": recall[::-1], "precision": precision[::-1]})


def reliability(rows: Rows) -> Table:
    """Return the observed share against the predicted probability, in ten bins with equally many rows."""
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


def confusion(rows: Rows, contract: Contract) -> Table:
    """Return label and answer of each row; of very many rows an even selection."""
    labels = contract.classes
    return [
        {"actual": labels[rows.target[i]], "predicted": labels[rows.decision[i]]}
        for i in _even(len(rows.target), SHOWN_ROWS)
    ]


def residuals(rows: Rows) -> Table:
    """Return the prediction of a number and how far the truth was above it; of very many rows an even selection."""
    return [
        {"predicted": significant(rows.scores[i]), "residual": significant(rows.target[i] - rows.scores[i])}
        for i in _even(len(rows.target), SHOWN_ROWS)
    ]


def learning_curve(sizes: Iterable[int], loss_of: Callable[[int], tuple[float, float]]) -> Table:
    """Return the loss on training and validation rows of models fitted on the first so many training rows."""
    return [
        {"rows": size, "train": significant(seen), "validation": significant(unseen)}
        for size, (seen, unseen) in ((size, loss_of(size)) for size in sizes)
    ]


def learning_sizes(rows: int, points: int, max_rows: int) -> list[int]:
    """Return training sizes, each half of the next, up to all rows or `max_rows`."""
    largest = min(rows, max_rows)
    return sorted({size for halvings in range(points) if (size := largest >> halvings) >= SMALLEST} | {largest})


def _line(axes: Mapping[str, np.ndarray]) -> Table:
    index = _even(len(next(iter(axes.values()))), POINTS)
    return [{name: significant(values[i]) for name, values in axes.items()} for i in index]


def _even(n: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
