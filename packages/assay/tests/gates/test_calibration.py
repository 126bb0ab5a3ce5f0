import numpy as np
import pytest

from assay.gates.calibration import judge
from judged import ROWS, answers, evidence, params, scores
from patients import contract, patients

TARGET = patients(ROWS)[1]
BASE = scores(TARGET, 0.9)
NUMBERS = patients(ROWS, "regression")[1]


def probabilities(positive: np.ndarray) -> np.ndarray:
    return np.stack([1 - positive, positive], axis=1)


def test_the_champion_itself_passes():
    assert judge(evidence(answers(BASE, TARGET), answers(BASE, TARGET))).verdict == "PROMOTE"


def test_probabilities_that_are_far_too_sure_are_rejected():
    chance = scores(TARGET, 2.0)
    sure = probabilities(np.where(chance[:, 1] > 0.5, 0.999, 0.001))
    outcome = judge(evidence(answers(sure, TARGET), answers(chance, TARGET)))
    assert outcome.verdict == "REJECT"
    assert "brier is worse than the champion's" in outcome.reason


def test_an_error_above_the_limit_is_rejected_without_a_champion():
    wrong = probabilities(np.full(ROWS, 0.9))
    outcome = judge(evidence(answers(wrong, TARGET), None))
    assert outcome.verdict == "REJECT"
    assert "calibration error is" in outcome.reason
    assert "below the limit" not in outcome.reason


@pytest.mark.parametrize("seed", range(10))
def test_squared_probabilities_keep_the_order_and_are_stopped(seed):
    made = scores(TARGET, 0.9, seed)
    outcome = judge(evidence(answers(probabilities(made[:, 1] ** 2), TARGET), answers(made, TARGET)))
    assert outcome.verdict in ("HOLD", "REJECT")


def test_a_recalibration_that_is_shown_to_be_better_passes():
    good = scores(TARGET, 0.9)
    squeezed = probabilities(0.3 + 0.4 * good[:, 1])
    assert judge(evidence(answers(good, TARGET), answers(squeezed, TARGET))).verdict == "PROMOTE"
    assert judge(evidence(answers(squeezed, TARGET), answers(good, TARGET))).verdict != "PROMOTE"


def test_a_retrained_model_is_rarely_stopped():
    stopped = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        other = probabilities(np.clip(BASE[:, 1] + rng.normal(0, 0.03, ROWS), 1e-4, 1 - 1e-4))
        stopped += judge(evidence(answers(other, TARGET), answers(BASE, TARGET))).verdict != "PROMOTE"
    assert stopped <= 1


def test_intervals_of_numbers_are_held_to_how_often_they_are_right():
    spec = contract("regression")
    rng = np.random.default_rng(0)
    steady = answers(NUMBERS + rng.normal(0, 1, ROWS), NUMBERS)
    assert judge(evidence(steady, steady, spec=spec)).verdict == "PROMOTE"
    # On the validation rows it looks ten times as good as on the test rows.
    flattering = answers(NUMBERS + rng.normal(0, 0.1, ROWS), NUMBERS)
    drifted = type(steady)(steady.test, steady.perturbed, flattering.validation)
    outcome = judge(evidence(drifted, steady, spec=spec))
    assert outcome.verdict == "REJECT"
    assert "outside their 90% interval" in outcome.reason


def test_without_a_limit_on_the_rows_the_verdict_is_still_one_of_the_champion():
    worse = answers(scores(TARGET, 3.0), TARGET)
    outcome = judge(evidence(worse, answers(BASE, TARGET), params=params(calibration={"error": 1.0})))
    assert outcome.verdict == "REJECT"
