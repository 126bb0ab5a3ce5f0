from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from assay.base.errors import InputError
from assay.project.params import Engine, Params, load_params
from places import ROOT

OWN = ROOT / "params.yaml"


def load(tmp_path: Path, part: str, key: str, value: Any, *, instead_of: str | None = None) -> Params:
    """Load the project's parameters with one key set, or put in the place of another."""
    made = YAML(typ="safe").load(OWN.read_text(encoding="utf-8"))
    place = made[part] if part else made
    place.pop(instead_of, None)
    place[key] = value
    path = tmp_path / "params.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(made, file)
    return load_params(path)


def test_the_parameters_of_this_project_are_read() -> None:
    assert load_params(OWN).validate_.leakage_score > 0.5


@pytest.mark.parametrize(
    ("part", "key", "value", "message"),
    [
        ("", "seed", -1, "seed: should be greater than or equal to 0, found -1"),
        ("", "seed", 2**32, "seed: should be less than 4294967296, found 4294967296"),
        ("", "seed", True, "seed: should be a valid integer, found True"),
        ("", "seed", 1.5, "seed: should be a valid integer"),
        ("prepare", "test", 0.99, "prepare: test 0.99 and validation "),
        ("prepare", "test", 0, "prepare.test: should be greater than 0, found 0"),
        ("prepare", "test", float("nan"), "prepare.test: should be"),
        ("tune", "search", "no", "tune.search: should be a valid boolean, found 'no'"),
        ("outcomes", "delay", float("inf"), "outcomes.delay: should be a finite number, found inf"),
        (
            "outcomes",
            "missing",
            float("nan"),
            "outcomes.missing: should be a valid string or a valid boolean or a finite number, found nan",
        ),
        ("evaluate", "confidence", 95, "evaluate.confidence: should be less than 1, found 95"),
        ("model", "parameters", {"depth": [100]}, "model.parameters.depth: should be a valid boolean or "),
        ("model", "parameters", None, "model.parameters: should be "),
        (
            "",
            "engine",
            {"kind": "dask"},
            "engine: an address, such as tcp://127.0.0.1:8786, is needed for `kind: dask`",
        ),
        ("", "engine", {"address": "tcp://a:1"}, "engine: an address, such as tcp://127.0.0.1:8786, is needed for"),
        ("", "engine", {"kind": "dask", "address": "a:1"}, "engine.address: "),
        ("", "engine", {"kind": "spark"}, "engine.kind: should be 'local' or 'dask', found 'spark'"),
    ],
)
def test_an_impossible_value_is_refused_with_its_key(
    tmp_path: Path, part: str, key: str, value: Any, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, part, key, value)
    assert f"params.yaml: {message}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("part", "key", "instead_of", "message"),
    [
        ("tune", "trails", "trials", "unknown key 'tune.trails'; did you mean 'trials'?"),
        ("", "validat", "validate", "unknown key 'validat'; did you mean 'validate'?"),
        ("", "validate_", "validate", "unknown key 'validate_'; did you mean 'validate'?"),
    ],
)
def test_a_misspelt_key_is_refused_with_the_nearest(
    tmp_path: Path, part: str, key: str, instead_of: str, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, part, key, 1, instead_of=instead_of)
    assert f"params.yaml: {message}" in str(caught.value)


def test_every_key_has_to_be_there(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(OWN.read_text(encoding="utf-8").replace("\nseed:", "\n# seed:"), encoding="utf-8")
    with pytest.raises(InputError, match=r"params\.yaml: seed is missing$"):
        load_params(path)


def test_model_parameters_may_be_of_any_plain_type(tmp_path: Path) -> None:
    given = {"a": 1, "b": 1.0, "c": True, "d": "x", "e": None}
    read = load(tmp_path, "model", "parameters", given).model.parameters
    assert read == given
    assert [type(value) for value in read.values()] == [type(value) for value in given.values()]


def test_the_environment_says_that_no_cluster_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = OWN.read_text(encoding="utf-8").replace("\ntrain:\n", "\ntrain:\n  workers: 2\n")
    path = tmp_path / "params.yaml"
    path.write_text(text + "\nengine: {kind: dask, address: 'tcp://a:1'}\n", encoding="utf-8")
    there = load_params(path)
    assert (there.engine.address, there.train.workers) == ("tcp://a:1", 2)
    monkeypatch.setenv("ASSAY_ENGINE", "local")
    here = load_params(path)
    assert (here.engine, here.train.workers) == (Engine(), None)
    monkeypatch.setenv("ASSAY_ENGINE", "spark")
    with pytest.raises(InputError, match=r"^ASSAY_ENGINE: expected local, found 'spark'$"):
        load_params(path)
