"""The JSON schemas of contract.yaml and params.yaml: what an editor says is what Assay says."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from assay.contract.spec import CONTRACT
from assay.init.write import HEAD
from assay.project.freeze import edit_yaml
from assay.project.schemas import TYPES, first_line, schema, schema_path
from assay.project.settings import PARAMS
from places import ROOT

FILES = sorted(TYPES)


def content(file: Path) -> dict[str, Any]:
    read: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / file).read_text(encoding="utf-8"))
    return read


def stored(file: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((ROOT / schema_path(file)).read_text(encoding="utf-8"))
    return read


def validator() -> Any:
    # Imported here: it takes seconds to build its grammars.
    from jsonschema import Draft7Validator

    return Draft7Validator


def accepts(file: Path, given: dict[str, Any]) -> bool:
    return bool(validator()(stored(file)).is_valid(given))


def takes(file: Path, given: dict[str, Any]) -> bool:
    try:
        TYPES[file].model_validate_json(json.dumps(given))
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_stored_schema_is_that_of_the_types(file: Path) -> None:
    assert stored(file) == schema(TYPES[file]), "type `make schemas`"
    validator().check_schema(stored(file))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_the_first_line_of_a_file_names_its_schema(file: Path) -> None:
    assert (ROOT / file).read_text(encoding="utf-8").startswith(first_line(file))


def test_what_assay_writes_keeps_the_line() -> None:
    assert HEAD.startswith(first_line(CONTRACT))
    assert edit_yaml((ROOT / PARAMS).read_text(encoding="utf-8"), lambda _: None).startswith(first_line(PARAMS))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_file_is_valid_by_its_schema(file: Path) -> None:
    validator()(stored(file)).validate(content(file))


def change(given: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(given))
    *path, last = key.split(".")
    place = changed
    for part in path:
        place = place[part]
    place[last] = value
    return changed


@pytest.mark.parametrize(
    ("file", "key", "value", "is_right"),
    [
        (CONTRACT, "task", "ranking", False),
        (CONTRACT, "nmae", "x", False),
        (CONTRACT, "target.classes", "benign", False),
        (CONTRACT, "costs.false_positive", 0, False),
        (CONTRACT, "columns.mean_radius.kind", "nubmer", False),
        (CONTRACT, "columns.mean_radius.values", ["a"], False),
        (CONTRACT, "columns.mean_radius.range", [0], False),
        (CONTRACT, "columns.mean_radius.range", [0, 1.5], True),
        (CONTRACT, "columns.mean_radius.missing", "allow", True),
        (CONTRACT, "columns.seen", {"kind": "time", "range": ["2001-02-03", "2024-05-06T07:08:09"]}, True),
        (CONTRACT, "columns.seen", {"kind": "category", "values": []}, False),
        (CONTRACT, "columns.seen", {"kind": "ignored"}, False),
        (PARAMS, "seed", -1, False),
        (PARAMS, "seed", "20", False),
        (PARAMS, "tune.search", "yes", False),
        (PARAMS, "gates.quality.margni", 0.1, False),
        (PARAMS, "gates.quality.margin", None, True),
        (PARAMS, "model.parameters", {"max_depth": 3, "loss": "log_loss", "alpha": None}, True),
        (PARAMS, "model.parameters", {"max_depth": [3]}, False),
        (PARAMS, "validate", {}, False),
    ],
)
def test_schema_and_types_say_the_same_of_a_change(file: Path, key: str, value: Any, is_right: bool) -> None:
    given = change(content(file), key, value)
    assert accepts(file, given) is takes(file, given) is is_right


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_key_has_a_description(file: Path) -> None:
    made = stored(file)
    without = [
        name
        for part in (made, *made["$defs"].values())
        for name, field in part["properties"].items()
        if not field.get("description", "").endswith((".", ")"))
    ]
    assert not without
