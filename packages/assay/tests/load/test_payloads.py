import json
from pathlib import Path

import msgspec
import pytest

from assay.contract.request import as_json, request_model
from assay.load.payloads import PAYLOADS, Payload, payloads, problem
from assay.project.params import load_params
from assay.project.settings import PARAMS, write_packed
from assay.properties.counterexample import draw
from assay.properties.strategies import feature_rows
from patients import contract
from places import ROOT

ROW = Payload("/predict, 1 row", b"{}", 1)
TWO = Payload("/predict, 2 rows", b"{}", 2)


@pytest.fixture(scope="module", params=["binary", "regression"])
def made(request, tmp_path_factory) -> tuple[Path, list[Payload]]:
    """A project with a contract and examples, and what is asked of its service."""
    folder = tmp_path_factory.mktemp(request.param)
    spec = contract(request.param)
    (folder / "models").mkdir()
    settings = load_params(ROOT / PARAMS)
    write_packed(spec, settings.export, settings.serve, folder / "models")
    row = as_json(draw(feature_rows(spec), 1, seed=1)[0], spec)
    score = [0.25, 0.75] if spec.classes else 3.5
    (folder / "models/examples.json").write_text(json.dumps({"rows": [row], "scores": [score]}))
    return folder, payloads(folder)


def answer(*predictions: dict, version: str = "v1") -> bytes:
    told = [{"prediction": "a", "prediction_id": f"p-{i}", **one} for i, one in enumerate(predictions)]
    return msgspec.json.encode({"predictions": told, "model_version": version})


def test_the_requests_are_the_same_each_time_and_of_several_sizes(made):
    folder, found = made
    assert [one.body for one in payloads(folder)] == [one.body for one in found]
    assert len(found) == PAYLOADS
    assert {one.rows for one in found} == {1, 10, 100}
    assert all(len(msgspec.json.decode(one.body)["rows"]) == one.rows for one in found)


def test_the_service_takes_what_is_asked(made):
    folder, found = made
    model = request_model(contract(folder.name.rstrip("0")), 100)
    for one in found:
        model.model_validate_json(one.body)


@pytest.mark.parametrize(
    ("payload", "status", "body", "said"),
    [
        (ROW, 200, answer({}), ""),
        (ROW, 500, b"", "status 500"),
        (ROW, 0, b"", "status 0"),
        (ROW, 200, b"<html>", "not a valid response"),
        (ROW, 200, b"[]", "not a valid response"),
        (ROW, 200, b'{"predictions": []}', "not a valid response (KeyError)"),
        (ROW, 200, answer({}, version=""), "no model_version"),
        (ROW, 200, answer(), "0 predictions for 1 rows"),
        (TWO, 200, answer({}), "1 predictions for 2 rows"),
        (TWO, 200, answer({"prediction_id": "x"}, {"prediction_id": "x"}), "a prediction_id is missing"),
        (ROW, 200, answer({"prediction_id": ""}), "a prediction_id is missing"),
        (ROW, 200, answer({"probabilities": {"a": None}}), "scores differ"),
    ],
)
def test_an_answer_is_looked_into(payload, status, body, said):
    found = problem(payload, status, body, {})
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_the_same_rows_get_the_same_answer_from_the_same_model():
    before = {}
    assert problem(ROW, 200, answer({"probabilities": {"a": 0.5}}), before) == ""
    assert problem(ROW, 200, answer({"probabilities": {"a": 0.5}, "prediction_id": "z"}), before) == ""
    other = answer({"probabilities": {"a": 0.6}, "prediction_id": "y"})
    assert problem(ROW, 200, other, before) == "different predictions than before for the same rows"
    newer = answer({"probabilities": {"a": 0.6}, "prediction_id": "x"}, version="v2")
    assert problem(ROW, 200, newer, before) == ""


def test_the_same_id_twice_is_told():
    before = {}
    body = answer({"prediction_id": "x"})
    assert problem(ROW, 200, body, before) == ""
    assert problem(ROW, 200, body, before) == "a prediction_id is missing or repeated"


def test_examples_get_the_scores_that_the_pipeline_gave_them():
    known = Payload("/predict, 1 row", b"{}", 1, ([0.25, 0.75],))
    assert problem(known, 200, answer({"probabilities": {"a": 0.25, "b": 0.7500001}}), {}) == ""
    assert problem(known, 200, answer({"probabilities": {"a": 0.35, "b": 0.65}}), {}).startswith("scores differ")
    number = Payload("/predict, 1 row", b"{}", 1, (3.5,))
    assert problem(number, 200, answer({"prediction": 3.5}), {}) == ""
    assert problem(number, 200, answer({"prediction": 3.6}), {}).startswith("scores differ")
