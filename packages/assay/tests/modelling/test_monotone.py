"""What must rise or fall without exception does so in every model that can be held to it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import VotingRegressor
from sklearn.linear_model import Ridge

from assay.base.errors import InputError
from assay.modelling import search as module
from assay.modelling.fitting import build, constraints, fit, members, scores
from assay.modelling.monotone import constrain, directions
from assay.project.params import MEAN, Member, ModelChoice, Tune
from assay.project.room import Family, Room
from assay.properties.expectations import falls, rises, same_when
from exported import assert_stored_and_exported
from patients import contract, patients
from rooms import room

FALLS = room(expectations=(falls("age"),))
FEW: dict[str, dict[str, Any]] = {
    "gradient_boosting": {"max_iter": 20},
    "lightgbm": {"n_estimators": 20},
    "random_forest": {"n_estimators": 10},
    "log_boosting": {"max_iter": 20},
    "additive": {"max_iter": 20},
}
MEAN_OF_TWO = ModelChoice(
    family=MEAN,
    parameters={},
    members=tuple(Member(family=name, parameters=FEW[name]) for name in ("lightgbm", "random_forest")),
)
CHOICES = [
    *(ModelChoice(family=name, parameters=few) for name, few in FEW.items()),
    ModelChoice(family="lightgbm", parameters={**FEW["lightgbm"], "log_target": True, "select_features": "median"}),
    MEAN_OF_TWO,
]


def by_age(model: Any, made: Any) -> np.ndarray:
    """Return the answers to a few patients, shape (ages, patients), at rising ages."""
    ages, few = np.arange(0, 120, 5.0), patients(10, "regression", seed=5)[0]
    rows = {name: np.tile(values, len(ages)) for name, values in few.items()} | {"age": np.repeat(ages, 10)}
    return scores(model, rows, made).reshape(len(ages), 10)


@pytest.mark.parametrize("choice", CHOICES, ids=lambda one: one.words)
def test_a_model_of_numbers_keeps_to_what_must_fall_though_the_data_rise(choice: ModelChoice) -> None:
    made = contract("regression", target={"name": "days", "range": [0, 1e6]})
    data, target = patients(200, "regression")
    target = np.exp(target)
    free = by_age(fit(build(choice, made, 1), data, target, made), made)
    held = by_age(fit(build(choice, made, 1, room=FALLS), data, target, made, FALLS), made)
    assert np.diff(free, axis=0).max() > 0.1
    assert np.diff(held, axis=0).max() <= 1e-9


@pytest.mark.parametrize("calibrate", [True, pytest.param(False, marks=pytest.mark.nightly)])
def test_a_classifier_keeps_to_it_too_and_is_exported(calibrate: bool, tmp_path: Path) -> None:
    made, (data, target) = contract(), patients(200)
    up = room(expectations=(rises("noise"), rises("heart-rate", of="sick")))
    choice = ModelChoice(family="gradient_boosting", parameters={"max_iter": 20})
    model = fit(build(choice, made, 1, calibrate=calibrate, room=up), data, target, made, up)
    few, _ = patients(20, seed=5)
    risks = [scores(model, {**few, "noise": np.full(20, noise)}, made)[:, 1] for noise in np.linspace(-3, 3, 30)]
    assert np.diff(risks, axis=0).min() >= -1e-9
    assert_stored_and_exported(model, few, made, tmp_path)


@pytest.mark.parametrize("family", ["gradient_boosting", "lightgbm"])
def test_the_fits_on_the_folds_are_held_to_it(family: str) -> None:
    made, (data, target) = contract("regression"), patients(300, "regression")
    fold = (np.arange(200), np.arange(200, 300))
    choice = ModelChoice(family=family, parameters={"learning_rate": 0.3})
    (free, _), (held, _) = (module._curve(choice, data, target, made, fold, 1, one) for one in (room(), FALLS))
    assert min(held) > 1.2 * min(free)


def test_only_what_holds_without_exception_is_a_constraint() -> None:
    lines = (
        rises("age"),
        falls("heart-rate", of="well"),
        rises("noise", tolerance=0.1),
        rises("smoker", where={"age": (60, 120)}),
        rises("ward"),
        same_when("nothing", lambda row: row),
    )
    positive = contract().classes[-1]
    sign = -1 if positive == "well" else 1
    assert directions(contract(), room(expectations=lines)) == {"age": 1, "heart-rate": sign}
    assert directions(contract(), room(expectations=(rises("age"), falls("age")))) == {}
    assert directions(contract("multiclass"), room(expectations=(rises("age", of="sick"),))) == {}
    assert directions(contract("regression"), room(expectations=(falls("age"),))) == {"age": -1}


@pytest.mark.parametrize(("family", "can_be"), [("gradient_boosting", True), ("linear", False), (MEAN, False)])
def test_it_is_said_in_what_a_model_is_constrained_and_if_it_cannot_be(family: str, can_be: bool) -> None:
    parts = tuple(Member(family=name, parameters={}) for name in ("lightgbm", "linear")) if family == MEAN else ()
    model = build(ModelChoice(family=family, parameters={}, members=parts), contract(), 1, calibrate=True, room=FALLS)
    said = constraints(model, contract(), FALLS)
    assert said.startswith("constrained by expectations in age" if can_be else "not constrained in age")
    assert constraints(model, contract()) == ""


def test_expectations_that_cannot_be_imported_are_named_before_any_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, made, (data, target) = Room(tmp_path), contract("regression"), patients(50, "regression")
    monkeypatch.setattr(broken, "_module", refuse_expectations)
    how = Tune(search=True, trials=2, folds=2, batch=2, max_rows=1000)
    model = build(ModelChoice(family="linear", parameters={}), made, 1)
    for attempt in (
        lambda: module.search(data, target, None, made, how, 1, room=broken),
        lambda: fit(model, data, target, made, broken),
    ):
        with pytest.raises(InputError, match=r"^src/model/expectations\.py: "):
            attempt()
    assert not capsys.readouterr().err


def refuse_expectations(name: str) -> None:
    if name == "expectations":
        raise InputError("src/model/expectations.py: cannot be imported: SyntaxError: x")


def test_a_constraint_of_ones_own_stays() -> None:
    made, (data, target) = contract("regression"), patients(100, "regression")
    pipeline = build(ModelChoice(family="gradient_boosting", parameters={"max_iter": 5}), made, 1, room=FALLS)
    features = pipeline[0].fit_transform(module.inputs(data, made), target).shape[1]
    pipeline[-1].set_params(monotonic_cst=[0] * features)
    fit(pipeline, data, target, made, FALLS)
    assert pipeline[-1].monotonic_cst == [0] * features


class Booster(BaseEstimator):  # type: ignore[misc]
    """Has its constraints as XGBoost has, which takes a tuple, a dict or a text, and fails with a list."""

    def __init__(self, monotone_constraints: Any = None) -> None:
        self.monotone_constraints = monotone_constraints


def test_xgboost_gets_its_constraints_as_a_tuple() -> None:
    made, (data, target), booster = contract("regression"), patients(50, "regression"), Booster()
    choice = ModelChoice(family="gradient_boosting", parameters={})
    features = build(choice, made, 1)[:-1].fit(module.inputs(data, made), target)
    constrain(booster, features, made, FALLS)
    assert isinstance(booster.monotone_constraints, tuple)
    assert booster.monotone_constraints.count(-1) == 1


def test_an_estimator_of_ones_own_that_votes_is_fitted_as_one_model() -> None:
    made, (data, target) = contract("regression"), patients(50, "regression")
    votes = Family(None, lambda: VotingRegressor([("one", Ridge()), ("two", Ridge(2.0))]), "scaling", dict)
    own = room(families={"votes": votes}, expectations=(falls("age"),))
    model = fit(build(ModelChoice(family="votes", parameters={}), made, 1, room=own), data, target, made, own)
    assert members(model) == [model]
