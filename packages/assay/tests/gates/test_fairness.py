import numpy as np
import pytest

from assay.base.outcomes import Outcome
from assay.contract.spec import Contract
from assay.gates.fairness import beside_champion, judge
from judged import ROWS, answers, evidence, params, scores, table
from patients import contract, patients

DATA, TARGET = patients(ROWS)
BASE = scores(TARGET, 0.5)
SPEC = contract(sensitive=["smoker", "ward"])
LOOSE = params(fairness={"difference": 0.9, "margin": 0.1})


def test_without_a_sensitive_column_there_is_nothing_to_judge():
    outcome = judge(evidence(answers(BASE, TARGET), None))
    assert outcome.verdict == "SKIP"
    assert "names no sensitive column" in outcome.reason


def test_a_group_that_is_treated_otherwise_is_rejected_by_name():
    smoker = DATA["smoker"] == 1
    unfair = np.eye(2)[np.where(smoker, 1, TARGET)]
    outcome = judge(evidence(answers(unfair, TARGET), None, spec=SPEC))
    assert outcome.verdict == "REJECT"
    assert "by smoker differ by" in outcome.reason


def test_a_group_that_falls_behind_the_champion_is_rejected_below_the_limit():
    smoker = DATA["smoker"] == 1
    unfair = np.eye(2)[np.where(smoker, 1 - TARGET, TARGET)]
    outcome = judge(evidence(answers(unfair, TARGET), answers(BASE, TARGET), spec=SPEC, params=LOOSE))
    assert outcome.verdict == "REJECT"
    assert "worse than the champion's" in outcome.reason


def test_the_champion_itself_passes_below_the_limit():
    outcome = judge(evidence(answers(BASE, TARGET), answers(BASE, TARGET), spec=SPEC, params=LOOSE))
    assert outcome.verdict == "PROMOTE"
    assert set(outcome.measured["columns"]) == {"smoker", "ward"}


MANY = 4000
CROWD, TRUTH = patients(MANY, seed=4)
CROWD_ROWS = table(MANY, seed=4)
SURE = scores(TRUTH, 0.8)
STREETS = contract(sensitive=["street", "smoker", "ward"])
NARROW = params(fairness={"difference": 1.0, "margin": 0.05})


def beside(changed: np.ndarray, spec: Contract = STREETS) -> Outcome:
    """Return the outcome for a candidate that predicts other labels than the champion for some rows."""
    other = np.where(changed[:, None], SURE[:, ::-1], SURE)
    made = evidence(answers(other, TRUTH), answers(SURE, TRUTH), spec=spec, rows=CROWD_ROWS, params=NARROW)
    return beside_champion(
        made, made.champion_predictions.test, {name: CROWD[name].astype(str) for name in spec.sensitive}
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_change_that_harms_no_group_is_promoted_however_many_and_small_the_groups(seed):
    changed = np.random.default_rng(seed).random(MANY) < 0.02
    outcome = beside(changed)
    assert outcome.verdict == "PROMOTE"
    assert outcome.measured["compared"] > 20


def test_no_changed_decision_is_no_difference():
    assert "no decision about a group is different" in beside(np.zeros(MANY, dtype=bool)).reason


@pytest.mark.parametrize("group", ["north", "west"])
def test_a_group_that_is_decided_otherwise_is_found_among_many(group):
    changed = (CROWD["ward"] == group) & (TRUTH == 1) & (np.arange(MANY) % 3 == 0)
    outcome = beside(changed)
    assert outcome.verdict == "REJECT"
    assert f"ward {group}" in outcome.reason
    assert "corrected for" in outcome.reason


def test_groups_with_too_few_rows_to_tell_are_named_once():
    changed = np.random.default_rng(1).random(MANY) < 0.2
    reason = beside(changed).reason
    assert reason.count("too few rows to tell") == 1
    assert "street" in reason


def missing_in_the_west(share: float) -> np.ndarray:
    """Return predictions that miss a share of the positives of the west, and are right otherwise."""
    decided = TRUTH.copy()
    positives = np.flatnonzero((CROWD["ward"] == "west") & (TRUTH == 1))
    decided[positives[: round(share * len(positives))]] = 0
    return np.eye(2)[decided]


BY_WARD = {"spec": contract(sensitive=["ward"]), "rows": CROWD_ROWS}
PERHAPS_ABOVE = params(fairness={"difference": 0.39, "margin": 1.0})


def test_a_difference_that_is_perhaps_above_the_limit_holds_without_a_champion():
    candidate = answers(missing_in_the_west(0.4), TRUTH)
    assert judge(evidence(candidate, None, **BY_WARD, params=PERHAPS_ABOVE)).verdict == "HOLD"


@pytest.mark.parametrize(("share", "verdict"), [(0.4, "PROMOTE"), (0.401, "PROMOTE"), (0.41, "HOLD"), (0.7, "REJECT")])
def test_a_difference_that_is_perhaps_above_the_limit_holds_if_it_is_larger_than_the_champion_s(share, verdict):
    champion, candidate = (answers(missing_in_the_west(missed), TRUTH) for missed in (0.4, share))
    assert judge(evidence(candidate, champion, **BY_WARD, params=PERHAPS_ABOVE)).verdict == verdict


def test_a_rate_of_few_rows_of_a_group_is_no_difference():
    # Of the west only three rows are positive, and all of them are missed.
    keep = ~((CROWD["ward"] == "west") & (TRUTH == 1)) | (np.cumsum((CROWD["ward"] == "west") & (TRUTH == 1)) <= 3)
    decided = np.where(CROWD["ward"] == "west", 0, TRUTH)
    rows = CROWD_ROWS.filter(keep)
    made = evidence(
        answers(np.eye(2)[decided[keep]], TRUTH[keep]),
        None,
        spec=contract(sensitive=["ward"]),
        rows=rows,
        params=params(fairness={"difference": 0.1, "margin": 0.05}),
    )
    outcome = judge(made)
    assert outcome.measured["columns"]["ward"]["groups"]["west"]["true_positive_rate"] == 0
    assert outcome.measured["columns"]["ward"]["difference"]["true_positive_rate"] < 0.1
    assert "true positive rates" not in outcome.reason


def test_rates_that_too_few_rows_count_for_are_named():
    keep = (TRUTH == 0) | (CROWD["ward"] == "west")
    given = answers(np.eye(2)[TRUTH[keep]], TRUTH[keep])
    rows, spec = CROWD_ROWS.filter(keep), contract(sensitive=["ward"])
    reason = judge(evidence(given, None, spec=spec, rows=rows, params=params(fairness={"difference": 1.0}))).reason
    assert reason.endswith(
        "not judged, since fewer than two groups have 30 rows that count: true positive rates by ward"
    )


def test_groups_too_small_to_compare_hold():
    few = evidence(answers(BASE[:20], TARGET[:20]), None, spec=contract(sensitive=["street"]))
    assert judge(few).verdict == "HOLD"


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_other_tasks_have_their_own_rates(task):
    spec = contract(task, sensitive=["ward"])
    target = patients(ROWS, task)[1]
    west = DATA["ward"] == "west"
    right = target if task == "regression" else np.eye(3)[target]
    off = (
        target + 5.0 * west * target.std()
        if task == "regression"
        else np.eye(3)[np.where(west, (target + 1) % 3, target)]
    )
    fair = judge(evidence(answers(right, target), None, spec=spec, rows=table(task=task)))
    unfair = judge(evidence(answers(off, target), None, spec=spec, rows=table(task=task)))
    assert (fair.verdict, unfair.verdict) == ("PROMOTE", "REJECT")
