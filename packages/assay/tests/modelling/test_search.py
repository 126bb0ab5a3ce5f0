import csv
import io
import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge

from assay.base.errors import InputError
from assay.modelling import search as module
from assay.modelling.estimators import FAMILIES
from assay.modelling.folds import STRETCHES, dependent, folds
from assay.modelling.rounds import MOST_ROUNDS, PATIENCE, ROUNDS_PER_STEP
from assay.modelling.search import MEMBERS, Trial, as_csv, search, surely_worse
from assay.project.params import Member, ModelChoice, Tune
from assay.project.room import Derived, Family
from assay.project.trials import HEADER
from assay.statistics.losses import row_losses
from patients import contract, patients
from rooms import room

HOW = Tune(search=True, trials=9, folds=2, batch=3, max_rows=20000)


@pytest.fixture(scope="module")
def found():
    data, target = patients(150)
    return search(data, target, None, contract(), HOW, 1)


def test_the_families_take_turns_and_each_starts_with_its_defaults(found):
    _, trials = found
    families = [trial.choice.family for trial in trials]
    known = ["gradient_boosting", "linear", "random_forest", "lightgbm", "additive"]
    assert families[:-1] == ["dummy", *known, *known[:4]]
    assert trials[1].choice.parameters["learning_rate"] == FAMILIES["gradient_boosting"].defaults["learning_rate"]
    assert trials[2].choice.parameters == {"C": 1.0}
    # The last is the mean of the best two or three.
    whole = sorted((one for one in trials[1:-1] if one.state == "complete"), key=lambda one: one.score)
    members = trials[-1].choice.singles
    assert members == [one.choice for one in whole[: len(members)]]
    assert 2 <= len(members) <= MEMBERS


def test_the_rounds_of_boosting_come_from_the_losses_on_the_folds(found):
    _, trials = found
    rounds = [one.choice.parameters["max_iter"] for one in trials if one.choice.family == "gradient_boosting"]
    # Each of the two folds sees half of the rows.
    assert set(rounds) <= {2 * ROUNDS_PER_STEP * steps for steps in range(1, MOST_ROUNDS)}


def test_each_trial_says_how_much_worse_than_the_chosen_model_it_is_on_the_same_rows(found):
    choice, trials = found
    best = next(one for one in trials if one.choice == choice)
    assert best.worse_by == (0, 0, 0)
    for one in trials:
        more, low, high = one.worse_by
        assert low <= more <= high
        # The folds have equally many rows here.
        assert more == pytest.approx(np.mean(one.losses) - np.mean(best.losses[: len(one.losses)]), abs=1e-6)
    assert trials[0].worse_by[1] > 0


def test_rounds_are_those_with_the_lowest_mean_loss_that_all_folds_reached():
    curves = [[0.9, 0.5, 0.4, 0.45], [0.8, 0.6, 0.7], [0.9, 0.6, 0.5, 0.4, 0.1]]
    assert module._at_best_rounds(curves) == ([0.4, 0.7, 0.5], 3 * ROUNDS_PER_STEP)
    assert module._at_best_rounds([[0.3], [0.4]]) == ([0.3, 0.4], ROUNDS_PER_STEP)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_fit_on_a_fold_ends_when_the_loss_no_longer_falls_and_gives_the_scores_at_its_best(task):
    data, target = patients(300, task)
    fold = (np.arange(200), np.arange(200, 300))
    choice = ModelChoice(family="gradient_boosting", parameters={"learning_rate": 0.3})
    losses, scores = module._curve(choice, data, target, contract(task), fold, 1, room())
    best = int(np.argmin(losses)) + 1
    assert best + PATIENCE <= len(losses) + 1 < MOST_ROUNDS // ROUNDS_PER_STEP
    assert row_losses(target[200:], scores).mean() == pytest.approx(min(losses), rel=1e-9)
    # The model with as many rounds from the start is the same.
    whole = choice.model_copy(update={"parameters": {**choice.parameters, "max_iter": ROUNDS_PER_STEP * best}})
    (loss,), again = module._curve(whole, data, target, contract(task), fold, 1, room())
    assert loss == pytest.approx(min(losses), rel=1e-9)
    assert again == pytest.approx(scores, rel=1e-9)


@pytest.mark.parametrize("family", ["gradient_boosting", "lightgbm", "linear"])
def test_the_loss_is_the_squared_error_if_the_metric_of_the_gate_is_one(family):
    data, target = patients(300, "regression")
    fold = (np.arange(200), np.arange(200, 300))
    choice = ModelChoice(family=family, parameters={})
    losses, scores = module._curve(choice, data, target, contract("regression"), fold, 1, room(), is_squared=True)
    assert min(losses) == pytest.approx(((target[200:] - scores) ** 2).mean(), rel=1e-6)


@pytest.mark.parametrize(("metric", "power"), [("r2", 2), ("rmse", 2), ("mae", 1), (None, 1)])
def test_a_search_judges_by_the_metric_of_the_gate(monkeypatch, metric, power):
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    data, target = patients(150, "regression")
    made, given = contract("regression"), room(families={"linear": FAMILIES["linear"]})
    how = HOW.model_copy(update={"trials": 1})
    _, trials = search(data, target, None, made, how, 1, room=given, metric=metric)
    parts = folds(target, None, made, how.folds, 1)
    errors = [np.abs(target[unseen] - np.median(target[seen])) for seen, unseen in parts]
    assert trials[0].losses == pytest.approx([(error**power).mean() for error in errors])


def test_a_booster_of_another_library_is_continued_round_by_round():
    data, target = patients(300)
    own = Family(
        partial(GradientBoostingClassifier, max_depth=2), None, "imputing", lambda *_: {}, rounds="n_estimators"
    )
    given = room(families={"own": own})
    choice = ModelChoice(family="own", parameters={})
    losses, scores = module._curve(choice, data, target, contract(), (np.arange(200), np.arange(200, 300)), 1, given)
    assert 1 < len(losses) == int(np.argmin(losses)) + 1 + PATIENCE
    assert row_losses(target[200:], scores).mean() == pytest.approx(min(losses), rel=1e-9)


def test_a_model_is_surely_worse_only_if_hardly_by_chance():
    rng = np.random.default_rng(1)
    losses, each = rng.random(400), np.arange(400)
    assert surely_worse(losses + 0.5, losses, each)
    assert surely_worse(losses + 0.2 + 0.01 * rng.standard_normal(400), losses, each)
    assert not surely_worse(losses, losses, each)
    assert not surely_worse(rng.random(400), rng.random(400), each)


def test_rows_that_depend_on_each_other_count_as_one():
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(20), 20)
    # A model is better for some patients and worse for others, in all of their rows.
    worse = np.repeat(rng.standard_normal(20), 20)
    worse += 0.3 - worse.mean()
    assert surely_worse(worse, np.zeros(400), np.arange(400))
    assert not surely_worse(worse, np.zeros(400), groups)
    assert surely_worse(worse + 2, np.zeros(400), groups)
    # Two stretches of time say nothing.
    assert not surely_worse(worse + 2, np.zeros(400), np.arange(400) // 200)


def test_rows_of_a_group_or_a_stretch_of_time_depend_on_each_other():
    data, target = patients(400)
    assert (dependent(None, contract(), [], 4) == np.arange(4)).all()
    streets = contract(split={"by": "group", "column": "street"})
    found = dependent(data["street"], streets, [], 400)
    assert len({*zip(found, data["street"], strict=True)}) == len(set(found)) == len(set(data["street"]))
    made = contract(split={"by": "time", "column": "admitted"})
    parts = folds(target, data["admitted"], made, 4, 1)
    found = dependent(data["admitted"], made, parts, 400)
    for _, unseen in parts:
        assert len(set(found[unseen])) == STRETCHES
        assert (np.diff(found[unseen][np.argsort(data["admitted"][unseen])]) >= 0).all()
    assert len(set(np.concatenate([found[unseen] for _, unseen in parts]))) == 4 * STRETCHES
    # Rows of few times are as many as the times.
    months = np.random.default_rng(1).permutation(np.repeat(np.arange(12), 60))
    parts = folds(np.arange(720) % 2, months, made, 4, 1)
    found = dependent(months, made, parts, 720)
    assert all(len(set(found[unseen])) == len(set(months[unseen])) for _, unseen in parts)


def test_a_family_that_is_significantly_worse_gets_no_more_trials(monkeypatch, capsys):
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    data, target = patients(400)
    worse = Family(DummyClassifier, None, "scaling", lambda *_: {})
    given = room(families={"worse": worse, "linear": FAMILIES["linear"]})
    _, trials = search(data, target, None, contract(), HOW.model_copy(update={"trials": 12, "batch": 4}), 1, room=given)
    families = [trial.choice.family for trial in trials[1:-1]]
    assert families.count("worse") < families.count("linear")
    assert "worse is tried no more" in capsys.readouterr().err


def test_a_search_ends_when_more_trials_hardly_help(monkeypatch, capsys):
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    data, target = patients(150)
    alike = Family(LogisticRegression, None, "scaling", lambda trial, _: {"C": trial.suggest_float("C", 1.0, 1.001)})
    how = HOW.model_copy(update={"trials": 60})
    _, trials = search(data, target, None, contract(), how, 1, room=room(families={"alike": alike}))
    assert len(trials) == 1 + 3 * HOW.batch + 1
    assert "more trials than 9 of 60 hardly help" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", [0.5, 7.0])
def test_a_search_ends_when_its_seconds_are_over_and_has_a_model(monkeypatch, capsys, seconds):
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    data, target = patients(150)
    moments = iter(range(1000))
    how = HOW.model_copy(update={"trials": 60, "seconds": seconds})
    given = room(families={"linear": FAMILIES["linear"]})
    start = ModelChoice(family="linear", parameters={"C": 0.7})
    choice, trials = search(data, target, None, contract(), how, 1, start, given, lambda: next(moments))
    assert choice.family in ("linear", "mean")
    assert [trial.state for trial in trials].count("complete") >= 2
    assert len(trials) < 12
    assert f"tune.seconds ({seconds:g}) are over after" in capsys.readouterr().err


def test_the_mean_is_judged_by_the_scores_of_its_members(found):
    _, trials = found
    data, target = patients(150)
    losses = [
        module._curve(trials[-1].choice, data, target, contract(), fold, 1, room())[0][0]
        for fold in folds(target, None, contract(), HOW.folds, 1)
    ]
    # The rounds are scaled to the rows of all folds, so they are not quite the same.
    assert trials[-1].losses == pytest.approx(losses, rel=0.1)


def test_the_mean_is_of_as_many_models_as_do_best_together(monkeypatch):
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    data, target = patients(200, "regression")
    given = room(families={"linear": FAMILIES["linear"]})
    # Two are near each other, and the third would spoil their mean.
    grid = with_grid({"linear": {"alpha": [1, 10, 1e5]}})
    _, trials = search(data, target, None, contract("regression"), grid, 1, room=given, metric="r2")
    assert [one.parameters["alpha"] for one in trials[-1].choice.singles] == [1, 10]


class Some(Ridge):
    """A linear model of some of the columns."""

    def __init__(self, start=0, stop=None):
        super().__init__()
        self.start, self.stop = start, stop

    def fit(self, X, y):  # noqa: N803
        return super().fit(X[:, self.start : self.stop], y)

    def predict(self, X):  # noqa: N803
        return super().predict(X[:, self.start : self.stop])


def test_the_members_get_weights_where_these_are_significantly_better(monkeypatch, capsys):
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    # One knows age and heart rate, the other the rest, which explains less.
    own = {"first": Family(None, lambda: Some(0, 2), "scaling", lambda *_: {})}
    own["rest"] = Family(None, lambda: Some(2), "scaling", lambda *_: {})
    made, given = contract("regression"), room(families=own)
    how = with_grid({"first": {}, "rest": {}})
    _, trials = search(*patients(400, "regression"), None, made, how, 1, room=given, metric="r2")
    equal, weighted = trials[-2:]
    assert [one.weight for one in equal.choice.members] == [1, 1]
    assert weighted.score < equal.score
    first, rest = (one.weight for one in weighted.choice.members)
    assert first > 2 * rest > 0
    assert "mean of the best 2 with weights: loss" in capsys.readouterr().err
    # With few rows they may be better by chance.
    _, trials = search(*patients(30, "regression"), None, made, how, 1, room=given, metric="r2")
    assert not any(one.choice.is_weighted for one in trials)


def test_the_best_weights_are_those_of_the_inverse_variances():
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 1, 20_000)
    given = truth + np.array([[1.0], [2.0], [30.0]]) * rng.normal(0, 1, (3, len(truth)))
    found = module.best_weights(given, lambda mean: row_losses(truth, mean, squared=True))
    assert found == pytest.approx([0.8, 0.2, 0.0], abs=0.011)


@given(seed=st.integers(0, 1000), task=st.sampled_from(["absolute", "log"]))
@settings(max_examples=5)
def test_no_weights_are_better_than_the_best(seed, task):
    rng = np.random.default_rng(seed)
    if task == "log":
        truth, given = rng.integers(0, 3, 60), rng.dirichlet([1, 1, 1], (2, 60))
    else:
        truth, given = rng.normal(0, 1, 60), rng.normal(0, 1, (2, 60))
    best = module.best_weights(given, lambda mean: row_losses(truth, mean))
    losses = [
        row_losses(truth, np.average(given, axis=0, weights=weights)).mean()
        for weights in [best, *np.linspace([0, 1], [1, 0], 101)]
    ]
    assert losses[0] <= min(losses) * 1.002


def test_one_model_or_several_alike_have_no_mean():
    assert len(module._best_few([trial("dummy", 0.0), trial("linear", 0.3), trial("linear", 0.4)])) == 1


def test_the_choice_is_a_whole_trial_and_beats_the_dummy(found):
    choice, trials = found
    (chosen,) = [trial for trial in trials if trial.choice == choice]
    assert chosen.state == "complete"
    assert chosen.score < trials[0].score


def trial(family: str, *losses: float) -> Trial:
    return Trial(0, ModelChoice(family=family, parameters={}), losses, "complete")


@pytest.mark.parametrize(
    ("linear", "chosen"),
    [
        ((0.29, 0.29, 0.29), "linear"),
        ((0.2, 0.5, 0.25), "linear"),
        ((0.32, 0.33, 0.32), "random_forest"),
        ((0.5, 0.9, 0.6), "random_forest"),
    ],
)
def test_the_best_is_chosen_unless_a_simple_one_cannot_be_told_from_it(linear, chosen):
    trials = [trial("dummy", 0.0, 0.0, 0.0), trial("random_forest", 0.3, 0.3, 0.3), trial("linear", *linear)]
    trials.append(trial("gradient_boosting", 0.31, 0.3, 0.3))
    assert module._best(trials, FAMILIES).choice.family == chosen


def test_the_same_search_on_one_processor_or_two_finds_the_same(found, monkeypatch):
    data, target = patients(150)
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    assert search(data, target, None, contract(), HOW, 1) == found


@pytest.mark.nightly
def test_another_seed_tries_other_parameters(found):
    data, target = patients(150)
    _, trials = search(data, target, None, contract(), HOW, 2)
    assert [trial.choice for trial in trials] != [trial.choice for trial in found[1]]


@pytest.mark.nightly
def test_hopeless_trials_are_stopped_early_and_never_chosen():
    data, target = patients(150)
    how = HOW.model_copy(update={"trials": 24})
    choice, trials = search(data, target, None, contract(), how, 1)
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned
    assert all(len(trial.losses) < how.folds for trial in pruned)
    assert choice not in [trial.choice for trial in pruned]


@pytest.mark.nightly
def test_the_model_that_stands_is_tried_too_unless_it_is_one_for_other_data():
    data, target = patients(150)
    how = HOW.model_copy(update={"trials": 3})
    stands = ModelChoice(family="linear", parameters={"C": 0.7})
    _, trials = search(data, target, None, contract(), how, 1, stands)
    assert trials[1].choice == stands
    assert len(trials) == 6
    foreign = ModelChoice(family="linear", parameters={"alpha": 0.7})
    assert len(search(data, target, None, contract(), how, 1, foreign)[1]) == 5


def test_a_start_with_the_defaults_of_its_family_is_tried_once(monkeypatch):
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    defaults, given = {"alpha": 1.0}, room(families={"linear": replace(FAMILIES["linear"], defaults={"alpha": 1.0})})
    how, made = HOW.model_copy(update={"trials": 1}), contract("regression")
    for parameters, tried in ((defaults, 1), ({"alpha": 2.0}, 2)):
        start = ModelChoice(family="linear", parameters=parameters)
        _, trials = search(*patients(100, "regression"), None, made, how, 1, start, given)
        assert len([one for one in trials[1:] if not one.choice.members]) == tried


def test_a_start_that_is_a_mean_is_tried_and_is_no_member_of_another(monkeypatch):
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    data, target = patients(100, "regression")
    given = room(families={"linear": FAMILIES["linear"]})
    members = tuple(Member(family="linear", parameters={"alpha": alpha}) for alpha in (1.0, 2.0))
    start = ModelChoice(family="mean", parameters={}, members=members)
    how = HOW.model_copy(update={"trials": 2})
    _, trials = search(data, target, None, contract("regression"), how, 1, start, given)
    assert trials[1].choice == start
    assert {one.family for one in trials[-1].choice.members} == {"linear"}


@pytest.mark.parametrize("few", [{"trials": 4}, {"trials": 6, "seconds": 1}])
def test_a_start_is_tried_though_the_race_may_not_get_to_its_family(monkeypatch, few):
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    ridge = replace(FAMILIES["linear"], defaults={"alpha": 1.0})
    start = ModelChoice(family="last", parameters={"alpha": 1.0})
    # Options of the best model take two of the trials.
    monkeypatch.setattr(module, "options_for", lambda *_: [{"alpha": 2.0}, {"alpha": 3.0}])
    moments, how = iter(range(1000)), HOW.model_copy(update={"batch": 1, **few})
    given = room(families={"first": ridge, "second": ridge, "last": ridge})
    data, target = patients(100, "regression")
    _, trials = search(data, target, None, contract("regression"), how, 1, start, given, lambda: next(moments))
    assert start in [one.choice for one in trials]


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_other_tasks_are_searched_too(task):
    data, target = patients(150, task)
    choice, trials = search(data, target, None, contract(task), HOW.model_copy(update={"trials": 3}), 1)
    assert choice.family != "dummy"
    assert len(trials) == 5


def test_the_table_has_a_line_a_trial_and_the_best_so_far():
    losses = [(0.7,), (0.4, 0.6), (0.9,), (0.1, 0.3)]
    states = ["complete", "complete", "pruned", "complete"]
    trials = [
        Trial(i, ModelChoice(family="linear", parameters={"C": 0.5}), loss, state)
        for i, (loss, state) in enumerate(zip(losses, states, strict=True))
    ]
    rows = list(csv.DictReader(io.StringIO(HEADER + as_csv(trials))))
    assert [row["best"] for row in rows] == ["0.7", "0.5", "0.5", "0.2"]
    assert [row["state"] for row in rows] == states
    assert json.loads(rows[0]["parameters"]) == {"C": 0.5}
    members = (
        Member(family="linear", parameters={"C": 0.5}, weight=0.3),
        Member(family="own", parameters={}, weight=0.7),
    )
    mean = Trial(9, ModelChoice(family="mean", parameters={}, members=members), (0.1,), "complete")
    (row,) = csv.DictReader(io.StringIO(HEADER + as_csv([mean])))
    assert json.loads(row["parameters"]) == [
        {"family": "linear", "parameters": {"C": 0.5}, "weight": 0.3},
        {"family": "own", "parameters": {}, "weight": 0.7},
    ]


@given(seed=st.integers(0, 1000), task=st.sampled_from(["binary", "regression"]))
def test_folds_keep_a_group_on_one_side(seed, task):
    made = contract(task, split={"by": "group", "column": "street"})
    data, target = patients(200, task, seed)
    for seen, unseen in folds(target, data["street"], made, 4, seed):
        assert not set(data["street"][seen]) & set(data["street"][unseen])


@given(seed=st.integers(0, 1000))
def test_folds_of_a_split_by_time_learn_from_the_past(seed):
    made = contract(split={"by": "time", "column": "admitted"})
    data, target = patients(200, seed=seed)
    for seen, unseen in folds(target, data["admitted"], made, 4, seed):
        assert data["admitted"][seen].max() <= data["admitted"][unseen].min()


def test_folds_over_time_learn_from_most_rows_and_judge_on_the_last_quarter():
    made = contract(split={"by": "time", "column": "admitted"})
    data, target = patients(400)
    parts = folds(target, data["admitted"], made, 4, 1)
    assert [len(seen) for seen, _ in parts] == [300, 325, 350, 375]
    assert [len(unseen) for _, unseen in parts] == [25] * 4


@given(seed=st.integers(0, 1000), task=st.sampled_from(["binary", "multiclass", "regression"]))
def test_folds_show_each_row_unseen_once(seed, task):
    _, target = patients(100, task, seed)
    unseen = np.concatenate([held_out for _, held_out in folds(target, None, contract(task), 5, seed)])
    assert sorted(unseen) == list(range(100))


@given(seed=st.integers(0, 1000), task=st.sampled_from(["binary", "multiclass", "regression"]))
def test_folds_keep_rows_that_repeat_each_other_on_one_side(seed, task):
    _, target = patients(100, task, seed)
    keys = np.random.default_rng(seed).integers(0, 60, 100).astype(np.uint64)
    parts = folds(target, keys, contract(task), 2, seed)
    assert sorted(np.concatenate([unseen for _, unseen in parts])) == list(range(100))
    assert all(not set(keys[seen]) & set(keys[unseen]) for seen, unseen in parts)


@pytest.mark.parametrize("times", [3, 12, 30])
def test_folds_over_few_times_cut_between_them(times):
    made = contract(split={"by": "time", "column": "admitted"})
    months = np.random.default_rng(1).permutation(np.repeat(np.arange(times), 60))
    parts = folds(np.arange(len(months)) % 2, months, made, 4, 1)
    assert parts
    assert all(months[seen].max() < months[unseen].min() for seen, unseen in parts)


class Fails(Ridge):
    """A model that cannot be fitted if it is regularised much, and else predicts infinities."""

    def fit(self, X, y):  # noqa: N803
        """Fail, or fit."""
        if self.alpha > 1:
            raise FloatingPointError("overflow in fit")
        return super().fit(X, y)

    def predict(self, X):  # noqa: N803
        """Predict infinities."""
        return np.full(len(X), np.inf)


FAILS = Family(None, Fails, "scaling", FAMILIES["linear"].space)


def test_a_trial_that_fails_or_overflows_is_a_bad_trial_and_not_the_end(monkeypatch):
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    data, target = patients(150, "regression")
    given = room(families={"fails": FAILS, "linear": FAMILIES["linear"]})
    choice, trials = search(data, target, None, contract("regression"), HOW, 1, room=given)
    assert choice.family == "linear"
    assert {trial.state for trial in trials if trial.choice.family == "fails"} == {"failed"}


class Overflows(LogisticRegression):
    """A classifier whose answers are not probabilities."""

    change = None

    def predict_proba(self, X):  # noqa: N803
        """Answer what `change` makes of the probabilities."""
        return type(self).change(super().predict_proba(X))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda given: np.where(np.arange(len(given))[:, None] < 2, np.inf, given), "no finite score for 2 of 75 rows"),
        (lambda given: np.where(np.arange(len(given))[:, None] < 3, np.nan, given), "no finite score for 3 of 75 rows"),
        (lambda given: 1000 * given, "probabilities that are negative, or do not add up to 1"),
        (lambda given: given + np.array([[0.5, -0.5]]), "probabilities that are negative, or do not add up to 1"),
    ],
)
def test_answers_that_are_not_probabilities_are_a_failed_trial(monkeypatch, capsys, change, said):
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    monkeypatch.setattr(Overflows, "change", staticmethod(change))
    data, target = patients(150)
    own = Family(Overflows, None, "scaling", FAMILIES["linear"].space)
    how = HOW.model_copy(update={"trials": 2})
    given = room(families={"own": own, "linear": FAMILIES["linear"]})
    choice, _ = search(data, target, None, contract(), how, 1, room=given)
    assert choice.family == "linear"
    assert f"a trial of own failed: it gives {said}" in capsys.readouterr().err


def test_rounding_below_0_is_still_a_probability():
    module._require_scores(np.array([[1, -1e-17], [0.5, 0.5]]), "binary")


def test_a_derived_feature_that_fails_ends_the_search_at_once(capsys):
    data, target = patients(50)
    wrong = Derived("wrong", lambda columns: columns["nothing"], source="age")
    with pytest.raises(InputError, match="derived feature 'wrong' raised KeyError"):
        search(data, target, None, contract(), HOW, 1, room=room(derived=(wrong,)))
    assert not capsys.readouterr().err


class UnhappyError(Exception):
    """An error that only its library knows."""


def test_an_error_of_a_kind_of_its_own_is_a_failed_trial(monkeypatch, capsys):
    def fail(self, rows, target):
        raise UnhappyError("too few bins")

    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    monkeypatch.setattr(Fails, "fit", fail)
    data, target = patients(150, "regression")
    given = room(families={"fails": FAILS, "linear": FAMILIES["linear"]})
    how = HOW.model_copy(update={"trials": 4})
    choice, _ = search(data, target, None, contract("regression"), how, 1, room=given)
    assert choice.family == "linear"
    assert "a trial of fails failed: params.yaml: the model cannot be fitted on 75 rows: too few bins" in (
        capsys.readouterr().err
    )


def test_a_search_in_which_every_trial_fails_says_so(monkeypatch):
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    data, target = patients(150, "regression")
    with pytest.raises(InputError, match="every trial failed"):
        search(data, target, None, contract("regression"), HOW, 1, room=room(families={"fails": FAILS}))


def test_a_search_in_which_every_trial_fails_ends_when_its_seconds_are_over(monkeypatch, capsys):
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    data, target = patients(150, "regression")
    moments = iter(range(1000))
    how = HOW.model_copy(update={"trials": 60, "seconds": 5})
    own = room(families={"fails": FAILS})
    with pytest.raises(InputError, match="every trial failed"):
        search(data, target, None, contract("regression"), how, 1, room=own, clock=lambda: next(moments))
    assert "tune.seconds (5) are over after 3 of 60 trials" in capsys.readouterr().err


GRID = {"linear": {"C": [0.1, 1]}, "gradient_boosting": {"learning_rate": [0.1, 0.3], "max_iter": [25]}}


def with_grid(grid, **changes):
    return Tune(**{**HOW.model_dump(), "method": "grid", "grid": grid} | changes)


def test_a_grid_is_tried_whole(monkeypatch, capsys):
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    data, target = patients(150)
    choice, trials = search(data, target, None, contract(), with_grid(GRID), 1)
    tried = [(one.choice.family, one.choice.parameters) for one in trials[1:-1]]
    assert tried == [
        ("linear", {"C": 0.1}),
        ("linear", {"C": 1}),
        ("gradient_boosting", {"learning_rate": 0.1, "max_iter": 25}),
        ("gradient_boosting", {"learning_rate": 0.3, "max_iter": 25}),
    ]
    assert {trial.state for trial in trials} == {"complete"}
    assert choice in [trial.choice for trial in trials[1:]]
    assert "the search ends: all 4 trials of tune.grid are made" in capsys.readouterr().err


def test_a_race_that_made_all_trials_does_not_say_that_more_hardly_help(monkeypatch, capsys):
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    monkeypatch.setattr(module, "_helped_little", lambda *_: True)
    given, rows = room(families={"linear": FAMILIES["linear"]}), patients(60, "regression")
    for trials, said in ((2, "all trials are made"), (3, "more trials than 2 of 3 hardly help")):
        search(
            *rows, None, contract("regression"), HOW.model_copy(update={"trials": trials, "batch": 2}), 1, room=given
        )
        assert said in capsys.readouterr().err


def test_a_grid_that_is_not_used_is_named(monkeypatch, capsys):
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    given, how = room(families={"linear": FAMILIES["linear"]}), with_grid({"linear": {"alpha": [5]}}, trials=1)
    for method, is_said in (("race", True), ("grid", False)):
        rows = patients(60, "regression")
        search(*rows, None, contract("regression"), how.model_copy(update={"method": method}), 1, room=given)
        assert ("tune.grid is not used, since tune.method is race" in capsys.readouterr().err) == is_said


def test_a_grid_without_rounds_takes_them_from_the_folds(monkeypatch):
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    data, target = patients(150)
    grid = with_grid({"gradient_boosting": {"learning_rate": [0.3]}})
    _, trials = search(data, target, None, contract(), grid, 1)
    assert trials[1].choice.parameters["max_iter"] % (2 * ROUNDS_PER_STEP) == 0


@pytest.mark.parametrize(
    ("grid", "changes", "said"),
    [
        ({"lineal": {"C": [1]}}, {}, r"tune\.grid: unknown family 'lineal'; did you mean 'linear'\?"),
        ({"linear": {"c": [1]}}, {}, r"tune\.grid\.linear: unknown 'c'.*C[^`]*$"),
        ({"linear": {"C": [1, -1]}}, {}, r"tune\.grid\.linear: The 'C' parameter"),
        ({"linear": {"C": [1, 2, 3]}}, {"trials": 2}, r"tune\.grid has 3 combinations, but tune\.trials allows 2"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused_before_any_trial(grid, changes, said, capsys):
    with pytest.raises(InputError, match=said):
        search(*patients(50), None, contract(), with_grid(grid, **changes), 1)
    assert not capsys.readouterr().err


def test_a_grid_of_a_million_combinations_is_refused_before_one_is_made(monkeypatch):
    monkeypatch.setattr(module, "build", lambda *_, **__: pytest.fail("one was made"))
    grid = {"linear": {"C": [*range(1, 1001)], "tol": [*range(1, 1001)]}}
    with pytest.raises(InputError, match=r"tune\.grid has 1000000 combinations"):
        search(*patients(50), None, contract(), with_grid(grid), 1)


@pytest.mark.parametrize(
    ("grid", "said"), [({}, "`method: grid` needs `grid`"), ({"linear": {"C": []}}, "at least 1 item")]
)
def test_a_grid_without_values_is_refused(grid, said):
    with pytest.raises(ValidationError, match=said):
        with_grid(grid)


def test_a_class_with_fewer_rows_than_folds_is_named():
    target = np.array([0] * 20 + [1] * 2)
    with pytest.raises(InputError, match=r"tune\.folds is 3, but class 'sick' has only 2 training rows"):
        folds(target, None, contract(), 3, 1)


def test_a_search_over_time_is_run_whole():
    made = contract(split={"by": "time", "column": "admitted"})
    data, target = patients(150)
    choice, _ = search(data, target, data["admitted"], made, HOW.model_copy(update={"trials": 3}), 1)
    assert choice.family != "dummy"


@pytest.mark.parametrize("family", ["gradient_boosting", "lightgbm", "linear", "random_forest", "additive"])
@pytest.mark.parametrize("only", [0, 1])
def test_on_a_fold_with_training_rows_of_one_class_each_family_is_as_good_as_the_dummy(family, only):
    data, target = patients(300)
    fold = (np.flatnonzero(target[:200] == only), np.arange(200, 300))
    (dummy,), wanted = module._curve(module.DUMMY, data, target, contract(), fold, 1, room())
    losses, given = module._curve(ModelChoice(family=family, parameters={}), data, target, contract(), fold, 1, room())
    np.testing.assert_array_equal(given, wanted)
    assert set(losses) == {dummy}
    # The other folds alone say how many rounds are best.
    most = MOST_ROUNDS // ROUNDS_PER_STEP
    assert len(losses) == (most if FAMILIES[family].rounds else 1)


@pytest.mark.parametrize("error", [ImportError("no module own"), ValueError("libown.so\nis not found")])
def test_a_search_whose_families_all_lack_their_library_ends_in_one_line(error, capsys):
    def factory():
        raise error

    given = room(families={"own": Family(factory, None, "nothing", lambda *_: {})})
    said = " ".join(str(error).split())
    with pytest.raises(InputError, match="no family in FAMILIES can be tried"):
        search(*patients(150), None, contract(), HOW, 1, room=given)
    assert f"own is not tried, since its estimator cannot be made: {said}" in capsys.readouterr().err


def test_on_one_fold_no_simple_model_is_preferred_and_nothing_is_warned_of(recwarn):
    known = {"linear": 0.5, "random_forest": 0.49}
    made = [
        Trial(n, ModelChoice(family=name, parameters={}), (loss,), "complete")
        for n, (name, loss) in enumerate(known.items(), 1)
    ]
    dummy = Trial(0, module.DUMMY, (1.0,), "complete")
    assert module._best([dummy, *made], FAMILIES).choice.family == "random_forest"
    assert not list(recwarn)


def test_a_search_in_which_only_the_present_mean_can_be_fitted_keeps_it(monkeypatch, capsys):
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    own = Family(LogisticRegression, None, "scaling", lambda *_: {"C": -1.0})
    members = tuple(Member(family="own", parameters={"C": number}) for number in (1.0, 2.0))
    start = ModelChoice(family="mean", parameters={}, members=members)
    choice, _ = search(*patients(150), None, contract(), HOW, 1, start, room(families={"own": own}))
    assert choice == start
    assert "the search ends: no family is left to try" in capsys.readouterr().err


def test_parameters_that_a_family_does_not_know_fail_a_trial_and_not_the_search(monkeypatch, capsys):
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    own = Family(LogisticRegression, None, "scaling", lambda *_: {"nonsense": 1})
    given = room(families={"own": own, "linear": FAMILIES["linear"]})
    choice, _ = search(*patients(150), None, contract(), HOW, 1, room=given)
    assert {one.family for one in choice.singles or [choice]} == {"linear"}
    assert "a trial of own failed" in capsys.readouterr().err


def test_the_scores_of_the_best_few_alone_are_kept(monkeypatch):
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    kept, rows_of_mean = [], module._Search._rows_of_mean

    def note(made, few, weights):
        kept.append((few, made.runners))
        return rows_of_mean(made, few, weights)

    monkeypatch.setattr(module._Search, "_rows_of_mean", note)
    search(*patients(150), None, contract(), HOW, 1, room=room(families={"linear": FAMILIES["linear"]}))
    few, runners = kept[-1]
    assert {n for n, one in enumerate(runners) if one.scores} == {trial.number for trial in few}


def test_each_family_of_assay_has_defaults_within_its_space():
    for family in FAMILIES.values():
        study = module._study(1, family)
        trial = study.ask()
        task = "binary" if family.classifier else "regression"
        assert family.space(trial, task).items() <= dict(family.defaults).items()
