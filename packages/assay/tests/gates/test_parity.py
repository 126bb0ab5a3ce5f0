import json
from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import pytest

from assay.base.files import sha256
from assay.data.columns import length, take
from assay.export.onnx import convert
from assay.gates.parity import Pair, compare_models, foreign_files, form, package
from assay.inference.scorer import scorer
from assay.modelling.fitting import build, fit, scores
from assay.project.params import ModelChoice
from patients import COLUMNS, contract, patients

TASKS = ["binary", "multiclass", "regression"]
FAMILIES = ["gradient_boosting", "linear", "random_forest"]
# Each family and each task once; at night all of them. Other tests compare the export of each on every push.
PAIRS = [
    pytest.param(family, task, marks=[] if FAMILIES.index(family) == TASKS.index(task) else pytest.mark.nightly)
    for family in FAMILIES
    for task in TASKS
]
# Nothing but the finite numbers of single precision ends these columns.
OPEN = COLUMNS | {
    "age": {"kind": "integer"},
    "heart-rate": {"kind": "number", "range": [0, float("inf")], "missing": "allow"},
    "noise": {"kind": "number"},
}
TOLERANCE = 5e-5
PARAMETERS = {"linear": {}, "gradient_boosting": {"max_iter": 30}, "random_forest": {"n_estimators": 30}}


@cache
def pair(family, task, open_sides=False):
    """Return a pipeline and its export, and the columns that it was fitted on."""
    spec = contract(task, columns=OPEN) if open_sides else contract(task)
    data, target = patients(200, task)
    model = fit(build(ModelChoice(family=family, parameters=PARAMETERS[family]), spec, 1), data, target, spec)
    graph = convert(model, take(data, np.arange(5)), spec)
    return Pair(lambda rows: scores(model, rows, spec), scorer(graph, spec), spec, TOLERANCE), graph, data


def judged(of, seen, served=None, spec=None, examples=10, seed=1):
    return compare_models(
        replace(of, served=served or of.served, contract=spec or of.contract), seen, examples=examples, seed=seed
    )


@pytest.mark.parametrize(("family", "task"), PAIRS)
def test_a_sound_export_passes_with_the_largest_difference(family, task):
    sound, _, seen = pair(family, task)
    outcome = judged(sound, seen)
    assert outcome.verdict == "PROMOTE"
    assert outcome.measured["largest_difference"] < TOLERANCE / 5
    assert outcome.measured["rows"] == 2 * (1 + 2 + 4 + 8 + 16)


@pytest.mark.nightly
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_sound_export_passes_where_the_contract_leaves_sides_open(family, task):
    sound, _, seen = pair(family, task, open_sides=True)
    assert judged(sound, seen).verdict == "PROMOTE"


def scaled(graph, factor):
    """Return the graph with other weights, as a faulty export would have."""
    model = onnx.load_from_string(graph)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name in ("coefficients", "class_weights", "target_weights"):
                attribute.floats[:] = [weight * factor for weight in attribute.floats]
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(("family", "task"), PAIRS)
def test_an_export_that_is_wrong_in_the_third_decimal_is_rejected(family, task):
    sound, graph, seen = pair(family, task)
    outcome = judged(sound, seen, scorer(scaled(graph, 1.002), sound.contract))
    assert outcome.verdict == "REJECT"
    assert outcome.reason.startswith("the served model differs from the pipeline: ")


@pytest.mark.nightly
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_an_export_with_two_inputs_in_each_other_s_place_is_rejected(family, task):
    sound, _, seen = pair(family, task)
    outcome = judged(sound, seen, lambda rows: sound.served({**rows, "age": rows["noise"], "noise": rows["age"]}))
    assert outcome.verdict == "REJECT"


def by_age(rows):
    """Return made-up probabilities that rise with age."""
    positive = rows["age"] / 200
    return np.stack([1 - positive, positive], axis=1)


FEW = {name: COLUMNS[name] for name in ("age", "noise", "ward")}
AGES = Pair(by_age, by_age, contract(columns=FEW), TOLERANCE)
SEEN = {name: patients(50)[0][name] for name in FEW}


def test_the_smallest_row_that_differs_is_told_of():
    def wrong_in_the_west(rows):
        return by_age(rows) + 0.01 * ((rows["ward"] == "west") & (rows["age"] > 77))[:, None]

    outcome = judged(AGES, SEEN, wrong_in_the_west, examples=50)
    assert outcome.verdict == "REJECT"
    assert outcome.reason == (
        "the served model differs from the pipeline: the probability of sick is 0.4 instead of 0.39 "
        "where age is 78 and ward is west"
    )
    assert outcome.measured["row"]["age"] == 78
    assert (outcome.measured["pipeline"], outcome.measured["served"]) == (0.39, 0.4)
    json.dumps(outcome.as_dict(), allow_nan=False)


def test_a_mistake_that_shows_only_far_from_the_data_is_found():
    youngest = SEEN["age"].min()
    outcome = judged(AGES, SEEN, lambda rows: by_age(rows) + 0.01 * (rows["age"] < youngest - 1)[:, None])
    assert outcome.verdict == "REJECT"


def test_a_mistake_that_shows_only_near_the_data_is_found():
    # The contract allows any number, and next to all of them are far out.
    spec = contract(columns=FEW | {"noise": {"kind": "number"}})
    outcome = judged(AGES, SEEN, lambda rows: by_age(rows) + 0.01 * (np.abs(rows["noise"]) < 3)[:, None], spec)
    assert outcome.verdict == "REJECT"


def test_a_difference_within_the_tolerance_is_none():
    for difference, verdict in ((4.9e-5, "PROMOTE"), (5.1e-5, "REJECT")):
        assert judged(AGES, SEEN, lambda rows: by_age(rows) + difference).verdict == verdict  # noqa: B023


def test_the_tolerance_of_numbers_is_in_standard_deviations_of_the_answers():
    def large(rows):
        return 1e6 * rows["age"]

    numbers = Pair(large, large, contract("regression", columns=FEW), TOLERANCE)
    for difference, verdict in ((100, "PROMOTE"), (1e4, "REJECT")):
        assert judged(numbers, SEEN, lambda rows: large(rows) + difference).verdict == verdict  # noqa: B023


def test_an_answer_that_is_not_a_number_is_rejected():
    outcome = judged(AGES, SEEN, lambda rows: np.where(rows["age"][:, None] > 100, np.nan, by_age(rows)))
    assert outcome.verdict == "REJECT"
    assert outcome.measured["served"] is None
    json.dumps(outcome.as_dict(), allow_nan=False)


def test_a_served_model_that_fails_on_some_row_is_rejected_with_the_row():
    def fails_in_the_west(rows):
        if (rows["ward"] == "west").any():
            raise RuntimeError("no such ward")
        return by_age(rows)

    outcome = judged(AGES, SEEN, fails_in_the_west)
    assert outcome.verdict == "REJECT"
    assert outcome.reason == "the served model fails (RuntimeError: no such ward) where ward is west"


def test_a_served_model_that_gives_another_number_of_answers_is_rejected():
    outcome = judged(AGES, SEEN, lambda rows: by_age(rows)[:, :1])
    assert "its output has shape (1, 1), expected (1, 2)" in outcome.reason


def test_a_mistake_that_shows_only_in_tables_is_found():
    def wrong_in_tables(rows):
        return by_age(rows) + 0.01 * (length(rows) > 7)

    outcome = judged(AGES, SEEN, wrong_in_tables)
    assert outcome.verdict == "REJECT"
    assert outcome.reason.endswith(", but not if it gets this row alone")


@pytest.mark.nightly
def test_the_same_seed_finds_the_same():
    wrong = [judged(AGES, SEEN, lambda rows: by_age(rows) * 1.01, seed=5) for _ in range(2)]
    assert wrong[0] == wrong[1]


@pytest.mark.parametrize(
    ("report", "champion", "verdict", "fragment"),
    [
        (("onnx", "", {}), "onnx", "PROMOTE", "the model is served as ONNX"),
        (("onnx", "", {}), "skops", "PROMOTE", "the model is served as ONNX"),
        (("skops", "the export differs by 0.1", {}), None, "HOLD", "the export differs by 0.1"),
        (("skops", "the export differs by 0.1", {}), "skops", "HOLD", "the export differs by 0.1"),
        (("skops", "the export failed (X)", None), "onnx", "HOLD", "the champion is served as ONNX"),
        (("skops", "the export failed (X)", None), "skops", "PROMOTE", "the export failed (X); so is the champion"),
        (("skops", "the export failed (X)", None), None, "PROMOTE", "the export failed (X); there is no champion yet"),
    ],
)
def test_the_pipeline_is_served_in_place_of_an_export_only_where_nothing_is_lost(report, champion, verdict, fragment):
    served, reason, compared = report
    outcome = form({"served": served, "reason": reason, "parity": compared}, champion)
    assert outcome.verdict == verdict
    assert fragment in outcome.reason


@pytest.fixture
def models(tmp_path):
    """Return a folder of models and what describes them."""
    for name in ("model.onnx", "model.skops"):
        (tmp_path / name).write_text(name)
    files = {path.name: sha256(path) for path in tmp_path.iterdir()}
    return tmp_path, {"served": "onnx", "files_sha256": files, "contract_sha256": "c", "threshold": 0.25}


def wrong(models, contract="c", threshold=0.25, **changes):
    folder, about = models
    return foreign_files(about | changes, folder, contract=contract, threshold=threshold)


def test_a_package_as_it_was_made_passes(models):
    assert wrong(models) == []
    assert package([]).verdict == "PROMOTE"


def test_a_file_that_was_changed_lost_or_never_described_is_named(models):
    folder, _ = models
    assert wrong(models, files_sha256={}) == ["model.onnx"]
    (folder / "model.skops").write_text("another")
    assert wrong(models) == ["model.skops"]
    (folder / "model.onnx").unlink()
    assert wrong(models) == ["model.onnx", "model.skops"]


def test_another_contract_or_threshold_than_the_pipeline_s_is_named(models):
    assert wrong(models, contract="d") == ["contract.yaml"]
    assert wrong(models, threshold=0.5) == ["the threshold of the pipeline"]


def test_a_package_that_is_not_what_the_pipeline_made_is_rejected_by_name():
    outcome = package(["model.onnx"])
    assert outcome.verdict == "REJECT"
    assert "model.onnx" in outcome.reason
