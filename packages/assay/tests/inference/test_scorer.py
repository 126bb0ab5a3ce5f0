import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline

from assay.contract.spec import Contract
from assay.data.columns import LARGEST, Columns, take
from assay.export.onnx import convert
from assay.inference.scorer import NUMBERS, matrix, scorer
from assay.modelling.features import encode
from assay.modelling.fitting import build, fit, scores
from assay.project.params import ModelChoice
from patients import COLUMNS, contract, patients

FAMILIES = ["gradient_boosting", "linear", "random_forest"]
# Only numbers, only categories, one of each, and all kinds; a family may take them together, apart, or some not at all.
KINDS = {
    "one number": ["age"],
    "numbers": ["age", "heart-rate", "smoker", "admitted"],
    "categories": ["ward", "street"],
    "one category": ["ward"],
    "one of each": ["age", "ward"],
    "all": [*COLUMNS],
}


def some(names: list[str]) -> tuple[Contract, Columns, np.ndarray]:
    """Return a contract of some of the features, and patients described by them."""
    data, target = patients(200)
    return contract(columns={name: COLUMNS[name] for name in names}), {name: data[name] for name in names}, target


def fitted(family: str, made: Contract, data: Columns, target: np.ndarray) -> Pipeline:
    parameters = {} if family == "linear" else {"max_iter" if family == "gradient_boosting" else "n_estimators": 5}
    return fit(build(ModelChoice(family=family, parameters=parameters), made, 1), data, target, made)


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_graph_with_packed_inputs_answers_as_the_pipeline_does(family: str, kinds: str) -> None:
    made, data, target = some(KINDS[kinds])
    model = fitted(family, made, data, target)
    exported = scorer(convert(model, take(data, np.arange(3)), made), made)
    np.testing.assert_allclose(exported(data), scores(model, data, made), atol=1e-5)
    for i in range(3):
        alone = take(data, np.array([i]))
        np.testing.assert_allclose(exported(alone), scores(model, alone, made), atol=1e-5)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_has_the_same_score_to_the_last_bit_whatever_rows_are_with_it(family: str, task: str) -> None:
    made = contract(task)
    data, target = patients(200, task=task)
    exported = scorer(convert(fitted(family, made, data, target), data, made), made)
    everything = exported(data)

    @given(st.lists(st.integers(0, 199), min_size=1, max_size=40))
    def check(index: list[int]) -> None:
        assert exported(take(data, np.array(index))).tolist() == everything[index].tolist()

    check()


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_graph_takes_one_matrix_of_numbers_and_nothing_else(family: str, kinds: str) -> None:
    made, data, target = some(KINDS[kinds])
    graph = onnx.load_from_string(convert(fitted(family, made, data, target), data, made))
    onnx.checker.check_model(graph, full_check=True)
    (one,) = graph.graph.input
    assert (one.name, one.type.tensor_type.shape.dim[1].dim_value) == (NUMBERS, matrix(encode(data, made)).shape[1])


def test_every_column_keeps_its_place_in_the_matrix() -> None:
    packed = matrix({"a": np.array([1.0, 2.0, 3.0]), "b": np.array([4.0, np.nan, 6.0])})
    np.testing.assert_array_equal(packed, np.array([[1, 4], [2, np.nan], [3, 6]], dtype=np.float32))
    assert packed.dtype == np.float32


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_no_number_of_the_contract_is_infinite_for_the_graph(numbers: list[float]) -> None:
    packed = matrix({"a": np.array(numbers)})[:, 0]
    assert np.isfinite(packed).all()
    assert np.abs(packed.astype(np.float64)).max() <= LARGEST
