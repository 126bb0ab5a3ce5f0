"""The trained model predicts every valid row, and meets the expectations in src/model/expectations.py."""

import numpy as np
import pytest
from assay.testing import load_project
from hypothesis import given
from hypothesis import strategies as st

project = load_project()
some_rows = st.lists(project.rows(), min_size=1, max_size=5)


@given(rows=some_rows)
def test_every_row_gets_a_finite_answer(rows):
    scores = project.scores(rows)
    assert len(scores) == len(rows)
    assert np.isfinite(scores).all()


@pytest.mark.skipif(not project.contract.classes, reason="regression has no probabilities")
@given(rows=some_rows)
def test_probabilities_are_probabilities(rows):
    scores = project.scores(rows)
    assert scores.shape == (len(rows), len(project.contract.classes))
    assert ((scores >= 0) & (scores <= 1)).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1)


# The gate `expectations` tries each of them on many more rows.
@pytest.mark.parametrize("expectation", project.room.expectations, ids=lambda expectation: expectation.name)
def test_what_is_expected_of_the_model_holds(expectation):
    result = project.check_expectation(expectation)
    assert result.held, result.reason


def test_what_is_served_answers_as_the_trained_pipeline():
    rows = project.data_rows()
    np.testing.assert_allclose(project.served_scores(rows), project.scores(rows), rtol=0, atol=project.tolerance)


@given(rows=some_rows)
def test_what_is_served_answers_any_row_and_each_by_itself(rows):
    together = project.served_scores(rows)
    assert np.isfinite(together).all()
    for place, row in enumerate(rows):
        np.testing.assert_allclose(project.served_scores([row])[0], together[place], rtol=1e-5, atol=project.tolerance)
