"""Losses of single rows."""

import numpy as np


def row_losses(target: np.ndarray, scores: np.ndarray, *, squared: bool = False) -> np.ndarray:
    """Return the loss of each row, shape (rows,): log loss for classes, absolute (or squared) error for regression.

    `scores` has shape (rows,) for regression, (rows, classes) for classes; `target` is then the index of the class.

    >>> row_losses(np.array([1.0, 2.0]), np.array([1.5, 2.0]))
    array([0.5, 0. ])
    >>> row_losses(np.array([0, 1]), np.array([[0.9, 0.1], [0.5, 0.5]])).round(2)
    array([0.11, 0.69])
    """
    if scores.ndim == 1:
        return np.asarray((target - scores) ** 2 if squared else np.abs(target - scores))
    given = scores[np.arange(len(target)), target]
    return np.asarray(-np.log(np.clip(given, 1e-15, 1)))


def row_costs(target: np.ndarray, decision: np.ndarray, false_positive: float, false_negative: float) -> np.ndarray:
    """Return the cost of each binary decision, given the costs of the two errors."""
    return np.asarray(
        false_positive * ((decision == 1) & (target == 0)) + false_negative * ((decision == 0) & (target == 1))
    )
