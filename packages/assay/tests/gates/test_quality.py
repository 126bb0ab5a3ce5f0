from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.evaluation.metrics import BINARY, Metric
from assay.gates.comparing import compare_with_limit, non_inferiority
from assay.gates.obstacle import Obstacle, ObstacleKind
from assay.gates.quality import judge
from assay.statistics.bootstrap import Estimate
from judged import ROWS, answers, evidence, params, scores
from patients import contract, patients

TARGET = patients(ROWS)[1]
GOOD, BAD = answers(scores(TARGET, 0.6), TARGET), answers(scores(TARGET, 2.5), TARGET)
AUC = BINARY[0]
LOWER = Metric("loss", False, AUC.compute)


def test_the_champion_itself_passes_and_says_so():
    outcome = judge(evidence(GOOD, GOOD))
    assert outcome.verdict == "PROMOTE"
    assert "identical to the champion's" in outcome.reason


def test_a_model_that_is_worse_is_rejected_with_the_interval():
    limits = params(quality={"floor": 0.5})
    outcome = judge(evidence(BAD, GOOD, params=limits))
    assert outcome.verdict == "REJECT"
    assert "roc auc is worse than the champion's: difference -" in outcome.reason
    found = outcome.measured["champion"]["roc_auc"]
    assert found["low"] < found["value"] < found["high"] < 0


def test_a_better_model_passes():
    assert judge(evidence(GOOD, BAD)).verdict == "PROMOTE"


def test_rows_too_few_to_tell_hold():
    few = TARGET[:40]
    base = scores(few, 1.2)
    moved = np.clip(base[:, 1] + np.random.default_rng(1).normal(0, 0.04, 40), 0.001, 0.999)
    other = np.stack([1 - moved, moved], axis=1)
    limits = params(quality={"floor": 0.1, "margin": 0.001})
    outcome = judge(evidence(answers(other, few), answers(base, few), params=limits))
    assert outcome.verdict == "HOLD"
    assert "inconclusive: non-inferiority to the champion not shown" in outcome.reason


def test_a_model_below_the_floor_is_rejected_and_one_near_it_held():
    for floor, verdict in ((0.5, "PROMOTE"), (0.9999, "REJECT")):
        assert judge(evidence(BAD, BAD, params=params(quality={"floor": floor}))).verdict == verdict
    value = judge(evidence(BAD, BAD)).measured["metrics"]["roc_auc"]["value"]
    assert judge(evidence(BAD, BAD, params=params(quality={"floor": value}))).verdict == "HOLD"


def test_a_model_no_better_than_one_that_looks_at_nothing_is_stopped():
    chance = answers(scores(np.random.default_rng(0).permutation(TARGET), 1.0), TARGET)
    outcome = judge(evidence(chance, chance, params=params(quality={"floor": 0.0})))
    assert outcome.verdict in ("HOLD", "REJECT")
    assert "the dummy baseline of" in outcome.reason


def test_without_a_champion_floor_and_dummy_decide():
    outcome = judge(evidence(GOOD, None))
    assert outcome.verdict == "PROMOTE"
    assert outcome.measured["champion"]["verdict"] == "SKIP"
    assert judge(evidence(GOOD, None, params=params(quality={"floor": 0.99999}))).verdict != "PROMOTE"


def test_a_champion_that_cannot_be_compared_with_holds_and_asks_for_a_person():
    changed = Obstacle(kind=ObstacleKind.INCOMPARABLE, text="the target changed from a to b")
    outcome = judge(evidence(GOOD, None, obstacle=changed))
    assert outcome.verdict == "HOLD"
    assert "the target changed from a to b; needs the model owner's approval" in outcome.reason


def test_a_metric_that_does_not_exist_holds():
    assert judge(evidence(GOOD, GOOD, params=params(quality={"metric": "auroc"}))).verdict == "HOLD"


@pytest.mark.parametrize("where", ["test", "dummy"])
def test_a_metric_that_is_gone_from_the_results_holds(where):
    made = evidence(GOOD, GOOD)
    made.metrics[where].pop("roc_auc")
    outcome = judge(made)
    assert outcome.verdict == "HOLD"
    assert "metrics.json lacks roc_auc" in outcome.reason


def test_results_that_are_not_the_models_hold():
    made = evidence(GOOD, GOOD)
    made.metrics["test"]["brier"]["value"] -= 0.01
    outcome = judge(made)
    assert outcome.verdict == "HOLD"
    assert "metrics.json gives brier as" in outcome.reason


def test_the_cost_of_a_decision_is_told_beside_the_metric():
    spec = contract(costs={"false_positive": 1, "false_negative": 5, "unit": "night on the ward"})
    pair = [answers(scores(TARGET, noise), TARGET) for noise in (0.6, 0.7)]
    priced = [replace(made, test=replace(made.test, costs=spec.costs)) for made in pair]
    made = evidence(*priced, spec=spec)
    cost = judge(made).measured["cost"]
    assert cost["verdict"] == "PROMOTE"
    assert "night on the ward" in cost["reason"]


def test_decisions_that_are_surely_dearer_are_rejected_though_the_ranks_are_the_same():
    spec = contract(costs={"false_positive": 1, "false_negative": 5})
    rows = replace(GOOD.test, costs=spec.costs)
    never = replace(GOOD, test=replace(rows, decision=np.zeros_like(rows.decision)))
    made = evidence(never, replace(GOOD, test=rows), spec=spec)
    outcome = judge(made)
    assert outcome.verdict == "REJECT"
    assert outcome.reason.startswith("cost per decision changes by +")


def test_what_the_change_makes_of_the_dummy_does_not_loosen_the_margin_of_the_cost():
    spec = contract(costs={"false_positive": 1, "false_negative": 5})
    rows = replace(GOOD.test, costs=spec.costs)
    never = replace(GOOD, test=replace(rows, decision=np.zeros_like(rows.decision)))
    made = evidence(never, replace(GOOD, test=rows), spec=spec)
    made.metrics["dummy"]["cost"] = 1000.0
    assert judge(made).measured["cost"]["verdict"] == "REJECT"


intervals = st.tuples(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1)).map(
    lambda drawn: Estimate(drawn[0], drawn[0] - drawn[1] - 1e-9, drawn[0] + drawn[2] + 1e-9)
)


@given(found=intervals, margin=st.floats(0, 1))
def test_what_is_better_the_one_way_is_worse_the_other(found, margin):
    mirrored = Estimate(-found.value, -found.high, -found.low)
    assert non_inferiority(found, AUC, margin, 0.95).verdict == non_inferiority(mirrored, LOWER, margin, 0.95).verdict


@given(found=intervals, margin=st.floats(0, 1), more=st.floats(0, 1))
def test_a_wider_margin_never_judges_harder(found, margin, more):
    order = ["REJECT", "HOLD", "PROMOTE"]
    strict, lenient = (order.index(non_inferiority(found, AUC, m, 0.95).verdict) for m in (margin, margin + more))
    # What is surely worse stays so until the margin covers it.
    assert lenient >= strict


@given(found=intervals, margin=st.floats(0, 1))
def test_only_what_is_surely_within_the_margin_passes_and_only_what_is_surely_worse_is_rejected(found, margin):
    verdict = non_inferiority(found, AUC, margin, 0.95).verdict
    assert (verdict == "PROMOTE") == (found.low >= -margin)
    if verdict == "REJECT":
        assert found.high < 0


@given(found=intervals, limit=st.floats(-2, 2))
def test_a_limit_is_passed_kept_or_in_doubt(found, limit):
    verdict, _ = compare_with_limit(found, limit, higher_is_better=True)
    assert (verdict == "PROMOTE") == (found.low >= limit)
    assert (verdict == "REJECT") == (found.high < limit)


@pytest.mark.nightly
@settings(max_examples=10)
@given(seed=st.integers(0, 1000))
def test_an_equally_good_model_is_rarely_stopped(seed):
    rng = np.random.default_rng(seed)
    target = (rng.random(400) < 0.4).astype(int)
    base = scores(target, 0.7, seed)
    near = np.clip(base[:, 1] + rng.normal(0, 0.01, 400), 1e-6, 1 - 1e-6)
    other = answers(np.stack([1 - near, near], axis=1), target)
    assert judge(evidence(other, answers(base, target), params=params(quality={"floor": 0.5}))).verdict == "PROMOTE"
