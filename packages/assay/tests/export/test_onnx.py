import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline

from assay.contract.spec import Contract
from assay.data.columns import Columns, length, take
from assay.export.onnx import UNSEEN, agrees, convert, hard_rows, parity, round_down
from assay.inference.scorer import scorer
from assay.modelling.fitting import build, fit, scores
from assay.project.params import Export, ModelChoice
from patients import COLUMNS, contract, patients

TASKS = ["binary", "multiclass", "regression"]
LIMITS = Export(tolerance=1e-5, parity_rows=40)
FEW = {"gradient_boosting": {"max_iter": 30}, "linear": {}, "random_forest": {"n_estimators": 30}}


def fitted(family: str, task: str, calibrate: bool = False, rows: int = 300) -> Pipeline:
    made = contract(task)
    data, target = patients(rows, task)
    choice = ModelChoice(family=family, parameters=FEW[family])
    return fit(build(choice, made, 1, calibrate=calibrate), data, target, made)


def compared(model: Pipeline, task: str, graph: bytes) -> dict:
    made = contract(task)
    rows = hard_rows(patients(150, task, seed=5)[0], made, 1)
    exported = scorer(graph, made)
    threshold = 0.5 if task == "binary" else None
    return parity(lambda d: scores(model, d, made), exported, rows, made, threshold=threshold, limits=LIMITS)


# Calibration is wrapped round any family alike.
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("family", "calibrate"),
    [
        *((name, False) for name in FEW),
        ("linear", True),
        *(pytest.param(name, True, marks=pytest.mark.nightly) for name in FEW if name != "linear"),
    ],
)
def test_the_exported_model_answers_as_the_pipeline_does(family, task, calibrate):
    model = fitted(family, task, calibrate)
    found = compared(model, task, convert(model, patients(5, task)[0], contract(task)))
    assert agrees(found, 1e-5), found
    assert found["batch"]["rows"] == 300
    assert found["single"]["rows"] == 40


def encoding(names: list[str], **options: object) -> tuple[Contract, Columns, Pipeline]:
    """Return a fitted linear model of some of the columns, whose encoder of categories has other options."""
    made = contract(columns={name: COLUMNS[name] for name in names})
    data, target = patients(300)
    model = build(ModelChoice(family="linear", parameters={}), made, 1)
    model[0].set_params(**{f"category__{name}": value for name, value in options.items()})
    return made, {name: data[name] for name in names}, fit(model, data, target, made)


@pytest.mark.parametrize("names", [["ward"], ["ward", "age", "smoker"]], ids=" ".join)
@pytest.mark.parametrize("options", [{}, {"drop": "first"}, {"handle_unknown": "error"}], ids=str)
def test_categories_are_one_hot_encoded_as_the_encoder_is_set(options, names):
    made, data, model = encoding(names, **options)
    rows = data if options else hard_rows(data, made, 1)
    np.testing.assert_allclose(scorer(convert(model, data, made), made)(rows), scores(model, rows, made), atol=1e-6)


@pytest.mark.parametrize("options", [{"max_categories": 2}, {"min_frequency": 0.3}], ids=str)
def test_categories_that_are_put_together_have_no_export(options):
    made, data, model = encoding(["ward"], **options)
    with pytest.raises(NotImplementedError, match="Infrequent categories"):
        convert(model, data, made)


def test_a_number_on_a_threshold_falls_on_the_same_side_in_single_precision():
    # The tree cuts between 19.6 and 19.8, just below what 19.7 is in single precision. The nearest threshold that
    # single precision can hold is 19.7 itself.
    made = contract(columns={"heart-rate": {"kind": "number", "range": [0, 100]}})
    data = {"heart-rate": np.resize([19.6, 19.8], 200)}
    target = np.resize([0, 1], 200)
    model = fit(build(ModelChoice(family="gradient_boosting", parameters={}), made, 1), data, target, made)
    between = {"heart-rate": np.array([19.6, 19.7, 19.8])}
    exported = scorer(convert(model, between, made), made)
    np.testing.assert_allclose(exported(between), scores(model, between, made), atol=1e-6)


@given(st.lists(st.floats(-1e30, 1e30), min_size=1), st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_rounding_a_threshold_down_moves_no_single_precision_number(thresholds, number):
    values = np.array(thresholds)
    np.testing.assert_array_equal(number <= round_down(values), number <= values)
    assert (round_down(values).astype(np.float32) == round_down(values)).all()


def test_the_pipeline_itself_stays_as_it_was():
    model = fitted("gradient_boosting", "binary")
    data, _ = patients(50)
    before = scores(model, data, contract())
    thresholds = [tree.nodes["num_threshold"].copy() for trees in model[-1]._predictors for tree in trees]
    convert(model, data, contract())
    np.testing.assert_array_equal(scores(model, data, contract()), before)
    after = [tree.nodes["num_threshold"] for trees in model[-1]._predictors for tree in trees]
    assert all((a == b).all() for a, b in zip(thresholds, after, strict=True))


def test_the_same_model_is_exported_to_the_same_bytes():
    data, _ = patients(5)
    first, second = (convert(fitted("gradient_boosting", "binary"), data, contract()) for _ in range(2))
    assert first == second


def broken(graph: bytes, change: str) -> bytes:
    """Return the graph with a mistake in it, as a faulty export would have."""
    model = onnx.load_from_string(graph)
    trees = next(node for node in model.graph.node if node.op_type == "TreeEnsembleClassifier")
    attributes = {attribute.name: attribute for attribute in trees.attribute}
    if change == "features in another order":
        order = list(attributes["nodes_featureids"].ints)
        attributes["nodes_featureids"].ints[:] = [1 - feature if feature < 2 else feature for feature in order]
    else:
        weights = attributes["class_weights"].floats
        weights[:] = [weight * 1.002 for weight in weights]
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("change", ["features in another order", "wrong in the third decimal"])
def test_an_export_that_answers_otherwise_is_noticed(change):
    model = fitted("gradient_boosting", "binary")
    graph = convert(model, patients(5)[0], contract())
    assert agrees(compared(model, "binary", graph), 1e-5)
    assert not agrees(compared(model, "binary", broken(graph, change)), 1e-5)


def test_an_answer_on_the_edge_is_not_held_against_the_export():
    def answers(*positive: float):
        return lambda _: np.array([[1 - p, p] for p in positive])

    rows = {"age": np.arange(2.0)}
    batch = {"threshold": 0.5, "limits": LIMITS}
    on_edge = parity(answers(0.5, 0.9), lambda d: answers(0.499999, 0.9)(d)[: length(d)], rows, contract(), **batch)
    off_edge = parity(answers(0.501, 0.9), lambda d: answers(0.499, 0.9)(d)[: length(d)], rows, contract(), **batch)
    assert on_edge["batch"]["other_answers"] == 0
    assert off_edge["batch"]["other_answers"] == 1


def test_one_other_answer_is_enough_to_disagree():
    small = {"rows": 10, "largest_difference": 1e-9}
    assert agrees({"batch": small | {"other_answers": 0}}, 1e-5)
    assert not agrees({"batch": small | {"other_answers": 1}}, 1e-5)


def test_hard_rows_are_the_rows_and_as_many_changed_ones():
    made = contract()
    data, _ = patients(300)
    rows = hard_rows(data, made, 1)
    assert length(rows) == 600
    for name, values in data.items():
        np.testing.assert_array_equal(take(rows, np.arange(300))[name], values)
        assert (rows[name][300:] != values).any(), name
    assert UNSEEN in rows["ward"]
    assert np.isnan(rows["heart-rate"][300:]).sum() > np.isnan(data["heart-rate"]).sum()
    assert not np.isnan(rows["age"]).any()
    assert np.nanmin(rows["heart-rate"]) >= 30
    assert np.nanmax(rows["heart-rate"]) <= 220
    assert {30.0, 220.0} <= set(rows["heart-rate"])


def test_hard_rows_of_an_open_range_and_of_times_reach_the_ends():
    made = contract(
        columns={
            "noise": {"kind": "number", "range": [0, float("inf")]},
            "admitted": {"kind": "time", "range": ["2020-01-01", "2030-01-01"]},
        }
    )
    data = {"noise": np.arange(100.0), "admitted": np.full(100, np.datetime64("2024-01-01", "us"))}
    rows = hard_rows(data, made, 1)
    assert rows["noise"].max() == 99
    assert {np.datetime64("2020-01-01"), np.datetime64("2030-01-01")} <= set(rows["admitted"])


@pytest.mark.parametrize("split", [{"by": "hash"}, {"by": "time", "column": "admitted"}])
def test_boosting_of_amounts_is_exported_with_its_growth(split):
    made = contract("regression", target={"name": "outcome", "range": [0, 100]}, split=split)
    data, target = patients(300, "regression")
    order = np.argsort(data["admitted"])
    grown = np.exp(target)[order] * np.exp(np.arange(300) / 150)
    data = take(data, order)
    choice = ModelChoice(family="log_boosting", parameters={"max_iter": 50})
    model = fit(build(choice, made, 1), data, grown, made)
    assert (model[-1].slope_ != 0) == (split["by"] == "time")
    rows = hard_rows(patients(300, "regression", 2)[0], made, 1)
    exported = convert(model, rows, made)
    graph = onnx.load_from_string(exported).graph
    # The runtime warns about a constant that no node uses.
    assert {one.name for one in graph.initializer} <= {name for node in graph.node for name in node.input}
    found = parity(
        lambda d: scores(model, d, made),
        scorer(exported, made),
        rows,
        made,
        threshold=None,
        limits=LIMITS,
    )
    assert agrees(found, 1e-5)


def test_a_model_that_reads_a_text_is_not_exported_on_any_machine():
    # With the converter it depends on the locales that are installed whether there is a model at all.
    made = contract(columns={"age": {"kind": "integer"}, "said": {"kind": "text"}})
    data = {"age": np.arange(60.0), "said": np.resize(np.array(["it hurts", "all well"], dtype=object), 60)}
    model = fit(build(ModelChoice(family="linear", parameters={}), made, 1), data, np.resize([0, 1], 60), made)
    with pytest.raises(ValueError, match="the input 'said' is text"):
        convert(model, data, made)
