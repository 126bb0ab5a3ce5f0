"""The default model families, and the search spaces of their parameters."""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted, validate_data

from assay.base.errors import InputError
from assay.contract.spec import Contract
from assay.data.columns import single
from assay.project.room import NO_ROOM, Family, Parameters, Room

if TYPE_CHECKING:
    # For the annotations only: an ordinary run does not search.
    from optuna import Trial

# Correlation with the time from which a column counts as the time itself.
SAME_AS_TIME = 0.6
# What scikit-learn calls trees each of which uses one column.
ALONE = "no_interactions"
# Losses by which boosting predicts the exponential of its sum of trees.
OF_LOGARITHMS = ("poisson", "gamma")


class LogBoosting(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Gradient boosting of the logarithm of the mean, for amounts that are not negative.

    It minimises the Poisson deviance, so that effects multiply and the prediction is the mean, not the median. With
    `follow_time` the first column is a time. Trees cannot extrapolate a trend, so the rate of growth is fitted to the
    residuals of a model without time, and continued after the training rows for half as long as their time span.

    The trees predict at most the largest amount that they were trained on: one enormous amount may make the steps of
    the Poisson deviance overflow.
    """

    # Models that were stored before there were a limit and constraints have none.
    limit_ = float("inf")
    monotonic_cst: Any = None
    _parameter_constraints = HistGradientBoostingRegressor._parameter_constraints | {"follow_time": ["boolean"]}

    def __init__(  # noqa: PLR0913
        self,
        *,
        learning_rate: float = 0.05,
        max_iter: int = 500,
        max_leaf_nodes: int = 31,
        min_samples_leaf: int = 20,
        l2_regularization: float = 1.0,
        max_features: float = 0.5,
        follow_time: bool = False,
        monotonic_cst: Any = None,
        random_state: int | None = None,
    ) -> None:
        """Take the parameters of HistGradientBoostingRegressor, and whether the first column is a time."""
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.l2_regularization = l2_regularization
        self.max_features = max_features
        self.follow_time = follow_time
        self.monotonic_cst = monotonic_cst
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:  # noqa: N803
        """Fit to rows of shape (rows, columns) and amounts that are at least 0."""
        rows, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", y_numeric=True)
        if min(y) < 0 or not sum(y):
            raise ValueError("the amounts must not be negative, and not all of them zero")
        self.start_, self.end_, self.slope_ = 0.0, 0.0, 0.0
        if self.follow_time:
            times = rows[:, 0]
            self.start_ = float(times.min())
            # In single precision, as in the exported model.
            self.end_ = float(np.float32(times.max() + (times.max() - times.min()) / 2))
            self.slope_ = float(np.float32(self._rate_of_growth(rows, y)))
        growth = self._growth(rows)
        plain = y / growth
        self.limit_ = float(np.max(plain))
        self.boosting_ = self._boosting().fit(self._without_time(rows), plain, sample_weight=growth)
        if np.isnan(self.boosting_.predict(self._without_time(rows))).any():
            raise ValueError("the Poisson deviance diverged: an amount is far beyond all others")
        self.n_iter_ = self.boosting_.n_iter_
        return self

    def __sklearn_tags__(self) -> Any:
        """Say that rows may have missing values, and that amounts are positive."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.positive_only = True
        return tags

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """Return the mean amount of each row."""
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite="allow-nan")
        with np.errstate(over="ignore"):
            trees = self.boosting_.predict(self._without_time(rows))
        return np.asarray(np.minimum(trees, self.limit_) * self._growth(rows))

    def _boosting(self, **changes: Any) -> HistGradientBoostingRegressor:
        own = {name: value for name, value in self.get_params().items() if name != "follow_time"}
        return HistGradientBoostingRegressor(loss="poisson", early_stopping=False, **{**own, **changes})

    def _growth(self, rows: np.ndarray) -> np.ndarray:
        return (
            np.exp(self.slope_ * (np.minimum(rows[:, 0], self.end_) - self.start_))
            if self.slope_
            else np.ones(len(rows))
        )

    def _without_time(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows with a constant time, so that no tree uses it."""
        return np.column_stack([np.zeros(len(rows)), rows[:, 1:]]) if self.follow_time else rows

    def _rate_of_growth(self, rows: np.ndarray, y: np.ndarray) -> float:
        times = rows[:, 0] - rows[:, 0].mean()
        if not times.any():
            return 0.0
        # Columns that are nearly the time itself, such as the year, would hide its effect.
        spread = rows.std(axis=0)
        covariance = np.abs((rows - rows.mean(axis=0)).T @ times) / len(times)
        free = ~(covariance > SAME_AS_TIME * spread * times.std())
        free[0] = False
        expected = np.full(len(y), y.mean())
        if free.any():
            quick = self._boosting(max_iter=100, learning_rate=0.1, monotonic_cst=None)
            expected = quick.fit(rows[:, free], y).predict(rows[:, free])
        rest = np.log((y + 1) / (expected + 1))
        weights = np.sqrt(y + 1)
        return float((weights * times * rest).sum() / (weights * times**2).sum())


class SingleScaler(StandardScaler):  # type: ignore[misc]
    """A StandardScaler whose means and scales are numbers of single precision, as in the exported model.

    Otherwise the rounding of the mean of large numbers, such as days since 1970, would shift what is exported.
    """

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: N803
        """Learn means and scales; called by `fit`."""
        super().partial_fit(X, y, sample_weight)
        for name in ("mean_", "scale_"):
            setattr(self, name, single(getattr(self, name)).astype(np.float64))
        return self


class LogTarget(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A regressor of log(1 + amount), for amounts that are not negative: effects multiply.

    The mean of logarithms is not the logarithm of the mean, so answers are scaled to the mean of the training amounts
    (after Duan 1983). They are at most the largest of these, since a linear model may go far beyond them.
    """

    def __init__(self, regressor: Any = None) -> None:
        """Take the regressor of the logarithms; None is least squares."""
        self.regressor = regressor

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:  # noqa: N803
        """Fit to rows of shape (rows, columns) and amounts that are at least 0."""
        rows, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", y_numeric=True)
        if min(y) < 0:
            raise ValueError("the amounts must not be negative")
        logs = np.log1p(y)
        # Around zero, where single precision of the exported model has the most digits.
        center = logs.mean()
        self.regressor_ = clone(Ridge() if self.regressor is None else self.regressor).fit(rows, logs - center)
        given = np.exp(np.minimum(self.regressor_.predict(rows), logs.max() - center))
        self.scale_ = float(np.sum(1 + y) / np.sum(given))
        self.highest_ = float(np.log((1 + y.max()) / self.scale_))
        return self

    def __sklearn_tags__(self) -> Any:
        """Say that amounts are positive, and that rows may have missing values if the regressor takes them."""
        tags = super().__sklearn_tags__()
        inner = get_tags(Ridge() if self.regressor is None else self.regressor)
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        tags.target_tags.positive_only = True
        return tags

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """Return the mean amount of each row."""
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite="allow-nan")
        logs = np.minimum(self.regressor_.predict(rows), self.highest_)
        return np.asarray(np.maximum(np.exp(logs) * self.scale_ - 1, 0))


def _lightgbm(kind: str) -> Any:
    # Imported here: the library takes seconds to load, and few models need it.
    import lightgbm

    # As many threads as OpenMP has, which the process sets around the model.
    return getattr(lightgbm, kind)(n_jobs=0, deterministic=True, force_row_wise=True, verbose=-1)


def is_lightgbm(estimator: Any) -> bool:
    """Say whether an estimator is one of LightGBM, without loading the library."""
    library = sys.modules.get("lightgbm")
    return library is not None and isinstance(estimator, library.LGBMModel)


def is_additive(estimator: Any) -> bool:
    """Say whether log-odds of an estimator, or the numbers it predicts, are a sum in which each column acts alone."""
    if isinstance(estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        return bool(estimator.interaction_cst == ALONE and estimator.loss not in OF_LOGARITHMS)
    return isinstance(estimator, LogisticRegression | Ridge)


def families(contract: Contract, room: Room = NO_ROOM) -> dict[str, Family]:
    """Return the families that suit a contract: the room's, or those of this module if it names none.

    Raises InputError if none suits.
    """
    known: Mapping[str, Family] = FAMILIES if room.families is None else room.families
    suiting = {name: one for name, one in known.items() if maker(one, contract) is not None and one.suits(contract)}
    if not suiting:
        raise InputError("src/model/estimators.py: no family in FAMILIES suits contract.yaml; add one that does")
    return suiting


def maker(family: Family, contract: Contract) -> Callable[[], Any] | None:
    """Return the constructor of a family's estimator for the task of a contract."""
    return family.regressor if contract.task == "regression" else family.classifier


def _gradient_boosting(trial: "Trial", task: str) -> Parameters:
    # With several classes each round makes one tree per class.
    slowest, leaves = (0.08, 32) if task == "multiclass" else (0.05, 48)
    return {
        "learning_rate": trial.suggest_float("learning_rate", slowest, 0.3, log=True),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 4, leaves, log=True),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 5, 50, log=True),
        "l2_regularization": trial.suggest_float("l2_regularization", 1e-3, 10, log=True),
        "max_features": trial.suggest_float("max_features", 0.3, 1.0),
    }


def _additive(trial: "Trial", task: str) -> Parameters:
    # With smaller steps it is hardly better, and takes by far the most rounds of all families.
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.2, 0.6, log=True),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 3, 12, log=True),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 5, 50, log=True),
        "l2_regularization": trial.suggest_float("l2_regularization", 1e-3, 10, log=True),
        "max_features": trial.suggest_float("max_features", 0.1, 1.0),
    }


def _log_boosting(trial: "Trial", task: str) -> Parameters:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.15, log=True),
        "max_iter": trial.suggest_int("max_iter", 200, 800, log=True),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 8, 48, log=True),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 5, 50, log=True),
        "l2_regularization": trial.suggest_float("l2_regularization", 1e-2, 10, log=True),
        "max_features": trial.suggest_float("max_features", 0.3, 1.0),
    }


def is_amount(contract: Contract) -> bool:
    """Say whether the target is a number that is never negative."""
    return contract.task == "regression" and contract.target.range is not None and contract.target.range[0] >= 0


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


def _light_boosting(trial: "Trial", task: str) -> Parameters:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.3, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 4, 63, log=True),
        "min_child_samples": trial.suggest_int("min_child_samples", 5, 50, log=True),
        "reg_lambda": trial.suggest_float("reg_lambda", 1e-3, 10, log=True),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
    }


FAMILIES: dict[str, Family] = {
    "gradient_boosting": Family(
        # By default scikit-learn would stop early above 10,000 rows: at another number of rounds than the search found.
        partial(HistGradientBoostingClassifier, early_stopping=False),
        partial(HistGradientBoostingRegressor, early_stopping=False),
        "nothing",
        _gradient_boosting,
        rounds="max_iter",
        defaults={
            "learning_rate": 0.1,
            "max_leaf_nodes": 31,
            "min_samples_leaf": 20,
            "l2_regularization": 0.001,
            "max_features": 1.0,
        },
    ),
    "log_boosting": Family(
        None,
        LogBoosting,
        "time first",
        _log_boosting,
        is_amount,
        defaults={
            "learning_rate": 0.05,
            "max_iter": 500,
            "max_leaf_nodes": 31,
            "min_samples_leaf": 20,
            "l2_regularization": 1.0,
            "max_features": 0.5,
        },
    ),
    # Texts give many columns, for which the default of a hundred iterations is too few.
    "linear": Family(
        partial(LogisticRegression, max_iter=1000),
        Ridge,
        "scaling",
        _linear,
        is_simple=True,
        is_additive=True,
        defaults={"C": 1.0, "alpha": 1.0},
    ),
    "random_forest": Family(
        RandomForestClassifier,
        RandomForestRegressor,
        "imputing",
        _random_forest,
        # With leaves of one row, probabilities of 0 would cost much.
        defaults={"n_estimators": 100, "max_depth": 16, "min_samples_leaf": 5, "max_features": 0.5},
    ),
    "lightgbm": Family(
        partial(_lightgbm, "LGBMClassifier"),
        partial(_lightgbm, "LGBMRegressor"),
        "nothing",
        _light_boosting,
        rounds="n_estimators",
        defaults={
            "learning_rate": 0.1,
            "num_leaves": 31,
            "min_child_samples": 20,
            "reg_lambda": 0.001,
            "colsample_bytree": 1.0,
        },
    ),
    # A glass box: each tree uses one column, so that the sum of the trees of a column is a curve that can be drawn.
    "additive": Family(
        partial(HistGradientBoostingClassifier, early_stopping=False, interaction_cst=ALONE),
        partial(HistGradientBoostingRegressor, early_stopping=False, interaction_cst=ALONE),
        "nothing",
        _additive,
        rounds="max_iter",
        is_additive=True,
        # Small trees of few columns each, as all columns get their turn so; steps may be large without interactions.
        defaults={
            "learning_rate": 0.3,
            "max_leaf_nodes": 4,
            "min_samples_leaf": 20,
            "l2_regularization": 0.001,
            "max_features": 0.3,
        },
    ),
}
