"""Fitting a model: preprocessing, optional calibration, and a threshold from the costs of errors."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from joblib import cpu_count, parallel_config
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.pipeline import Pipeline
from threadpoolctl import ThreadpoolController

from assay.base.config import did_you_mean
from assay.base.errors import InputError, one_line
from assay.contract.spec import Contract, Costs
from assay.data.columns import Columns, length, single
from assay.modelling.estimators import LogBoosting, LogTarget, families, is_amount, maker
from assay.modelling.features import encode, selection, time_input, transformer, width
from assay.modelling.monotone import can_be_constrained, constrain, directions
from assay.project.params import ModelChoice
from assay.project.room import NO_ROOM, Family, Parameters, Room

FEW_ROWS = 20_000
# Of the memory of a fit, measured with each family: what it takes for no rows, and how many copies of its inputs.
BASE_MEGABYTES, COPIES = 300, 7
FEWEST_DRAWN = 1000
# Parameters that any family has, besides those of its estimator: the target is the logarithm of 1 + the amount; only
# columns whose importance in a forest is at least the mean, or the median, of all columns are used.
OWN = ("log_target", "select_features")


def inputs(data: Columns, contract: Contract, room: Room = NO_ROOM) -> pd.DataFrame:
    """Return the inputs of the pipeline, one row per row of `data`.

    Numbers are rounded to single precision, as in the exported model, so that both get the same inputs.
    """
    encoded = encode(data, contract, room)
    return pd.DataFrame(
        {
            name: values if values.dtype == object else single(values).astype(np.float64)
            for name, values in encoded.items()
        }
    )


def build(
    choice: ModelChoice,
    contract: Contract,
    seed: int,
    *,
    calibrate: bool = False,
    room: Room = NO_ROOM,
    place: str = "model.parameters",
) -> Pipeline:
    """Return the unfitted pipeline of a choice.

    Raises InputError for a family or parameter that does not exist; `place` is where params.yaml has the parameters.
    """
    if choice.members:
        members = [
            (f"member {number}", build(one, contract, seed, calibrate=calibrate, room=room))
            for number, one in enumerate(choice.singles, 1)
        ]
        regression = contract.task == "regression"
        weights = [one.weight for one in choice.members] if choice.is_weighted else None
        mean = VotingRegressor(members) if regression else VotingClassifier(members, voting="soft")
        mean.set_params(weights=weights)
        return Pipeline([("estimator", mean)])
    known = families(contract, room)
    if choice.family not in known:
        raise InputError(_unknown("model.family", choice.family, sorted(known)))
    family = known[choice.family]
    make: Any = maker(family, contract)
    try:
        estimator = make()
    # Each library has errors of its own kinds for a part that is missing.
    except Exception as error:
        raise InputError(
            f"params.yaml: model.family: the estimator of {choice.family} cannot be made: {one_line(error)}"
        ) from None
    settings = estimator.get_params()
    parameters = {name: value for name, value in choice.parameters.items() if name in settings or name not in OWN}
    own = {name: value for name, value in choice.parameters.items() if name not in parameters}
    for name in parameters:
        if name not in settings:
            raise InputError(_unknown(place, name, sorted({*settings, *OWN})))
    if wrong := _unsuitable(own, contract, family):
        raise InputError(f"params.yaml: {place}: {wrong}")
    if family.needs == "time first":
        parameters = {"follow_time": time_input(contract) is not None, **parameters}
    if "random_state" in settings:
        parameters = {"random_state": seed, **parameters}
    try:
        estimator.set_params(**parameters)
        # scikit-learn's own estimators declare which values they accept; others may not.
        if hasattr(estimator, "_parameter_constraints"):
            estimator._validate_params()
    except ValueError as error:
        raise InputError(f"params.yaml: {place}: {error}") from None
    if contract.task == "regression":
        calibrate = False
    elif not calibrate and not hasattr(estimator, "predict_proba"):
        raise InputError(
            f"src/model/estimators.py: family {choice.family!r} gives no probabilities; "
            "wrap its classifier in CalibratedClassifierCV(..., ensemble=False), or set `train.calibrate`"
        )
    if calibrate:
        # Platt's sigmoid on out-of-fold scores; isotonic steps do not survive the export in single precision.
        estimator = CalibratedClassifierCV(estimator, method="sigmoid", cv=5, ensemble=False)
    if own.get("log_target"):
        estimator = LogTarget(estimator)
    steps = [("features", transformer(contract, needs=family.needs, seed=seed, room=room))]
    if threshold := own.get("select_features"):
        steps.append(("selection", selection(contract, str(threshold), seed)))
    return Pipeline([*steps, ("estimator", estimator)])


def megabytes_for(rows: int, contract: Contract) -> int:
    """Return about how much memory it takes to fit a model on this number of rows."""
    return BASE_MEGABYTES + round(8 * COPIES * width(contract) * rows / 1e6)


def rows_that_fit(megabytes: int, contract: Contract) -> int:
    """Return about how many rows a model can be fitted on in this memory; raises InputError if these are too few."""
    rows = int(1e6 * (megabytes - BASE_MEGABYTES) / (8 * COPIES * width(contract)))
    if rows < FEWEST_DRAWN:
        raise InputError(
            f"params.yaml: train.max_memory: {megabytes} MB are too few to fit a model on {FEWEST_DRAWN} rows; "
            f"at least {megabytes_for(FEWEST_DRAWN, contract) + 1} are needed"
        )
    return rows


def with_rounds(choice: ModelChoice, factor: float, contract: Contract, room: Room = NO_ROOM) -> ModelChoice:
    """Return a choice with `factor` times its boosting rounds, for as many times its rows."""
    known = families(contract, room)

    def more(family: str, parameters: Parameters) -> Parameters:
        name = known[family].rounds if family in known else ""
        rounds = parameters.get(name)
        return {**parameters, name: round(rounds * factor)} if isinstance(rounds, int) else dict(parameters)

    members = tuple(one.model_copy(update={"parameters": more(one.family, one.parameters)}) for one in choice.members)
    return choice.model_copy(update={"parameters": more(choice.family, choice.parameters), "members": members})


def _unsuitable(own: Parameters, contract: Contract, family: Family) -> str:
    """Say what is wrong with parameters of OWN, if anything."""
    log, select = own.get("log_target", False), own.get("select_features")
    if not isinstance(log, bool):
        return f"log_target should be true or false, found {log!r}"
    if log and not is_amount(contract):
        return "log_target is for numbers that are never negative: give the target of contract.yaml a range from 0"
    if select not in (None, "mean", "median"):
        return f"select_features should be mean or median, found {select!r}"
    if (log or select) and family.needs == "time first":
        name = "log_target" if log else "select_features"
        return f"{name} does not suit a family that follows the time and predicts a logarithm already"
    return ""


def build_dummy(contract: Contract) -> Pipeline:
    """Return the unfitted baseline that ignores all features: class shares, or the median."""
    return Pipeline(
        [("estimator", DummyRegressor(strategy="median") if contract.task == "regression" else DummyClassifier())]
    )


def fit(pipeline: Pipeline, data: Columns, target: np.ndarray, contract: Contract, room: Room = NO_ROOM) -> Pipeline:
    """Fit a pipeline on the rows of `data` and return it; raises InputError if parameters or rows make it fail."""
    with threads(length(data)):
        frame, signs = inputs(data, contract, room), directions(contract, room)
        try:
            with warnings.catch_warnings():
                # A text with fewer words than the selection asks for: all of them are kept.
                warnings.filterwarnings("ignore", "k=.* is greater than n_features", UserWarning)
                if signs:
                    for one in _singles(pipeline):
                        constrain(one[-1], clone(one[:-1]).fit(frame, target), contract, room)
                return pipeline.fit(frame, target)
        # Each library, and a family of the user's own, raises errors of its own kinds.
        except Exception as error:
            message = one_line(error)
            raise InputError(f"params.yaml: the model cannot be fitted on {length(data)} rows: {message}") from None


def constraints(pipeline: Pipeline, contract: Contract, room: Room = NO_ROOM) -> str:
    """Say which features `fit` will constrain an unfitted pipeline in, and if it cannot; "" if there are none."""
    names = ", ".join(directions(contract, room))
    if names and not all(can_be_constrained(one[-1]) for one in _singles(pipeline)):
        return f"not constrained in {names}, since the model cannot be: the gate expectations judges it"
    return names and f"constrained by expectations in {names}"


def _singles(pipeline: Pipeline) -> list[Pipeline]:
    """Return the unfitted pipelines whose mean a pipeline will predict; or else itself, if it has features."""
    if _is_mean(pipeline):
        return [one for _, one in pipeline[-1].estimators]
    return [pipeline] if len(pipeline) > 1 else []


def members(pipeline: Pipeline) -> list[Pipeline]:
    """Return the fitted pipelines whose mean a pipeline predicts; or else the pipeline itself."""
    return list(pipeline[-1].estimators_) if _is_mean(pipeline) else [pipeline]


def weights(pipeline: Pipeline) -> np.ndarray:
    """Return the weights of `members`, which sum to one."""
    number = len(members(pipeline))
    found = pipeline[-1].weights if number > 1 else None
    given = np.ones(number) if found is None else np.array(found, dtype=np.float64)
    return np.asarray(given / given.sum())


def _is_mean(pipeline: Pipeline) -> bool:
    """Say whether a pipeline is one of the family `mean`, and not an estimator of the user's own that votes."""
    return len(pipeline) == 1 and isinstance(pipeline[-1], VotingClassifier | VotingRegressor)


def scores(pipeline: Pipeline, data: Columns, contract: Contract, room: Room = NO_ROOM) -> np.ndarray:
    """Return probabilities, shape (rows, classes) in the order of `contract.classes`, or numbers, shape (rows,)."""
    with threads(length(data)):
        frame = inputs(data, contract, room)
        if contract.task == "regression":
            return np.asarray(pipeline.predict(frame), dtype=np.float64)
        found = np.asarray(pipeline.predict_proba(frame), dtype=np.float64)
        return of_all_classes(found, pipeline.classes_, contract)


def of_all_classes(found: np.ndarray, classes: np.ndarray, contract: Contract) -> np.ndarray:
    """Return the probabilities of all classes of the contract; one without training rows gets probability 0."""
    if found.shape[1] == len(contract.classes) == len(classes):
        return np.asarray(found, dtype=np.float64)
    whole = np.zeros((len(found), len(contract.classes)))
    if len(classes) == 1:
        # Boosting gives two columns for one class, the first of them its own.
        found = found[:, :1]
    whole[:, classes] = found
    return whole


def decide(scores: np.ndarray, contract: Contract, threshold: float | None) -> np.ndarray:
    """Return the decision: the index of a class (binary: positive at or above the threshold), or the value."""
    if contract.task == "regression":
        return scores
    if contract.task == "binary":
        return (scores[:, 1] >= threshold).astype(np.int64)
    return np.asarray(scores.argmax(axis=1), dtype=np.int64)


def set_threshold(scores: np.ndarray, target: np.ndarray, contract: Contract) -> float | None:
    """Return the threshold of a binary model, the cheapest on rows with these scores if errors have costs.

    None for other tasks.
    """
    if contract.task != "binary":
        return None
    if contract.costs is None:
        return 0.5
    return cheapest_threshold(scores[:, 1], target, contract.costs)


def cheapest_threshold(positive: np.ndarray, target: np.ndarray, costs: Costs) -> float:
    """Return the threshold on the probability of the positive class with the lowest cost of errors on these rows.

    Of several thresholds with the same cost it is the middle of the widest gap (Elkan 2001 gives the threshold of a
    perfectly calibrated model, which lies in such a gap).
    """
    cuts = np.concatenate([[0.0], np.unique(positive), [1.0]])
    gaps = np.stack([cuts[:-1], cuts[1:]], axis=1)
    ordered = np.sort(positive[target == 0])
    false_positives = len(ordered) - np.searchsorted(ordered, gaps[:, 1], side="left")
    false_negatives = np.searchsorted(np.sort(positive[target == 1]), gaps[:, 1], side="left")
    cost = false_positives * costs.false_positive + false_negatives * costs.false_negative
    best = gaps[cost == cost.min()]
    low, high = best[np.argmax(best[:, 1] - best[:, 0])]
    return float((low + high) / 2)


def uncalibrated(estimator: Any) -> Any:
    """Return the estimator inside a calibrated one or one of logarithms, or the estimator itself."""
    if isinstance(estimator, CalibratedClassifierCV):
        return estimator.calibrated_classifiers_[0].estimator
    if isinstance(estimator, LogTarget):
        return estimator.regressor_
    return estimator.boosting_ if isinstance(estimator, LogBoosting) else estimator


@contextmanager
def threads(rows: int) -> Iterator[None]:
    """Use one thread for few rows: on busy processors, starting more costs far more than it saves.

    For many rows, all processors: by one model with threads of its own, or by the members of a mean, each with one.
    """
    number = 1 if rows < FEW_ROWS else cpu_count()
    # Set around the model, not in it: a model must not depend on the number of processors it was fitted on.
    with _libraries(len(sys.modules)).limit(limits=number), parallel_config("threading", n_jobs=number):
        yield


# To look for them takes longer than a model takes for some rows, and with other modules there may be others.
@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """Return the loaded libraries that start threads."""
    return ThreadpoolController()


def _unknown(place: str, name: str, known: list[str]) -> str:
    hint = did_you_mean(name, known) or f"; choose from {', '.join(known)}"
    other = "; `make tune` finds a model for the data" if place.startswith("model.") else ""
    return f"params.yaml: {place}: unknown {name!r}{hint}{other}"
