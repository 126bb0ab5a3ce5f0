"""The glass box: what each feature does to the prediction depends on that feature alone, in the exported graph too."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline

from assay.evaluation.explain import shapes
from assay.export.onnx import convert, hard_rows
from assay.inference.scorer import Score, scorer
from assay.modelling.fitting import build, fit, scores
from assay.project.params import MEAN, Member, ModelChoice
from exported import assert_stored_and_exported
from patients import COLUMNS, contract, patients
from rooms import LOAD, room

TASKS = ["binary", "multiclass", "regression"]
CHOICE = ModelChoice(family="additive", parameters={"max_iter": 25})
MADE = {task: contract(task) for task in TASKS}
ROWS = {task: hard_rows(patients(100, task, seed=5)[0], MADE[task], 1) for task in TASKS}


@cache
def fitted(task: str, calibrate: bool = False) -> Pipeline:
    return fit(build(CHOICE, MADE[task], 1, calibrate=calibrate), *patients(300, task), MADE[task])


@cache
def exported(task: str) -> Score:
    return scorer(convert(fitted(task), ROWS[task], MADE[task]), MADE[task])


def raw(found: np.ndarray, task: str) -> np.ndarray:
    """Return log-odds of probabilities, or the numbers."""
    return found if task == "regression" else np.log(found[:, 1:]) - np.log(found[:, :1])


@pytest.mark.parametrize(
    ("task", "calibrate"),
    [
        ("binary", False),
        ("binary", True),
        ("regression", False),
        pytest.param("multiclass", False, marks=pytest.mark.nightly),
    ],
)
def test_it_is_stored_and_exported(task: str, calibrate: bool, tmp_path: Path) -> None:
    assert_stored_and_exported(fitted(task, calibrate), ROWS[task], MADE[task], tmp_path)


@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_change_of_one_feature_changes_the_exported_score_as_much_whatever_the_others_are(
    task: str, data: st.DataObject
) -> None:
    place = st.integers(0, 199)
    one, other, before, after = (data.draw(place) for _ in range(4))
    name = data.draw(st.sampled_from(list(MADE[task].features)))
    # Two rows, each once with the one value of the feature and once with the other.
    asked = {key: values[[one, one, other, other]] for key, values in ROWS[task].items()}
    asked[name] = ROWS[task][name][[before, after, before, after]]
    found = raw(exported(task)(asked), task)
    np.testing.assert_allclose(found[1] - found[0], found[3] - found[2], atol=2e-4)


@pytest.mark.parametrize("task", TASKS)
def test_its_score_is_the_sum_of_the_shapes(task: str) -> None:
    # So few rows that each value is a point of its shape.
    made, few = MADE[task], {name: values[:15] for name, values in patients(15, task, seed=7)[0].items()}
    found = shapes(fitted(task), few, made)
    assert found is not None
    assert found["scores"] == {"binary": ["sick"], "multiclass": list(made.classes), "regression": ["outcome"]}[task]
    whole = raw(scores(fitted(task), few, made), task).reshape(15, -1)
    if task == "multiclass":
        whole = np.column_stack([np.zeros(15), whole])
        whole -= whole.mean(axis=1, keepdims=True)
    for name, points in found["features"].items():
        texts = {one["value"]: np.array(one["effects"]) for one in points}
        whole = whole - [texts[text_of(value)] for value in few[name]]
    # What is left is the mean of all.
    np.testing.assert_allclose(whole, np.broadcast_to(whole.mean(axis=0), whole.shape), atol=1e-4)


def text_of(value: Any) -> str:
    if pd.isna(value):
        return "missing"
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_other_models_have_no_shapes() -> None:
    made, rows = MADE["binary"], patients(100)
    boosted = fit(build(ModelChoice(family="gradient_boosting", parameters={"max_iter": 5}), made, 1), *rows, made)
    few = Member(family="additive", parameters={"max_iter": 5})
    mean = ModelChoice(family=MEAN, parameters={}, members=(few, few))
    assert shapes(boosted, rows[0], made) is None
    assert shapes(fit(build(mean, made, 1), *rows, made), rows[0], made) is None


def test_a_product_of_effects_has_no_shapes() -> None:
    data, target = patients(100, "regression")
    product = ModelChoice(family="additive", parameters={"max_iter": 5, "loss": "poisson"})
    made = MADE["regression"]
    assert shapes(fit(build(product, made, 1), data, abs(target) + 1, made), data, made) is None


def test_a_derived_feature_has_a_shape_of_its_own() -> None:
    made, rows, own = MADE["regression"], patients(300, "regression"), room(derived=(LOAD,))
    many = ModelChoice(family="additive", parameters={"max_iter": 100})
    found = shapes(fit(build(many, made, 1, room=own), *rows, made, own), rows[0], made, own)
    assert found is not None
    assert set(found["features"]) == {*made.features, "load"}
    assert len({tuple(point["effects"]) for point in found["features"]["load"]}) > 3


def test_a_linear_model_has_shapes_too_also_beside_a_text_and_a_column_without_values() -> None:
    made = contract(columns={**COLUMNS, "note": {"kind": "text"}})
    data, target = patients(60)
    given = {**data, "heart-rate": np.full(60, np.nan), "note": np.array(["one two"] * 60, dtype=object)}
    linear = ModelChoice(family="linear", parameters={})
    found = shapes(fit(build(linear, made, 1), given, target, made), given, made)
    assert found is not None
    assert set(found["features"]) == set(COLUMNS)
    assert found["features"]["heart-rate"] == [{"value": "missing", "effects": [0.0]}]
    effects = [point["effects"][0] for point in found["features"]["age"]]
    assert effects == sorted(effects)
