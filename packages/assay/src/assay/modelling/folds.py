"""The folds of a search, and which of their rows depend on each other."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold, TimeSeriesSplit

from assay.base.errors import InputError
from assay.contract.spec import Contract

# Stretches of time into which the held-out rows of a fold are cut.
STRETCHES = 10

Fold = tuple[np.ndarray, np.ndarray]


def folds(target: np.ndarray, units: np.ndarray | None, contract: Contract, number: int, seed: int) -> list[Fold]:
    """Return pairs of training and held-out rows (indices), separated as by the contract's split.

    `units` are the values of the split's column, or the keys of the rows with a split by hash: a group and rows that
    repeat each other stay on one side, and with a split by time the seen rows are earlier than the held-out ones.
    Raises InputError if a class has fewer rows than there are folds.
    """
    regression = contract.task == "regression"
    counts = [] if regression else np.bincount(target, minlength=len(contract.classes)).tolist()
    if counts and min(counts) < number:
        rarest = contract.classes[int(np.argmin(counts))]
        raise InputError(
            f"params.yaml: tune.folds is {number}, but class {rarest!r} has only {min(counts)} training rows"
        )
    try:
        if contract.split.by == "time" and units is not None:
            return _folds_over_time(units, number)
        if contract.split.by == "group" and units is not None:
            grouped = GroupKFold if regression else StratifiedGroupKFold
            return list(grouped(number, shuffle=True, random_state=seed).split(target, target, units))
        units = np.arange(len(target)) if units is None else units
        _, first, unit = np.unique(units, return_index=True, return_inverse=True)
        # Stratified by the first of the rows that repeat each other.
        once = target[first]
        kind = KFold if regression else StratifiedKFold
        held_out = [
            np.isin(unit, unseen) for _, unseen in kind(number, shuffle=True, random_state=seed).split(once, once)
        ]
        return [(np.flatnonzero(~unseen), np.flatnonzero(unseen)) for unseen in held_out]
    except ValueError as error:
        raise InputError(f"params.yaml: tune.folds: {error}") from None


def _folds_over_time(units: np.ndarray, number: int) -> list[Fold]:
    """Return folds that are tested on the last quarter; rows of one time are on one side.

    Tested on the last quarter, so that the training rows are nearly as many as for the final model. With few times the
    folds become fewer.
    """
    order = np.argsort(units, kind="stable")
    cut = TimeSeriesSplit(number, test_size=max(1, len(order) // (4 * number)))
    starts = [int(unseen[0]) for _, unseen in cut.split(order)]
    ordered = units[order]
    # Each fold starts with the first row of a time.
    starts = sorted({int(np.searchsorted(ordered, ordered[start])) for start in starts} - {0})
    if not starts:
        raise ValueError(f"{len(np.unique(units))} different times are too few for a split by time")
    return [(order[:a], order[a:b]) for a, b in pairwise([*starts, len(order)])]


def dependent(units: np.ndarray | None, contract: Contract, parts: Sequence[Fold], rows: int) -> np.ndarray:
    """Return a number for each row: rows with the same number depend on each other.

    These are rows of one group, rows that repeat each other, and with a split by time those of one stretch of time, of
    which each fold has up to STRETCHES. `units` are as in `folds`.
    """
    if units is None:
        return np.arange(rows)
    if contract.split.by != "time":
        return np.unique(units, return_inverse=True)[1]
    found = np.zeros(rows, dtype=np.int64)
    for number, (_, unseen) in enumerate(parts):
        moments, moment = np.unique(units[unseen], return_inverse=True)
        found[unseen] = number * STRETCHES + moment * STRETCHES // max(STRETCHES, len(moments))
    return found
