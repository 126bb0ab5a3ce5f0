import numpy as np

from assay.gates.robustness import judge
from judged import ROWS, answers, evidence, params, scores
from patients import contract, patients

TARGET = patients(ROWS)[1]
BASE = scores(TARGET, 0.9)


def perturbed(share: float, seed: int = 0) -> np.ndarray:
    """Return the answers, of which so many are the other one."""
    flipped = np.random.default_rng(seed).random(ROWS) < share
    return np.where(flipped, 1 - BASE.argmax(axis=1), BASE.argmax(axis=1))


def model(share: float):
    return answers(BASE, TARGET, perturbed(share))


def test_few_changed_answers_pass():
    outcome = judge(evidence(model(0.02), model(0.02)))
    assert outcome.verdict == "PROMOTE"
    assert "identical to the champion's" in outcome.reason


def test_many_changed_answers_are_rejected_with_or_without_a_champion():
    for champion in (None, model(0.3)):
        outcome = judge(evidence(model(0.3), champion))
        assert outcome.verdict == "REJECT"
        assert "above the limit of 0.1" in outcome.reason


def test_more_changed_answers_than_the_champions_are_rejected_below_the_limit():
    loose = params(robustness={"changed": 0.9})
    outcome = judge(evidence(model(0.3), model(0.02), params=loose))
    assert outcome.verdict == "REJECT"
    assert "prediction change is worse than the champion's" in outcome.reason


def test_near_the_limit_the_rows_do_not_tell():
    assert judge(evidence(model(0.1), None)).verdict == "HOLD"


def test_numbers_move_in_standard_deviations():
    spec = contract("regression")
    numbers = patients(ROWS, "regression")[1]
    still = answers(numbers, numbers, numbers + 0.01 * numbers.std())
    wild = answers(numbers, numbers, numbers + numbers.std())
    assert judge(evidence(still, still, spec=spec)).verdict == "PROMOTE"
    assert judge(evidence(wild, still, spec=spec)).verdict == "REJECT"
