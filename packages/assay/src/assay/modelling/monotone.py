"""Monotone constraints: expectations without exception are given to the models that can keep them."""

from typing import Any

from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import Pipeline

from assay.contract.spec import Boolean, Contract, Integer, Number
from assay.modelling.estimators import LogTarget, is_lightgbm
from assay.project.room import NO_ROOM, Room
from assay.properties.expectations import Effect


def directions(contract: Contract, room: Room = NO_ROOM) -> dict[str, int]:
    """Return the features of which more must never lower (1), or never raise (-1), the score that a model learns.

    These are the features of `rises` and `falls` without a tolerance and without `where`. A model of several classes
    has no such score.
    """
    found: dict[str, int] = {}
    contradicted = set()
    for one in room.expectations if contract.task != "multiclass" else ():
        if not isinstance(one, Effect) or not isinstance(one.change, str) or not one.sign or one.tolerance or one.where:
            continue
        if isinstance(contract.features.get(one.change), Number | Integer | Boolean):
            other_class = contract.task == "binary" and one.of not in (None, contract.classes[-1])
            sign = -one.sign if other_class else one.sign
            if found.setdefault(one.change, sign) != sign:
                contradicted.add(one.change)
    return {name: sign for name, sign in found.items() if name not in contradicted}


def constrain(estimator: Any, features: Pipeline, contract: Contract, room: Room = NO_ROOM) -> None:
    """Give an unfitted estimator the constraints of `directions`, if it knows any.

    `features` are the fitted steps before it, whose columns it will get.
    """
    estimator, signs = _inside(estimator), directions(contract, room)
    name = _parameter(estimator)
    if signs and name:
        # XGBoost takes a tuple and no list.
        columns = [str(column).removeprefix("number__") for column in features.get_feature_names_out()]
        estimator.set_params(**{name: tuple(signs.get(column, 0) for column in columns)})


def can_be_constrained(estimator: Any) -> bool:
    """Say whether an unfitted estimator knows constraints, and has none of its own."""
    return bool(_parameter(_inside(estimator)))


def _inside(estimator: Any) -> Any:
    """Return the unfitted estimator inside a calibrated one or one of logarithms, or the estimator itself."""
    if isinstance(estimator, CalibratedClassifierCV):
        return estimator.estimator
    return estimator.regressor if isinstance(estimator, LogTarget) else estimator


def _parameter(estimator: Any) -> str:
    """Return the parameter with the constraint of each column, as scikit-learn or the boosting libraries call it."""
    settings = estimator.get_params()
    if settings.get("monotonic_cst", ...) is None:
        return "monotonic_cst"
    if settings.get("monotone_constraints") is None and (is_lightgbm(estimator) or "monotone_constraints" in settings):
        return "monotone_constraints"
    return ""
