import numpy as np
import pytest

from assay.gates.dominance import judge
from judged import ROWS, answers, evidence, scores
from patients import contract, patients

DATA, TARGET = patients(ROWS)
BASE = scores(TARGET, 0.5)


def certain(labels: np.ndarray):
    return answers(np.eye(2)[labels], TARGET)


def test_a_good_model_passes():
    assert judge(evidence(answers(BASE, TARGET), None)).verdict == "PROMOTE"


@pytest.mark.parametrize("label", [0, 1])
def test_one_label_for_everything_is_rejected(label):
    outcome = judge(evidence(certain(np.full(ROWS, label)), None))
    assert outcome.verdict == "REJECT"
    assert "is predicted for 100.0% of all rows" in outcome.reason


def test_of_all_rows_is_told_before_any_part_of_them():
    spec = contract(slices=[{"column": "ward"}])
    target = np.where(DATA["ward"] == "west", 0, TARGET)
    outcome = judge(evidence(answers(np.eye(2)[np.ones(ROWS, dtype=int)], target), None, spec=spec))
    assert outcome.measured["over"] > 1
    assert "is predicted for 100.0% of all rows" in outcome.reason


def test_one_label_for_a_whole_slice_is_rejected():
    spec = contract(slices=[{"column": "ward"}])
    west = DATA["ward"] == "west"
    outcome = judge(evidence(certain(np.where(west, 0, TARGET)), None, spec=spec))
    assert outcome.verdict == "REJECT"
    assert "ward is west" in outcome.reason


def test_a_label_that_nearly_all_truly_have_may_be_answered_for_all():
    target = np.zeros(ROWS, dtype=int)
    target[:4] = 1
    everything = answers(np.eye(2)[np.zeros(ROWS, dtype=int)], target)
    assert judge(evidence(everything, None)).verdict == "PROMOTE"


def test_numbers_have_no_labels():
    numbers = patients(ROWS, "regression")[1]
    outcome = judge(evidence(answers(numbers, numbers), None, spec=contract("regression")))
    assert outcome.verdict == "SKIP"
