import numpy as np
import pytest

from assay.init.expected import clear_cases, expectations_text
from patients import contract, patients


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_each_class_has_a_row_that_was_answered_surely_and_rightly(task):
    made = contract(task)
    data, target = patients(100, task)
    scores = np.eye(len(made.classes))[target] * 0.9 + 0.05
    cases = clear_cases(data, target, scores, made)
    assert [expected for _, _, expected in cases] == list(made.classes)
    assert all(list(row) == list(made.features) for _, row, _ in cases)


def test_what_the_model_is_unsure_or_wrong_about_is_not_expected():
    data, target = patients(100)
    assert not clear_cases(data, target, np.full((100, 2), 0.5), contract())
    assert not clear_cases(data, target, np.eye(2)[1 - target], contract())


def test_of_numbers_a_low_and_a_high_case_are_expected_with_room():
    data, target = patients(100, "regression")
    low, high = clear_cases(data, target, target, contract("regression"))
    assert low[2][0] < low[2][1] < high[2][1]


def test_the_text_holds_the_cases_as_python_reads_them():
    data, target = patients(100)
    cases = clear_cases(data, target, np.eye(2)[target], contract())
    said = []
    body = expectations_text(cases).replace("from assay.properties.expectations import Expectation, answers", "")
    exec(body.replace(": list[Expectation]", ""), {"answers": lambda row, label, name: said.append((name, row, label))})  # noqa: S102
    assert said == cases
