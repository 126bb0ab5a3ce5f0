"""Features of the user's own: computed alike everywhere, and credited to the column that they come from."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.base.errors import InputError
from assay.contract.spec import Contract
from assay.data.columns import Columns, from_rows, take
from assay.evaluation.explain import shap_importance
from assay.export.onnx import agrees, convert, hard_rows, parity
from assay.inference.scorer import scorer
from assay.modelling.features import encode, sources, transformer
from assay.modelling.fitting import build, fit, scores
from assay.modelling.store import load_pipeline, save_pipeline
from assay.project.params import Export, ModelChoice
from assay.project.room import NO_ROOM, Derived
from assay.properties.strategies import feature_rows
from patients import contract, patients
from rooms import LOAD, room

WARD = contract()
FAMILIES = ["gradient_boosting", "linear", "random_forest"]
SIZE = Derived("size of noise", lambda columns: np.abs(columns["noise"]), source="noise")
BOTH = room(derived=(LOAD, SIZE))


def of_noise(rows: int = 300) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return patients whose target is how far from zero the noise is, of which a straight line sees nothing."""
    data, _ = patients(rows)
    return data, (np.abs(data["noise"]) > 0.7).astype(np.int64)


def choice(family: str) -> ModelChoice:
    return ModelChoice(family=family, parameters={})


def test_a_derived_feature_is_an_input_after_all_others():
    data, _ = patients(50)
    inputs = encode(data, WARD, BOTH)
    assert list(inputs) == [*encode(data, WARD), "load", "size of noise"]
    np.testing.assert_array_equal(inputs["load"], data["heart-rate"] / data["age"])
    assert inputs["load"].dtype == np.float64


@given(st.lists(feature_rows(WARD), min_size=1, max_size=6))
def test_a_derived_feature_is_the_same_for_a_row_alone_and_among_others(rows):
    data = from_rows(rows, WARD)
    together = encode(data, WARD, BOTH)
    for place in range(len(rows)):
        alone = encode(take(data, np.array([place])), WARD, BOTH)
        for name, values in together.items():
            np.testing.assert_array_equal(alone[name], values[place : place + 1])


def test_a_derived_number_that_is_not_finite_is_missing():
    data, _ = patients(4)
    data["age"][:] = [0.0, 0.0, 50.0, 50.0]
    data["heart-rate"][:] = [0.0, 80.0, np.nan, 80.0]
    np.testing.assert_array_equal(encode(data, WARD, BOTH)["load"], [np.nan, np.nan, np.nan, 1.6])


@pytest.mark.parametrize("needs", ["nothing", "imputing", "scaling"])
def test_a_derived_feature_has_the_source_that_it_names(needs):
    data, target = patients(100)
    fitted = transformer(WARD, needs=needs, seed=1, room=BOTH)
    output = fitted.fit_transform(pd.DataFrame(encode(data, WARD, BOTH)), target)
    plain = transformer(WARD, needs=needs, seed=1)
    plain.fit(pd.DataFrame(encode(data, WARD)), target)
    found, before = sources(fitted, WARD, BOTH), sources(plain, WARD)
    assert len(found) == output.shape[1] == len(before) + 2
    assert found.count("heart-rate") == before.count("heart-rate") + 1
    assert found.count("noise") == before.count("noise") + 1


def test_a_model_learns_from_a_derived_feature_what_it_could_not_see_without():
    (data, target), (unseen, truth) = of_noise(), of_noise(200)
    right = {}
    for given_room in (NO_ROOM, BOTH):
        model = fit(build(choice("linear"), WARD, 1, room=given_room), data, target, WARD, given_room)
        right[given_room] = (scores(model, unseen, WARD, given_room).argmax(axis=1) == truth).mean()
    assert right[BOTH] > 0.95
    assert right[NO_ROOM] < 0.7


@pytest.mark.parametrize("calibrate", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_effect_of_a_derived_feature_is_credited_to_its_source(family, calibrate):
    data, target = of_noise()
    model = fit(build(choice(family), WARD, 1, calibrate=calibrate, room=BOTH), data, target, WARD, BOTH)
    found = shap_importance(model, data, WARD, BOTH)
    assert found is not None
    assert set(found) == set(WARD.features)
    assert next(iter(found)) == "noise"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_with_a_derived_feature_is_exported_and_stored(tmp_path, family):
    data, target = of_noise()
    model = fit(build(choice(family), WARD, 1, room=BOTH), data, target, WARD, BOTH)
    rows = hard_rows(patients(100, seed=5)[0], WARD, 1)
    found = parity(
        lambda given_rows: scores(model, given_rows, WARD, BOTH),
        scorer(convert(model, rows, WARD, BOTH), WARD, BOTH),
        rows,
        WARD,
        threshold=0.5,
        limits=Export(tolerance=1e-5, parity_rows=20),
    )
    assert agrees(found, 1e-5), found
    save_pipeline(model, tmp_path / "model.skops")
    back = load_pipeline(tmp_path / "model.skops", BOTH)
    np.testing.assert_array_equal(scores(back, rows, WARD, BOTH), scores(model, rows, WARD, BOTH))


def failing(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    raise ValueError("no\nheart")


@pytest.mark.parametrize(
    ("derived", "said"),
    [
        (replace(LOAD, compute=lambda columns: columns["ag"]), "'load' raised KeyError: 'ag'"),
        (replace(LOAD, compute=failing), "'load' raised ValueError: no heart"),
        (replace(LOAD, compute=lambda columns: columns["ward"]), "'load' raised ValueError: could not convert string"),
        (replace(LOAD, compute=lambda columns: 3.0), "'load' returned shape () for 9 rows"),
        (replace(LOAD, compute=lambda columns: columns["age"][:2]), "'load' returned shape (2,) for 9 rows"),
        (replace(LOAD, compute=lambda columns: np.zeros((9, 2))), "'load' returned shape (9, 2) for 9 rows"),
        (replace(LOAD, source="hart-rate"), "'load': its source 'hart-rate' is not a feature of contract.yaml"),
        (replace(LOAD, source="outcome"), "'load': its source 'outcome' is not a feature of contract.yaml"),
        (replace(LOAD, name="age"), "'age' has the name of another input"),
        (replace(LOAD, name="admitted:days"), "'admitted:days' has the name of another input"),
        (replace(LOAD, name="heart-rate:missing"), "'heart-rate:missing' has the name of another input"),
    ],
)
def test_a_derived_feature_that_is_no_number_for_each_row_is_an_error_in_one_line(derived: Derived, said: str):
    data, _ = patients(9)
    with pytest.raises(InputError) as caught:
        encode(data, WARD, room(derived=(derived,)))
    assert str(caught.value).startswith(f"src/model/features.py: derived feature {said}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "compute",
    [
        lambda columns: columns["age"].__imul__(2),
        lambda columns: np.nan_to_num(columns["heart-rate"], copy=False),
    ],
)
def test_a_derived_feature_cannot_change_the_columns(compute: Callable[[Columns], np.ndarray]):
    data, _ = patients(9)
    before = {name: values.copy() for name, values in data.items()}
    with pytest.raises(InputError, match=r"derived feature 'load' raised ValueError: .*read-only"):
        encode(data, WARD, room(derived=(replace(LOAD, compute=compute),)))
    for name, values in before.items():
        np.testing.assert_array_equal(data[name], values)


def test_a_contract_of_derived_features_alone_credits_each_to_its_column():
    made: Contract = contract(columns={"noise": {"kind": "number"}})
    data, target = of_noise()
    data = {"noise": data["noise"]}
    given_room = room(derived=(SIZE,))
    model = fit(build(choice("linear"), made, 1, room=given_room), data, target, made, given_room)
    assert list(shap_importance(model, data, made, given_room) or {}) == ["noise"]
