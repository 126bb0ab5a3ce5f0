"""Parameters that any family has: the logarithm of the target, and the selection of columns; and class weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge

from assay.base.errors import InputError
from assay.evaluation.explain import shap_importance
from assay.modelling import search as module
from assay.modelling.estimators import FAMILIES, LogTarget
from assay.modelling.fitting import build, fit
from assay.modelling.search import options_for, search
from assay.project.params import MEAN, Member, ModelChoice, Tune
from exported import assert_stored_and_exported
from patients import COLUMNS, contract, patients
from rooms import room

AMOUNTS = {"target": {"name": "days", "range": [0, 1e9]}}
TREES = {"gradient_boosting": {"max_iter": 20}, "lightgbm": {"n_estimators": 20}, "random_forest": {"n_estimators": 10}}
FEW: dict[str, dict[str, Any]] = {**TREES, "linear": {}}
KINDS = ["linear", *(pytest.param(name, marks=pytest.mark.nightly) for name in TREES)]


def amounts(rows: int, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return patients, and an amount whose logarithm is linear in their features."""
    data, target = patients(rows, "regression", seed)
    return data, np.exp(5 + target)


def test_the_answers_to_a_log_target_are_means_and_not_medians() -> None:
    rng = np.random.default_rng(1)
    rows = rng.random((4000, 1))
    wanted = np.exp(4 + 2 * rows[:, 0] + rng.standard_normal(4000))
    model = LogTarget(Ridge(alpha=1e-3)).fit(rows, wanted)
    assert model.predict(rows).mean() == pytest.approx(wanted.mean(), rel=0.02)
    asked = np.array([[0.2], [0.8]])
    assert model.predict(asked) == pytest.approx(np.exp(4.5 + 2 * asked[:, 0]), rel=0.1)


def test_an_answer_to_a_log_target_stays_between_zero_and_the_largest_amount() -> None:
    rows = np.arange(30.0)[:, None]
    wanted = np.expm1(rows[:, 0] / 5)
    model = LogTarget(Ridge()).fit(rows, wanted)
    assert model.predict(np.array([[1e6], [-1e6]])) == pytest.approx([wanted.max(), 0])
    zeros = LogTarget().fit(rows, np.zeros(30))
    assert zeros.predict(rows) == pytest.approx(np.zeros(30))


def test_a_log_target_refuses_what_is_negative_and_says_when_it_is_not_fitted() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        LogTarget().fit(np.ones((3, 1)), np.array([1.0, -1.0, 2.0]))
    with pytest.raises(NotFittedError):
        LogTarget().predict(np.ones((3, 1)))


@pytest.mark.parametrize("family", KINDS)
def test_a_model_of_logarithms_of_selected_columns_is_stored_and_exported(family: str, tmp_path: Path) -> None:
    made, (data, target) = contract("regression", **AMOUNTS), amounts(200)
    own = {"log_target": True, "select_features": "median"}
    model = fit(build(ModelChoice(family=family, parameters={**FEW[family], **own}), made, 1), data, target, made)
    assert_stored_and_exported(model, amounts(100, seed=5)[0], made, tmp_path)
    found = shap_importance(model, amounts(20)[0], made)
    assert found is not None
    assert 0 in found.values()


@pytest.mark.parametrize(
    ("task", "calibrate"), [pytest.param("binary", False, marks=pytest.mark.nightly), ("multiclass", True)]
)
def test_a_classifier_of_selected_columns_with_class_weights_is_stored_and_exported(
    task: str, calibrate: bool, tmp_path: Path
) -> None:
    made, (data, target) = contract(task), patients(200, task)
    own = {"max_iter": 10, "select_features": "mean", "class_weight": "balanced"}
    choice = ModelChoice(family="gradient_boosting", parameters=own)
    model = fit(build(choice, made, 1, calibrate=calibrate), data, target, made)
    assert_stored_and_exported(model, patients(100, task, seed=5)[0], made, tmp_path)


def test_a_model_of_the_first_column_alone_is_exported(tmp_path: Path) -> None:
    """The library's converter would give zeros for it."""
    columns = {name: COLUMNS[name] for name in ("age", "noise")}
    made, (data, _) = contract("regression", columns=columns), patients(200, "regression")
    data = {name: data[name] for name in columns}
    model = fit(
        build(ModelChoice(family="linear", parameters={"select_features": "mean"}), made, 1), data, data["age"], made
    )
    assert model[1].get_support(indices=True).tolist() == [0]
    assert_stored_and_exported(model, data, made, tmp_path)


def test_a_mean_may_have_a_member_of_logarithms(tmp_path: Path) -> None:
    made, (data, target) = contract("regression", **AMOUNTS), amounts(200)
    members = (
        Member(family="linear", parameters={"log_target": True}),
        Member(family="lightgbm", parameters=TREES["lightgbm"]),
    )
    model = fit(build(ModelChoice(family=MEAN, parameters={}, members=members), made, 1), data, target, made)
    assert_stored_and_exported(model, data, made, tmp_path)


@pytest.mark.parametrize(
    ("task", "family", "parameters", "said"),
    [
        ("regression", "linear", {"log_target": True}, "log_target is for numbers that are never negative"),
        ("binary", "linear", {"log_target": True}, "log_target is for numbers that are never negative"),
        ("amounts", "linear", {"log_target": 1}, "log_target should be true or false, found 1"),
        ("amounts", "log_boosting", {"log_target": True}, "log_target does not suit a family that follows the time"),
        ("amounts", "linear", {"select_features": 0.5}, "select_features should be mean or median, found 0.5"),
        ("amounts", "linear", {"select": "mean"}, "unknown 'select'"),
    ],
)
def test_what_does_not_suit_is_refused(task: str, family: str, parameters: dict[str, Any], said: str) -> None:
    made = contract("regression", **AMOUNTS) if task == "amounts" else contract(task)
    with pytest.raises(InputError, match=rf"^params\.yaml: model\.parameters: .*{said}|{said}"):
        build(ModelChoice(family=family, parameters=parameters), made, 1)


def test_an_option_that_is_off_suits_any_family() -> None:
    off = {"log_target": False, "select_features": None}
    assert len(build(ModelChoice(family="log_boosting", parameters=off), contract("regression", **AMOUNTS), 1)) == 2


def test_a_log_target_is_an_option_for_skewed_amounts_alone() -> None:
    made = contract("regression", **AMOUNTS)
    _, target = amounts(200)
    few = {"columns": {"age": COLUMNS["age"]}}
    assert options_for(contract("regression", **AMOUNTS, **few), target) == [{"log_target": True}]
    assert {"log_target": True} not in options_for(made, np.log(target))
    assert {"log_target": True} not in options_for(contract("regression"), target)
    assert {"log_target": True} not in options_for(made, np.where(target > target.mean(), target, -1))


def test_class_weights_are_an_option_for_rare_classes_and_selection_for_many_columns() -> None:
    rare, even = np.repeat([0, 1], [95, 5]), np.repeat([0, 1], [60, 40])
    few = {"columns": {"age": COLUMNS["age"]}}
    assert options_for(contract(**few), rare) == [{"class_weight": "balanced"}]
    assert options_for(contract(**few), even) == []
    many = {"columns": {f"x{number}": {"kind": "number"} for number in range(20)}}
    assert options_for(contract(**many), even) == [{"select_features": "mean"}, {"select_features": "median"}]
    assert options_for(contract(**many), np.tile(even, 100)) == []


HOW = Tune(search=True, trials=4, folds=2, batch=2, max_rows=20000)


def searched(made: Any, rows: tuple[dict[str, np.ndarray], np.ndarray], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    linear = room(families={"linear": FAMILIES["linear"]})
    return search(*rows, None, made, HOW.model_copy(update={"trials": 5}), 1, room=linear, metric="r2")


def test_a_search_takes_a_log_target_where_it_helps(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    made = contract("regression", **AMOUNTS)
    choice, trials = searched(made, amounts(300), monkeypatch)
    assert trials[-2].choice.parameters["log_target"] is True
    assert trials[-2].score < min(trial.score for trial in trials[:-2])
    assert any(one.parameters.get("log_target") for one in choice.singles or [choice])
    assert "log_target True): loss" in capsys.readouterr().err
    # Where the amounts are symmetric it is not even tried.
    data, target = patients(300, "regression")
    _, trials = searched(made, (data, target + 10), monkeypatch)
    assert not any("log_target" in one.choice.parameters for one in trials)


def test_a_search_selects_columns_where_it_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    made = contract("regression", columns={f"x{number}": {"kind": "number"} for number in range(60)})
    rows = {f"x{number}": rng.standard_normal(120) for number in range(60)}
    _, trials = searched(made, (rows, rows["x0"] + rows["x1"] + rng.standard_normal(120)), monkeypatch)
    found = {one.choice.parameters.get("select_features"): one.score for one in trials if not one.choice.members}
    assert min(found, key=found.__getitem__) in ("mean", "median")
    # Models that differ only in this count once in the mean.
    members = [one.parameters["alpha"] for one in trials[-1].choice.members]
    assert len(members) == len(set(members))


def test_class_weights_are_judged_by_log_loss_and_left_where_probabilities_suffer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, target = patients(400)
    few = np.flatnonzero((target == 0) | (np.arange(400) % 6 == 0))
    rows = {name: values[few] for name, values in data.items()}
    choice, trials = searched(contract(), (rows, target[few]), monkeypatch)
    assert "class_weight" in str([one.choice.parameters for one in trials])
    assert "class_weight" not in str(choice)
