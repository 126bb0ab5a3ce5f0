"""The mean of several models is a model like any other: fitted, stored, exported, explained and written down."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.pipeline import Pipeline

from assay.evaluation.explain import shap_importance
from assay.export.onnx import convert
from assay.inference.scorer import scorer
from assay.modelling.fitting import build, fit, scores
from assay.project.freeze import with_choice
from assay.project.params import MEAN, Member, ModelChoice, load_params
from exported import assert_stored_and_exported
from patients import contract, patients
from places import ROOT

TASKS = ["binary", "multiclass", "regression"]
MEMBERS = (
    Member(family="linear", parameters={}),
    Member(family="gradient_boosting", parameters={"max_iter": 20}),
    Member(family="random_forest", parameters={"n_estimators": 10}),
)
CHOICE = ModelChoice(family=MEAN, parameters={}, members=MEMBERS)


@cache
def fitted(task: str, choice: ModelChoice = CHOICE) -> Pipeline:
    made = contract(task)
    data, target = patients(200, task)
    return fit(build(choice, made, 1), data, target, made)


@pytest.mark.parametrize("task", TASKS)
def test_it_predicts_the_mean_of_its_members(task: str) -> None:
    made, (data, target) = contract(task), patients(200, task)
    alone = [scores(fit(build(one, made, 1), data, target, made), data, made) for one in CHOICE.singles]
    np.testing.assert_allclose(scores(fitted(task), data, made), np.mean(alone, axis=0), rtol=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_it_is_stored_and_exported_as_one_graph_that_answers_alike(task: str, tmp_path: Path) -> None:
    assert_stored_and_exported(fitted(task), patients(100, task, seed=5)[0], contract(task), tmp_path)


def test_a_mean_of_boosted_amounts_is_exported_with_the_growth_of_each() -> None:
    made = contract("regression", target={"name": "days", "range": [0, 1000]})
    data, target = patients(200, "regression")
    members = (Member(family="log_boosting", parameters={"max_iter": 20}), MEMBERS[0])
    model = fit(build(ModelChoice(family=MEAN, parameters={}, members=members), made, 1), data, abs(target), made)
    wanted = scores(model, data, made)
    assert scorer(convert(model, data, made), made)(data) == pytest.approx(wanted, abs=5e-5 * wanted.std())


def test_its_features_have_the_mean_importance_of_the_members() -> None:
    made, (data, _) = contract(), patients(100)
    found = shap_importance(fitted("binary"), data, made)
    assert found is not None
    assert sum(found.values()) == pytest.approx(len(MEMBERS), rel=1e-4)
    assert next(iter(found)) == "age"


def test_it_is_written_into_params_yaml_and_read_again(tmp_path: Path) -> None:
    own = (ROOT / "params.yaml").read_text(encoding="utf-8")
    text = with_choice(own, CHOICE)
    (tmp_path / "params.yaml").write_text(text)
    assert load_params(tmp_path / "params.yaml").model == CHOICE
    rest = own[own.index("\ntrain:") :]
    assert text.endswith(rest)
    # A single model in its place leaves nothing of it.
    single = ModelChoice(family="linear", parameters={"C": 2.0})
    (tmp_path / "params.yaml").write_text(with_choice(text, single))
    assert load_params(tmp_path / "params.yaml").model == single
    assert with_choice(text, single).endswith(rest)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"family": MEAN, "parameters": {}}, "members are needed for the family `mean`, and only for it"),
        ({"family": "linear", "parameters": {}, "members": MEMBERS}, "members are needed for the family `mean`"),
        ({"family": MEAN, "parameters": {"C": 1}, "members": MEMBERS}, "has no parameters of its own"),
        ({"family": MEAN, "parameters": {}, "members": (Member(family=MEAN, parameters={}),)}, "no mean of means"),
    ],
)
def test_a_mean_that_makes_no_sense_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ModelChoice(**wrong)  # type: ignore[arg-type]
