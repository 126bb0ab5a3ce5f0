"""The mean of several models is a model like any other: fitted, stored, exported, explained and written down."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.pipeline import Pipeline

from assay.data.columns import take
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
WEIGHTS = (0.5, 0.2, 0.3)


def weighted(*weights: float) -> ModelChoice:
    members = (one.model_copy(update={"weight": weight}) for one, weight in zip(MEMBERS, weights, strict=True))
    return CHOICE.model_copy(update={"members": tuple(members)})


@cache
def fitted(task: str, *weights: float) -> Pipeline:
    made = contract(task)
    data, target = patients(200, task)
    return fit(build(weighted(*weights) if weights else CHOICE, made, 1), data, target, made)


@pytest.mark.parametrize("task", TASKS)
def test_it_predicts_the_mean_of_its_members_or_with_weights_the_weighted_mean(task: str) -> None:
    made, (data, target) = contract(task), patients(200, task)
    alone = np.array([scores(fit(build(one, made, 1), data, target, made), data, made) for one in CHOICE.singles])
    np.testing.assert_allclose(scores(fitted(task), data, made), alone.mean(axis=0), rtol=1e-12)
    weighted_mean = np.tensordot(WEIGHTS, alone, axes=1)
    np.testing.assert_allclose(scores(fitted(task, *WEIGHTS), data, made), weighted_mean, rtol=1e-12)


@pytest.mark.parametrize(("task", "weights"), [("binary", ()), ("multiclass", WEIGHTS), ("regression", WEIGHTS)])
def test_it_is_stored_and_exported_as_one_graph_that_answers_alike(
    task: str, weights: tuple[float, ...], tmp_path: Path
) -> None:
    assert_stored_and_exported(fitted(task, *weights), patients(100, task, seed=5)[0], contract(task), tmp_path)


def test_a_mean_of_boosted_amounts_is_exported_with_the_growth_of_each() -> None:
    made = contract("regression", target={"name": "days", "range": [0, 1000]})
    data, target = patients(200, "regression")
    members = (Member(family="log_boosting", parameters={"max_iter": 20}), MEMBERS[0])
    model = fit(build(ModelChoice(family=MEAN, parameters={}, members=members), made, 1), data, abs(target), made)
    wanted = scores(model, data, made)
    assert scorer(convert(model, data, made), made)(data) == pytest.approx(wanted, abs=5e-5 * wanted.std())


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_row_is_answered_alone_as_it_is_in_company_to_the_last_bit(task: str) -> None:
    made, (data, _) = contract(task), patients(20, task)
    ask = scorer(convert(fitted(task, *WEIGHTS), data, made), made)
    alone = [ask(take(data, np.array([row]))) for row in range(20)]
    np.testing.assert_array_equal(np.concatenate(alone), ask(data))


def test_its_features_have_the_mean_importance_of_the_members() -> None:
    made, (data, _) = contract(), patients(100)
    found = shap_importance(fitted("binary"), data, made)
    assert found is not None
    # A member that counts for nothing explains nothing.
    alone = shap_importance(fit(build(CHOICE.singles[0], made, 1), *patients(200), made), data, made)
    assert alone is not None
    shares = shap_importance(fitted("binary", 1.0, 1e-9, 1e-9), data, made)
    assert shares == pytest.approx({name: value / sum(alone.values()) for name, value in alone.items()}, abs=1e-3)
    assert sum(found.values()) == pytest.approx(1, rel=1e-4)
    assert next(iter(found)) == "age"


@pytest.mark.parametrize("choice", [CHOICE, weighted(*WEIGHTS)], ids=["equal", "weighted"])
def test_it_is_written_into_params_yaml_and_read_again(choice: ModelChoice, tmp_path: Path) -> None:
    own = (ROOT / "params.yaml").read_text(encoding="utf-8")
    text = with_choice(own, choice)
    (tmp_path / "params.yaml").write_text(text)
    assert load_params(tmp_path / "params.yaml").model == choice
    assert ("weight:" in text) == choice.is_weighted
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
