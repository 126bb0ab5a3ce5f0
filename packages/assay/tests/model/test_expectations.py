import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from assay.contract.spec import load_contract
from assay.data.columns import take
from assay.gates.expectations import check
from assay.modelling.fitting import build, decide, fit, scores, set_threshold
from assay.project.params import ModelChoice
from assay.project.room import Room
from places import ROOT

CONTRACT = load_contract(ROOT / "contract.yaml")
EXPECTATIONS = Room(ROOT).expectations
pytestmark = pytest.mark.skipif(CONTRACT.name != "breast-cancer", reason="the problem is another")

FAMILIES = {
    "linear": {},
    "random_forest": {"n_estimators": 50},
    "gradient_boosting": {"max_iter": 60, "max_leaf_nodes": 8},
}
WORST = [name for name in CONTRACT.features if name.startswith("worst_")]
SIZES = [name for name in CONTRACT.features if name.endswith(("_radius", "_perimeter", "_area"))]


def patients():
    """Return the columns of the contract and the targets, malignant being 1."""
    loaded = load_breast_cancer(as_frame=True)
    return {name.replace(" ", "_"): loaded.data[name].to_numpy() for name in loaded.data}, 1 - loaded.target.to_numpy()


def trained(family, seed, **parameters):
    """Return the scores of a model fitted on part of the patients, and its threshold."""
    data, target = patients()
    order = np.random.default_rng(seed).permutation(len(target))
    train, validation = order[:341], order[341:426]
    choice = ModelChoice(family=family, parameters=FAMILIES[family] | parameters)
    model = fit(build(choice, CONTRACT, seed), take(data, train), target[train], CONTRACT)
    threshold = set_threshold(scores(model, take(data, validation), CONTRACT), target[validation], CONTRACT)
    return lambda rows: scores(model, rows, CONTRACT), threshold


def failing(model, threshold, *words):
    """Yield the name of each expectation that fails, of those with some of these words in it."""
    for one in EXPECTATIONS:
        if not words or any(word in one.name for word in words):
            # One by one, since it takes long to find the smallest row, and one that fails may be enough.
            [result] = check([one], CONTRACT, model, lambda given: decide(given, CONTRACT, threshold), 20, 20)
            if not result.held:
                yield one.name


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_sound_model_of_any_family_does_what_is_expected(family, seed):
    model, threshold = trained(family, seed)
    found = check(EXPECTATIONS, CONTRACT, model, lambda given: decide(given, CONTRACT, threshold), 20, 20)
    assert [one.name for one in found if not one.held] == []


@pytest.mark.nightly
def test_a_model_that_takes_one_class_for_the_other_is_caught():
    model, threshold = trained("linear", 1)
    words = ["a typical benign mass", "a typical malignant mass", "nuclei twice as large"]
    assert len(list(failing(lambda rows: model(rows)[:, ::-1], threshold, *words))) == 3


@pytest.mark.nightly
def test_a_model_that_looks_at_one_measurement_alone_is_caught():
    stump = trained("gradient_boosting", 1, max_iter=1, max_leaf_nodes=2, learning_rate=1.0)
    assert any(failing(*stump, "as if benign in a malignant mass"))


@pytest.mark.nightly
def test_a_model_of_labels_at_random_is_caught():
    data, target = patients()
    choice = ModelChoice(family="linear", parameters={})
    model = fit(build(choice, CONTRACT, 1), data, np.random.default_rng(1).permutation(target), CONTRACT)
    assert any(failing(lambda rows: scores(model, rows, CONTRACT), 0.4))


@pytest.mark.nightly
def test_a_model_that_no_longer_gets_a_measurement_it_lives_on_is_caught():
    model, threshold = trained("linear", 1)
    lost = dict.fromkeys(WORST, 0.0)
    without = failing(
        lambda rows: model({name: rows[name] * lost.get(name, 1.0) for name in rows}),
        threshold,
        "malignant mass: answers",
    )
    assert any(without)


def test_a_model_that_gets_sizes_in_another_unit_is_caught():
    model, threshold = trained("linear", 1)
    factor = dict.fromkeys(SIZES, 10.0)
    larger = failing(
        lambda rows: model({name: rows[name] * factor.get(name, 1.0) for name in rows}),
        threshold,
        "benign mass: answers",
    )
    assert any(larger)
