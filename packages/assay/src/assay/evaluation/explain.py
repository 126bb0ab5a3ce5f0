"""Explanations: permutation importance on the loss, SHAP values of the scores, and the shapes of additive models."""

import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import shap
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline

from assay.base.rounding import significant
from assay.contract.spec import Contract
from assay.data.columns import Columns, length
from assay.modelling.estimators import LogTarget, is_additive
from assay.modelling.features import origin, sources
from assay.modelling.fitting import inputs, members, uncalibrated, weights
from assay.project.room import NO_ROOM, Room

REPEATS = 3
# The most values of a number on which the shape of its effect is given.
SHAPE_POINTS = 20
# The share of a score that is an error of rounding.
ROUNDING = 1e-12


def permutation_importance(data: Columns, losses: Callable[[Columns], np.ndarray], seed: int) -> dict[str, float]:
    """Return the increase in loss when a feature is shuffled, mean of three shuffles (Breiman 2001), largest first.

    `losses` returns the loss of each row; it gets the rows of all shuffles at once.
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
    taken. For a mean of models they are shares, the weighted mean of those of the members.
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
    sums, shares = [sum(one.values()) or 1.0 for one in found], weights(pipeline)
    return _ordered(
        {
            name: sum(weight * one[name] / total for weight, one, total in zip(shares, found, sums, strict=True))
            for name in contract.features
        }
    )


def shapes(pipeline: Pipeline, data: Columns, contract: Contract, room: Room = NO_ROOM) -> dict[str, Any] | None:
    """Return the effect of each feature at some of its values, if the model is a sum of effects; else None.

    The effects are on the raw scores (log-odds, or the predicted number) before calibration, and differences from their
    mean over the rows. `scores` names what has a score: the positive class, each of several classes, or the target.
    `features` has the values and effects of each feature that is not a text, and of each derived feature. `of` says
    what the raw score is.
    """
    estimator = uncalibrated(pipeline[-1])
    if len(members(pipeline)) > 1 or not is_additive(estimator):
        return None
    frame = inputs(data, contract, room)
    derived = [feature.name for feature in room.derived]
    sources_of = {name: name if name in derived else origin(name, contract) for name in map(str, frame)}

    def effects(feature: str) -> np.ndarray:
        # All other inputs are those of the first row.
        own = [name for name, source in sources_of.items() if source == feature]
        asked = frame.iloc[np.zeros(len(frame), dtype=int)].reset_index(drop=True)
        asked[own] = frame[own].to_numpy()
        found = _raw_scores(estimator, pipeline[:-1].transform(asked))
        effect = found - found.mean(axis=0)
        # What the rounding of sums left.
        effect[np.abs(effect) <= ROUNDING * np.abs(found).max()] = 0.0
        return np.asarray(effect)

    features = {}
    for name in [*(one for one, column in contract.features.items() if column.kind != "text"), *derived]:
        values, effect = frame[name].to_numpy() if name in derived else data[name], effects(name)
        features[name] = [
            {"value": _text(values[place]), "effects": [significant(one) for one in effect[place]]}
            for place in _places(values)
        ]
    amount = "logarithm of 1 + the amount" if isinstance(pipeline[-1], LogTarget) else "prediction"
    return {
        "of": amount if contract.task == "regression" else "log-odds",
        "scores": _names_of_scores(estimator, contract),
        "features": features,
    }


def _raw_scores(estimator: Any, transformed: np.ndarray) -> np.ndarray:
    """Return raw scores of shape (rows, scores): log-odds, or numbers; of several classes they add up to 0."""
    score = getattr(estimator, "decision_function", estimator.predict)
    found = np.asarray(score(transformed), dtype=np.float64).reshape(len(transformed), -1)
    return found if found.shape[1] == 1 else found - found.mean(axis=1, keepdims=True)


def _names_of_scores(estimator: Any, contract: Contract) -> list[str]:
    if contract.task == "regression":
        return [contract.target.name]
    names = [contract.classes[number] for number in estimator.classes_]
    return names if len(names) > 2 else names[-1:]


def _places(values: np.ndarray) -> list[int]:
    """Return rows with some of the values, in order: quantiles of numbers, the most frequent categories, and a gap."""
    gaps = np.flatnonzero(pd.isna(values))
    known = np.flatnonzero(~pd.isna(values))
    if values.dtype == object:
        counts = Counter(values[known].tolist())
        frequent = sorted(value for value, _ in counts.most_common(SHAPE_POINTS))
        found = [int(np.flatnonzero(values == value)[0]) for value in frequent]
    else:
        ordered = known[np.argsort(values[known], kind="stable")]
        _, first = np.unique(values[ordered], return_index=True)
        if len(first) > SHAPE_POINTS:
            first = np.unique(np.linspace(0, len(ordered) - 1, SHAPE_POINTS).round().astype(int))
        places: list[int] = ordered[first].tolist()
        found = [place for at, place in enumerate(places) if not at or values[place] != values[places[at - 1]]]
    return [*found, *map(int, gaps[:1])]


def _text(value: Any) -> str:
    if pd.isna(value):
        return "missing"
    return f"{value:g}" if isinstance(value, float) else str(value)


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
