"""The page on XGBoost and CatBoost is so, where the libraries can be imported: `make bench-models` has them."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.export.onnx import agrees, convert, hard_rows, parity
from assay.inference.scorer import scorer
from assay.modelling.fitting import build, fit, scores
from assay.modelling.store import load_pipeline, save_pipeline
from assay.project.params import Export, ModelChoice
from assay.properties.expectations import falls
from patients import contract, patients
from places import PACKAGE
from rooms import room

for library in ("xgboost", "catboost", "onnxmltools"):
    pytest.importorskip(library)

PAGE = (PACKAGE / "docs/how-to/own-model-family.md").read_text(encoding="utf-8")
MADE: dict[str, Any] = {}
exec(re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)[-1], MADE)  # noqa: S102
OWN = room(families=MADE["FAMILIES"], trusted=tuple(MADE["TRUSTED"]))
FEW = {"xgboost": {"n_estimators": 30}, "catboost": {"iterations": 30}}


@pytest.mark.parametrize("calibrate", [False, True])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("family", ["xgboost", "catboost"])
def test_a_family_of_the_page_is_stored_and_exported(family: str, task: str, calibrate: bool, tmp_path: Path) -> None:
    made, (data, target) = contract(task), patients(300, task)
    choice = ModelChoice(family=family, parameters=FEW[family])
    model = fit(build(choice, made, 1, room=OWN, calibrate=calibrate), data, target, made, OWN)
    rows = hard_rows(patients(100, task, seed=5)[0], made, 1)
    save_pipeline(model, tmp_path / "model.skops")
    back = load_pipeline(tmp_path / "model.skops", OWN)
    np.testing.assert_array_equal(scores(back, rows, made), scores(model, rows, made))
    found = parity(
        lambda given: scores(model, given, made),
        scorer(convert(model, rows, made, OWN), made),
        rows,
        made,
        threshold=0.5 if task == "binary" else None,
        limits=Export(tolerance=1e-5, parity_rows=40),
    )
    assert agrees(found, 1e-5), found


def test_xgboost_keeps_to_what_must_fall() -> None:
    made, (data, target) = contract("regression"), patients(200, "regression")
    held = room(families=MADE["FAMILIES"], expectations=(falls("age"),))
    choice = ModelChoice(family="xgboost", parameters=FEW["xgboost"])
    model = fit(build(choice, made, 1, room=held), data, target, made, held)
    ages = {name: np.repeat(values[:1], 20) for name, values in data.items()} | {"age": np.linspace(20, 90, 20)}
    assert np.diff(scores(model, ages, made, held)).max() <= 1e-6
