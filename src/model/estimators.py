"""The model families that are tried, and where the search looks for their parameters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge

from model.features import Needs

if TYPE_CHECKING:
    # For the annotations only: an ordinary run does not search.
    from optuna import Trial

Parameters = dict[str, bool | int | float | str | None]


@dataclass(frozen=True)
class Family:
    """A kind of estimator: one class for classes, one for numbers, and its search space.

    `space` takes an Optuna trial and returns parameters; `needs` says what it asks of the features.
    """

    classifier: type[BaseEstimator]
    regressor: type[BaseEstimator]
    needs: Needs
    space: "Callable[[Trial, str], Parameters]"


def _gradient_boosting(trial: "Trial", task: str) -> Parameters:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.3, log=True),
        "max_iter": trial.suggest_int("max_iter", 50, 400, log=True),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 4, 64, log=True),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 5, 50, log=True),
        "l2_regularization": trial.suggest_float("l2_regularization", 1e-3, 10, log=True),
        "max_features": trial.suggest_float("max_features", 0.3, 1.0),
    }


def _linear(trial: "Trial", task: str) -> Parameters:
    if task == "regression":
        return {"alpha": trial.suggest_float("alpha", 1e-3, 1e3, log=True)}
    return {"C": trial.suggest_float("C", 1e-3, 1e2, log=True)}


def _random_forest(trial: "Trial", task: str) -> Parameters:
    return {
        "n_estimators": trial.suggest_int("n_estimators", 50, 200, step=50),
        "max_depth": trial.suggest_int("max_depth", 4, 16),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, 20, log=True),
        "max_features": trial.suggest_float("max_features", 0.2, 1.0),
    }


FAMILIES: dict[str, Family] = {
    "gradient_boosting": Family(
        HistGradientBoostingClassifier, HistGradientBoostingRegressor, "nothing", _gradient_boosting
    ),
    "linear": Family(LogisticRegression, Ridge, "scaling", _linear),
    "random_forest": Family(RandomForestClassifier, RandomForestRegressor, "imputing", _random_forest),
}
