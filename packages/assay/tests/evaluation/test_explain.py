import numpy as np
import pytest

from assay.evaluation.explain import permutation_importance, shap_importance
from assay.modelling.fitting import build, fit
from assay.project.params import ModelChoice
from patients import contract, patients

CHOICES = [
    ModelChoice(family="gradient_boosting", parameters={"max_iter": 30}),
    ModelChoice(family="random_forest", parameters={"n_estimators": 20}),
    ModelChoice(family="linear", parameters={}),
]


def test_shuffling_a_feature_that_is_not_used_costs_nothing():
    data, _ = patients(100)
    found = permutation_importance(data, lambda d: np.abs(d["age"] - np.resize(data["age"], len(d["age"]))), 1)
    assert found.pop("age") > 1
    assert set(found.values()) == {0.0}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.family)
def test_shap_names_each_feature_once_and_what_matters_first(task, choice):
    made = contract(task)
    data, target = patients(400, task)
    model = fit(build(choice, made, 1), data, target, made)
    found = shap_importance(model, data, made)
    assert found is not None
    assert set(found) == set(made.features)
    assert set(list(found)[:4]) >= {"age", "heart-rate"}
    assert found["noise"] < found["age"] / 3


def test_a_calibrated_model_is_explained_by_the_model_inside():
    made = contract()
    data, target = patients(400)
    choice = ModelChoice(family="linear", parameters={})
    plain = shap_importance(fit(build(choice, made, 1), data, target, made), data, made)
    calibrated = shap_importance(fit(build(choice, made, 1, calibrate=True), data, target, made), data, made)
    assert plain == calibrated


def test_an_estimator_without_a_fast_explainer_is_left_to_permutation():
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import Pipeline

    made = contract()
    data, target = patients(100)
    linear = fit(build(CHOICES[2], made, 1), data, target, made)
    model = Pipeline([("features", linear[0]), ("estimator", KNeighborsClassifier())])
    assert shap_importance(fit(model, data, target, made), data, made) is None
