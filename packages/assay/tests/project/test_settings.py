"""What the service reads: the contract and its settings, as the pipeline packed them."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.base.errors import InputError
from assay.contract.spec import Number, load_contract
from assay.project.params import load_params
from assay.project.settings import PARAMS, Limits, load_packed_contract, load_settings, write_packed
from examples import contract
from patients import contract as patients_contract
from places import ROOT

PARAMETERS = load_params(ROOT / PARAMS)
CONTRACTS = [load_contract(ROOT / "contract.yaml"), contract(), *map(patients_contract, ("binary", "regression"))]


def changed(models: Path, name: str, **values: object) -> None:
    path = models / name
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_packed(CONTRACTS[0], PARAMETERS.export, PARAMETERS.serve, tmp_path)
    return tmp_path


@pytest.mark.parametrize(("given", "meant"), [(True, "safe"), (False, "off"), ("off", "off"), ("fsync", "fsync")])
def test_the_log_may_still_be_true_or_false(models: Path, given: object, meant: str) -> None:
    serve = json.loads((models / "service.json").read_text())["serve"]
    changed(models, "service.json", serve=serve | {"log": given})
    assert load_settings(models).serve.log == meant


@pytest.mark.parametrize("made", CONTRACTS, ids=lambda made: made.name)
def test_what_is_packed_is_read_as_it_was(tmp_path: Path, made: object) -> None:
    limits = Limits(errors=0.01, p99_ms=1000)
    write_packed(made, PARAMETERS.export, PARAMETERS.serve, tmp_path, limits=limits)  # type: ignore[arg-type]
    assert load_packed_contract(tmp_path) == made
    assert load_settings(tmp_path).limits == limits
    assert load_settings(tmp_path).serve == PARAMETERS.serve
    assert load_settings(tmp_path).export == PARAMETERS.export


ENDS = st.floats(allow_nan=False)


@given(low=ENDS, high=ENDS)
def test_any_range_is_read_as_it_was_also_an_open_one(
    tmp_path_factory: pytest.TempPathFactory, low: float, high: float
) -> None:
    low, high = sorted((low, high))
    if low == math.inf or high == -math.inf:
        return
    made = contract()
    made = made.model_copy(update={"columns": {**made.columns, "1st": Number(kind="number", range=(low, high))}})
    models = tmp_path_factory.mktemp("models")
    write_packed(made, PARAMETERS.export, PARAMETERS.serve, models)
    assert load_packed_contract(models) == made


@pytest.mark.parametrize(("name", "load"), [("service.json", load_settings), ("contract.json", load_packed_contract)])
def test_a_file_that_is_missing_broken_or_newer_is_named(models: Path, name: str, load: object) -> None:
    changed(models, name, format=9)
    with pytest.raises(InputError, match=rf"{name}: written by a newer Assay \(format 9\); upgrade"):
        load(models)  # type: ignore[operator]
    (models / name).write_text("{")
    with pytest.raises(InputError, match=f"{name}: not a complete JSON file"):
        load(models)  # type: ignore[operator]
    (models / name).unlink()
    with pytest.raises(InputError, match=f"{name}: there is no such file"):
        load(models)  # type: ignore[operator]


def test_a_setting_that_the_service_does_not_know_is_named(models: Path) -> None:
    changed(models, "service.json", serve={**PARAMETERS.serve.model_dump(), "max_row": 5})
    with pytest.raises(InputError, match=r"unknown key 'serve\.max_row'; did you mean 'max_rows'\?"):
        load_settings(models)
