"""The service over HTTP: valid rows get predictions, all others are refused with the reason."""

import math

import pytest
from assay.testing import load_project
from hypothesis import given
from hypothesis import strategies as st

project = load_project()


def assert_well_formed(prediction):
    assert prediction["prediction_id"]
    if not project.contract.classes:
        assert math.isfinite(prediction["prediction"])
        return
    assert prediction["prediction"] in project.contract.classes
    assert prediction["decision"] in project.contract.classes
    assert set(prediction["probabilities"]) == set(project.contract.classes)
    assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_it_is_ready_and_says_which_model_it_serves(service):
    assert service.get("/readyz").status_code == 200
    about = service.post("/model", json={}).json()
    assert about["name"] == project.contract.name


@given(rows=st.lists(project.rows(), min_size=1, max_size=5))
def test_rows_that_the_contract_allows_are_answered(service, rows):
    answer = service.post("/predict", json=project.request(rows))
    assert answer.status_code == 200, answer.text
    predictions = answer.json()["predictions"]
    assert len(predictions) == len(rows)
    for prediction in predictions:
        assert_well_formed(prediction)


@given(good=project.rows(), broken=project.broken_requests())
def test_a_row_that_breaks_the_contract_is_refused_by_row_and_column(service, good, broken):
    row, column = broken
    rows = [*project.request([good])["rows"], row]
    answer = service.post("/predict", json={"rows": rows})
    assert answer.status_code in (400, 422), answer.text
    assert "row 1" in answer.text
    assert column in answer.text


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"rows": []}', '{"rows": [{}]}', '{"rows": [{"no such column": 1}]}']
)
def test_a_body_that_is_not_a_request_is_refused(service, body):
    answer = service.post("/predict", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
