"""Explanations: permutation importance on the loss, and SHAP values of the scores."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import shap
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline

from assay.base.rounding import significant
from assay.contract.spec import Contract
from assay.data.columns import Columns, length
from assay.modelling.features import sources
from assay.modelling.fitting import inputs, members, uncalibrated
from assay.project.room import NO_ROOM, Room

REPEATS = 5


def permutation_importance(data: Columns, losses: Callable[[Columns], np.ndarray], seed: int) -> dict[str, float]:
    """Return the increase in loss when a feature is shuffled, mean of five shuffles (Breiman 2001), largest first.

    `losses` returns the loss of each row; it gets the rows of all five shuffles at once.
    """
    rng = np.random.default_rng(seed)
    n = length(data)
    base = float(losses(data).mean())
    shuffles = np.concatenate([rng.permutation(n) for _ in range(REPEATS)])
    repeated = {name: np.tile(values, REPEATS) for name, values in data.items()}
    rises = {name: float(losses({**repeated, name: values[shuffles]}).mean()) - base for name, values in data.items()}
    return _ordered(rises)


def shap_importance(
    pipeline: Pipeline, data: Columns, contract: Contract, room: Room = NO_ROOM
) -> dict[str, float] | None:
    """Return the mean absolute SHAP value of each feature (Lundberg, Lee 2017), largest first.

    None if there is no fast explainer for the estimator. The values explain the raw score (log-odds, or the predicted
    number) before calibration. Values of all columns derived from one feature are summed before the absolute value is
    taken. For a mean of models they are shares, summed over the members.
    """
    found, frame = [], inputs(data, contract, room)
    for member in members(pipeline):
        values = _shap_values(uncalibrated(member[-1]), member[:-1].transform(frame))
        if values is None:
            return None
        names = sources(member[0], contract, room)
        for step in member[1:-1]:
            names = [names[place] for place in step.get_support(indices=True)]
        wholes = {name: values[:, [source == name for source in names]].sum(axis=1) for name in contract.features}
        found.append({name: float(np.abs(whole).mean()) for name, whole in wholes.items()})
    if len(found) == 1:
        return _ordered(found[0])
    # Each member has its own scale: log-odds, probabilities or numbers.
    sums = [sum(one.values()) or 1.0 for one in found]
    return _ordered(
        {name: sum(one[name] / total for one, total in zip(found, sums, strict=True)) for name in contract.features}
    )


def _shap_values(estimator: Any, transformed: np.ndarray) -> np.ndarray | None:
    """Return SHAP values of shape (rows, columns) or (rows, columns, classes)."""
    if isinstance(estimator, LogisticRegression | Ridge):
        return np.asarray(shap.LinearExplainer(estimator, transformed).shap_values(transformed))
    try:
        with warnings.catch_warnings():
            # Of a list for each class, which no release returns any more.
            warnings.filterwarnings("ignore", "LightGBM binary classifier", UserWarning)
            return np.asarray(shap.TreeExplainer(estimator).shap_values(transformed))
    except shap.utils._exceptions.InvalidModelError:
        return None


def _ordered(importance: dict[str, float]) -> dict[str, float]:
    return {
        name: significant(value) for name, value in sorted(importance.items(), key=lambda item: (-item[1], item[0]))
    }
