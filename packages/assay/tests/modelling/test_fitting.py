import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from assay.base.errors import InputError
from assay.contract.spec import Costs
from assay.data.columns import take
from assay.modelling.fitting import (
    build,
    build_dummy,
    cheapest_threshold,
    decide,
    fit,
    inputs,
    scores,
    set_threshold,
    with_rounds,
)
from assay.project.params import MEAN, Member, ModelChoice
from patients import contract, patients

TASKS = ["binary", "multiclass", "regression"]
FAMILIES = ["gradient_boosting", "linear", "random_forest"]


def choice(family: str, **parameters: bool | float | str | None) -> ModelChoice:
    return ModelChoice(family=family, parameters=parameters)


def cost_at(threshold: float, positive: np.ndarray, target: np.ndarray, costs: Costs) -> float:
    said = positive >= threshold
    return float(
        costs.false_positive * (said & (target == 0)).sum() + costs.false_negative * (~said & (target == 1)).sum()
    )


@given(
    positive=arrays(
        np.float64, st.integers(1, 30), elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.9, 1.0])
    ),
    seed=st.integers(0, 1000),
    false_negative=st.sampled_from([0.2, 1.0, 5.0]),
)
def test_no_threshold_costs_less_than_the_one_that_is_chosen(positive, seed, false_negative):
    target = np.random.default_rng(seed).integers(0, 2, len(positive))
    costs = Costs(false_positive=1, false_negative=false_negative)
    chosen = cost_at(cheapest_threshold(positive, target, costs), positive, target, costs)
    for other in np.concatenate([np.linspace(0, 1, 101), positive, np.minimum(positive + 1e-9, 1)]):
        assert chosen <= cost_at(other, positive, target, costs) + 1e-9


def test_of_equally_cheap_thresholds_the_middle_of_the_widest_gap_is_taken():
    # One error either way: from 0.1 to 0.2, and from 0.5 to 0.9.
    positive, target = np.array([0.1, 0.2, 0.5, 0.9]), np.array([0, 1, 0, 1])
    assert cheapest_threshold(positive, target, Costs(false_positive=1, false_negative=1)) == pytest.approx(0.7)


def test_a_dearer_miss_lowers_the_threshold():
    rng = np.random.default_rng(0)
    positive = rng.random(2000)
    target = (rng.random(2000) < positive).astype(int)
    cuts = [cheapest_threshold(positive, target, Costs(false_positive=1, false_negative=miss)) for miss in (0.25, 1, 4)]
    assert cuts == sorted(cuts, reverse=True)
    # Elkan 2001: false positive over the sum of both costs, for calibrated probabilities.
    assert cuts == pytest.approx([0.8, 0.5, 0.2], abs=0.08)


def test_only_a_binary_task_has_a_threshold_and_costs_set_it():
    data, target = patients(200)
    plain, costly = contract(), contract(costs={"false_positive": 1, "false_negative": 20})
    model = fit(build(choice("linear"), plain, 1), data, target, plain)
    given = scores(model, data, plain)
    assert set_threshold(given, target, plain) == 0.5
    assert set_threshold(given, target, costly) < 0.5
    assert set_threshold(given, target, contract("multiclass")) is None


def test_the_positive_class_is_answered_at_the_threshold_and_above():
    given_scores = np.array([[0.6, 0.4], [0.5, 0.5], [0.4, 0.6]])
    assert decide(given_scores, contract(), 0.5).tolist() == [0, 1, 1]
    assert decide(np.array([[0.2, 0.5, 0.3]]), contract("multiclass"), None).tolist() == [1]
    assert decide(np.array([1.5]), contract("regression"), None).tolist() == [1.5]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns_every_task_from_rows_with_gaps(family, task):
    made = contract(task)
    (data, target), (unseen, truth) = patients(500, task, 1), patients(300, task, 2)
    model = fit(build(choice(family), made, 1), data, target, made)
    dummy = fit(build_dummy(made), data, target, made)
    if task == "regression":
        error, dummy_error = (np.abs(scores(m, unseen, made) - truth).mean() for m in (model, dummy))
        assert error < 0.7 * dummy_error
    else:
        right, dummy_right = ((scores(m, unseen, made).argmax(axis=1) == truth).mean() for m in (model, dummy))
        assert right > dummy_right + 0.1


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_is_scored_alone_as_it_is_among_others(family, task):
    made = contract(task)
    data, target = patients(200, task)
    model = fit(build(choice(family), made, 1), data, target, made)
    together = scores(model, data, made)
    for i in (0, 7, 199):
        np.testing.assert_allclose(scores(model, take(data, np.array([i])), made)[0], together[i], atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_fitting_twice_gives_the_same_scores(family):
    made = contract()
    data, target = patients(300)
    first, second = (scores(fit(build(choice(family), made, 7), data, target, made), data, made) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.nightly
def test_calibration_brings_boastful_probabilities_nearer_to_the_truth():
    made = contract()
    (data, target), (unseen, truth) = patients(400, seed=1), patients(2000, seed=2)
    boastful = choice("gradient_boosting", max_iter=300, min_samples_leaf=2)
    losses = []
    for calibrate in (False, True):
        model = fit(build(boastful, made, 1, calibrate=calibrate), data, target, made)
        given_scores = scores(model, unseen, made)
        losses.append(-np.log(given_scores[np.arange(2000), truth].clip(1e-15)).mean())
    assert losses[1] < losses[0] / 1.5


def test_fitting_changes_neither_rows_nor_target():
    made = contract()
    data, target = patients(100)
    before = {name: values.copy() for name, values in data.items()}
    fit(build(choice("linear"), made, 1), data, target, made)
    for name, values in before.items():
        np.testing.assert_array_equal(data[name], values)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (choice("gradient_bosting"), "unknown 'gradient_bosting'; did you mean 'gradient_boosting'?"),
        (choice("linear", c=1.0), "unknown 'c'"),
        (choice("linear", max_itre=3), "unknown 'max_itre'; did you mean 'max_iter'?"),
        (choice("linear", C=-1.0), "The 'C' parameter of LogisticRegression must be"),
    ],
)
def test_a_family_or_parameter_that_does_not_exist_is_named(wrong, message):
    with pytest.raises(InputError) as error:
        build(wrong, contract(), 1)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_class_that_was_not_seen_has_no_chance():
    made = contract("multiclass")
    data, target = patients(200, "multiclass")
    known = np.flatnonzero(target != 1)
    model = fit(build(choice("linear"), made, 1), take(data, known), target[known], made)
    found = scores(model, data, made)
    assert found.shape == (200, 3)
    assert (found[:, 1] == 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_what_a_fit_refuses_is_told_in_one_line():
    made = contract("multiclass")
    data, target = patients(100, "multiclass")
    wrong = choice("linear", solver="liblinear")
    with pytest.raises(InputError, match=r"params\.yaml: the model cannot be fitted on 100 rows: .*liblinear"):
        fit(build(wrong, made, 1), data, target, made)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_model_sees_numbers_as_single_precision_can_hold_them(number):
    made = contract(columns={"noise": {"kind": "number"}})
    seen = inputs({"noise": np.array([number])}, made)["noise"].to_numpy()
    assert seen.dtype == np.float64
    assert np.isfinite(seen).all()
    np.testing.assert_array_equal(seen, seen.astype(np.float32))


def test_missing_numbers_stay_missing_and_a_missing_category_does_not():
    data, _ = patients(50)
    frame = inputs(data, contract())
    np.testing.assert_array_equal(np.isnan(frame["heart-rate"]), np.isnan(data["heart-rate"]))
    assert set(frame["ward"]) == {0, 1, 2, 3}


@pytest.mark.parametrize("family", ["gradient_boosting", "random_forest", "lightgbm"])
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_a_model_that_knows_one_class_is_certain_of_it(family, task):
    data, target = patients(60, task)
    model = fit(build(choice(family), contract(task), 1), data, np.full_like(target, 1), contract(task))
    given = scores(model, data, contract(task))
    assert given.shape == (60, len(contract(task).classes))
    assert given[:, 1] == pytest.approx(1.0, abs=1e-9)


def test_a_refit_has_boosting_rounds_in_proportion_to_its_rows():
    made = contract()
    assert with_rounds(choice("gradient_boosting", max_iter=90, l2_regularization=1.0), 1.25, made) == choice(
        "gradient_boosting", max_iter=112, l2_regularization=1.0
    )
    # A family whose rounds are not counted, and one whose rounds the choice leaves to the estimator, stay.
    for other in (choice("random_forest", n_estimators=90), choice("gradient_boosting", learning_rate=0.2)):
        assert with_rounds(other, 1.25, made) == other
    members = (Member(family="lightgbm", parameters={"n_estimators": 100}), Member(family="linear", parameters={}))
    mean = with_rounds(ModelChoice(family=MEAN, parameters={}, members=members), 1.25, made)
    assert [one.parameters for one in mean.members] == [{"n_estimators": 125}, {}]
