"""LightGBM is a family like those of scikit-learn: searched, stored, exported exactly, and explained."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from threadpoolctl import threadpool_limits

from assay.base.errors import InputError
from assay.evaluation.explain import shap_importance
from assay.export import lightgbm_trees
from assay.export.onnx import OPSET
from assay.modelling import search as module
from assay.modelling.fitting import build, fit
from assay.modelling.rounds import MOST_ROUNDS, PATIENCE, ROUNDS_PER_STEP
from assay.project.params import ModelChoice
from assay.project.room import Family
from assay.statistics.losses import row_losses
from exported import assert_stored_and_exported
from patients import contract, patients
from rooms import room

TASKS = ["binary", "multiclass", "regression"]
CHOICE = ModelChoice(family="lightgbm", parameters={"n_estimators": 60, "num_leaves": 8})


@pytest.mark.parametrize("calibrate", [False, True])
@pytest.mark.parametrize("task", TASKS)
def test_it_is_stored_exported_and_explained(task: str, calibrate: bool, tmp_path: Path) -> None:
    made, (data, target) = contract(task), patients(300, task)
    model = fit(build(CHOICE, made, 1, calibrate=calibrate), data, target, made)
    assert_stored_and_exported(model, patients(200, task, seed=5)[0], made, tmp_path)
    importance = shap_importance(model, patients(50, task)[0], made)
    assert importance is not None
    assert next(iter(importance)) == "age"


@pytest.mark.parametrize("kind", ["some", "none", "only beyond the training rows"])
def test_missing_values_and_values_at_a_threshold_go_where_the_library_sends_them(kind: str) -> None:
    rng = np.random.default_rng(1)
    rows = rng.integers(-4, 4, (400, 2)).astype(np.float64)
    target = (rows[:, 0] > 0).astype(float) - 2 * (rows[:, 1] > 1)
    asked = np.concatenate([rows, rows + 0.5, np.nextafter(np.float32(rows + 0.5), np.float32(9)).astype(np.float64)])
    if kind == "some":
        rows[:80, 0] = np.nan
        target[:80] += 3
    if kind != "none":
        asked[::7] = np.nan
    model = LGBMRegressor(n_estimators=20, verbose=-1, n_jobs=1).fit(rows, target)
    assert lightgbm_trees
    graph = to_onnx(model, initial_types=[("X", FloatTensorType([None, 2]))], target_opset=OPSET)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    (found,) = session.run(None, {"X": asked.astype(np.float32)})
    np.testing.assert_allclose(found[:, 0], model.predict(asked), atol=1e-5)


def test_a_target_far_from_zero_is_exported_as_exactly_as_one_around_it() -> None:
    rng = np.random.default_rng(1)
    rows = rng.random((400, 2)).astype(np.float32).astype(np.float64)
    # As temperatures in kelvin.
    target = 300 + 10 * rows[:, 0] + rng.standard_normal(400)
    model = LGBMRegressor(n_estimators=300, learning_rate=0.05, verbose=-1, n_jobs=1).fit(rows, target)
    assert lightgbm_trees
    graph = to_onnx(model, initial_types=[("X", FloatTensorType([None, 2]))], target_opset=OPSET)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    (found,) = session.run(None, {"X": rows.astype(np.float32)})
    wanted = model.predict(rows)
    assert np.abs(found[:, 0] - wanted).max() < 1e-5 * wanted.std()


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (LGBMRegressor(objective="poisson"), "LightGBM's objective 'poisson' is not exported"),
        (LGBMRegressor(reg_sqrt=True), "LightGBM's objective 'regression sqrt' is not exported"),
        (LGBMClassifier(objective="multiclassova"), "LightGBM's objective 'multiclassova"),
        (
            LGBMRegressor(boosting_type="rf", subsample=0.7, subsample_freq=1),
            "LightGBM's mean of trees is not exported",
        ),
        (LGBMRegressor(linear_tree=True), "linear functions in its leaves"),
        (LGBMRegressor(zero_as_missing=True), "counts 0 as missing"),
    ],
)
def test_what_would_be_exported_otherwise_than_it_predicts_is_refused(made: Any, reason: str) -> None:
    rows = np.random.default_rng(1).integers(-4, 4, (400, 2)).astype(np.float64)
    made.set_params(n_estimators=5, verbose=-1, n_jobs=1).fit(rows, np.abs(rows[:, 0]) + (rows[:, 1] > 0))
    assert lightgbm_trees
    with pytest.raises(ValueError, match=reason):
        to_onnx(made, initial_types=[("X", FloatTensorType([None, 2]))], target_opset=OPSET)


def test_a_metric_of_ones_own_does_not_choose_the_rounds() -> None:
    made, (data, target) = contract(), patients(300)
    fold = (np.arange(200), np.arange(200, 300))
    own = Family(
        lambda: LGBMClassifier(metric="auc", verbose=-1, n_jobs=1), None, "nothing", dict, rounds="n_estimators"
    )
    choice = ModelChoice(family="own", parameters={"learning_rate": 0.2})
    losses, given = module._curve(choice, data, target, made, fold, 1, room(families={"own": own}))
    assert row_losses(target[200:], given).mean() == pytest.approx(min(losses), rel=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_its_rounds_come_from_one_fit_on_a_fold(task: str) -> None:
    made, (data, target) = contract(task), patients(300, task)
    fold = (np.arange(200), np.arange(200, 300))
    choice = ModelChoice(family="lightgbm", parameters={"learning_rate": 0.2, "num_leaves": 8})
    losses, given = module._curve(choice, data, target, made, fold, 1, module.NO_ROOM)
    best = int(np.argmin(losses)) + 1
    assert best + PATIENCE <= len(losses) + 1 < MOST_ROUNDS // ROUNDS_PER_STEP
    assert row_losses(target[200:], given).mean() == pytest.approx(min(losses), rel=1e-6)


def test_a_class_without_training_rows_is_judged_too() -> None:
    made, (data, target) = contract("multiclass"), patients(300, "multiclass")
    seen, unseen = np.flatnonzero(target[:200] != 2), np.arange(200, 300)
    for family in ("lightgbm", "gradient_boosting"):
        choice = ModelChoice(family=family, parameters={})
        losses, given = module._curve(choice, data, target, made, (seen, unseen), 1, module.NO_ROOM)
        assert given.shape == (100, 3)
        assert row_losses(target[unseen], given).mean() == pytest.approx(min(losses), rel=1e-6)


def test_it_predicts_the_same_with_any_number_of_threads() -> None:
    rng = np.random.default_rng(1)
    rows = rng.random((3000, 5))
    target = (rows.sum(axis=1) + rng.standard_normal(3000) > 2.5).astype(int)
    made: list[Any] = []
    for number in (1, 2):
        with threadpool_limits(limits=number):
            model = build(CHOICE, contract(), 1)[-1]
            assert isinstance(model, LGBMClassifier)
            made.append(model.fit(rows, target).predict_proba(rows))
    np.testing.assert_array_equal(made[0], made[1])


def test_without_the_library_a_search_goes_on_and_the_model_is_refused(monkeypatch: Any, capsys: Any) -> None:
    ordinary = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "lightgbm":
            raise OSError("libgomp.so.1: cannot open shared object file")
        return ordinary(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "lightgbm" not in module._families_at_hand(contract(), module.NO_ROOM)
    assert "lightgbm is not tried, since its estimator cannot be made: libgomp" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"model\.family: the estimator of lightgbm cannot be made: libgomp"):
        build(CHOICE, contract(), 1)
