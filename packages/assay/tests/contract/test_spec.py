from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from assay.base.errors import InputError
from assay.contract.spec import Contract, load_contract
from examples import COLUMNS, TARGETS, TASKS, contract, plain
from places import ROOT

NUMBER = {"kind": "number"}
OWN = ROOT / "contract.yaml"


def refusal(tmp_path: Path, made: dict[str, Any]) -> str:
    """Return what is said of a contract, after the name of its file."""
    path = tmp_path / "contract.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(made, file)
    with pytest.raises(InputError) as caught:
        load_contract(path)
    message = str(caught.value)
    assert "\n" not in message
    return message.partition("contract.yaml: ")[2]


def test_the_contract_of_this_project_is_read() -> None:
    assert load_contract(OWN).features


@pytest.mark.parametrize("task", TASKS)
def test_features_are_all_columns_but_ids_and_ignored_in_the_order_of_the_file(task: str) -> None:
    made = contract(task)
    assert list(made.features) == [name for name in COLUMNS if name not in ("patient", "scribble")]
    assert made.ids == ["patient"]


def test_the_positive_class_is_last_whatever_the_order_of_the_file() -> None:
    for classes in (["no", "yes"], ["yes", "no"]):
        assert contract(target=TARGETS["binary"] | {"classes": classes}).classes == ("no", "yes")


def test_the_classes_of_more_than_two_keep_their_order() -> None:
    assert contract("multiclass").classes == ("no", "a bit", "very")


def test_the_target_is_a_category_or_a_number() -> None:
    assert contract("multiclass").target_column.kind == "category"
    assert contract("regression").target_column.model_dump()["range"] == (0.0, 100.0)


def test_a_date_stands_for_its_midnight() -> None:
    column = contract().columns["seen"]
    assert column.model_dump()["range"] == (datetime(2020, 1, 1), datetime(2024, 12, 31, 23, 59, 59))


def test_a_side_of_a_range_may_be_open() -> None:
    column = contract(columns={"x": NUMBER | {"range": [0, float("inf")]}}).columns["x"]
    assert column.model_dump()["range"] == (0.0, float("inf"))


def test_a_contract_can_be_written_as_json_and_read_again() -> None:
    made = contract(columns={name: column for name, column in COLUMNS.items() if name != "floor"})
    assert Contract.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    ("task", "changes", "reason"),
    [
        ("binary", {"columns": {"sick": NUMBER}}, "'sick' is the target and also listed under columns"),
        ("binary", {"columns": {"a": {"kind": "id"}}}, "no column is a feature"),
        ("binary", {"columns": {"a": {"kind": "ignored", "reason": "x"}}}, "no column is a feature"),
        ("binary", {"columns": {}}, "columns: "),
        ("regression", {"target": {"name": "y", "classes": ["a", "b"]}}, "neither classes nor a positive class"),
        ("regression", {"target": {"name": "y", "positive": "b"}}, "neither classes nor a positive class"),
        ("binary", {"target": TARGETS["binary"] | {"range": [0, 1]}}, "a target with classes has no range"),
        ("binary", {"target": {"name": "y", "classes": ["a"]}}, "needs two target.classes, found 1"),
        ("binary", {"target": {"name": "y"}}, "needs two target.classes, found 0"),
        ("multiclass", {"target": {"name": "y", "classes": ["a", "b"]}}, "at least three target.classes, found 2"),
        ("binary", {"target": {"name": "y", "classes": ["a", "b"]}}, "target.positive None is not one of"),
        ("binary", {"target": {"name": "y", "classes": ["a", "b"], "positive": "c"}}, "target.positive 'c' is not"),
        ("binary", {"target": {"name": "y", "classes": ["a", "a"], "positive": "a"}}, "'a' occurs twice"),
        (
            "multiclass",
            {"target": TARGETS["multiclass"] | {"positive": "no"}},
            "only a binary task has a positive class",
        ),
        ("regression", {"costs": {"false_positive": 1, "false_negative": 2}}, "costs apply only to a binary task"),
        ("binary", {"costs": {"false_positive": 0, "false_negative": 2}}, "costs.false_positive: should be greater"),
        ("binary", {"sensitive": ["gender"]}, "sensitive: there is no column 'gender'"),
        ("binary", {"slices": [{"column": "gender"}]}, "slices: there is no column 'gender'"),
        ("binary", {"slices": [{"column": "c0", "edges": [1]}]}, "'c0' has edges but is not a number"),
        ("binary", {"slices": [{"column": "_x", "edges": [2, 1]}]}, "the edges of '_x' must increase"),
        ("binary", {"slices": [{"column": "_x", "edges": [1, 1]}]}, "the edges of '_x' must increase"),
        ("binary", {"slices": [{"column": "_x", "edges": [float("nan")]}]}, "slices.0.edges.0: should be a finite"),
        ("binary", {"split": {"by": "group"}}, "split.column is needed for"),
        ("binary", {"split": {"by": "hash", "column": "_x"}}, "split.column is needed for"),
        ("binary", {"split": {"by": "group", "column": "ward"}}, "split: there is no column 'ward'"),
        (
            "binary",
            {"split": {"by": "time", "column": "c0"}},
            "'c0' is a category; a split by time needs a time or a number",
        ),
        ("binary", {"split": {"by": "time", "column": "1st"}}, "'1st' may be missing"),
        ("binary", {"split": {"by": "group", "column": "scribble"}}, "'scribble' is ignored"),
        ("binary", {"missing_markers": ["", "red"]}, "'red' is a value of 'c0' and also one of missing_markers"),
        ("binary", {"missing_markers": ["no"]}, "'no' is a value of 'sick' and also one of missing_markers"),
    ],
)
def test_a_contract_that_contradicts_itself_is_refused(
    tmp_path: Path, task: str, changes: dict[str, Any], reason: str
) -> None:
    assert reason in refusal(tmp_path, plain(task, **changes))


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (
            {"kind": "nmber"},
            "columns.a.kind: 'nmber' is not one of number, integer, boolean, category, text, time, id, ",
        ),
        ({"kind": "nmber"}, "did you mean 'number'?"),
        ({"range": [0, 1]}, "columns.a.kind is missing"),
        ({"kind": "number", "rnge": [0, 1]}, "unknown key 'columns.a.rnge'; did you mean 'range'?"),
        ({"kind": "category", "values": ["a"], "range": [0, 1]}, "unknown key 'columns.a.range'"),
        ({"kind": "number", "range": [2, 1]}, "columns.a: range [2.0, 1.0]: no value lies in it"),
        ({"kind": "number", "range": [float("nan"), 1]}, "no value lies in it"),
        ({"kind": "number", "range": [float("inf"), float("inf")]}, "no value lies in it"),
        ({"kind": "number", "range": [0]}, "columns.a.range"),
        ({"kind": "number", "range": [0, "1"]}, "columns.a.range.1: should be a valid number, found '1'"),
        ({"kind": "integer", "range": [0, 1.5]}, "columns.a.range.1: should be a valid integer"),
        ({"kind": "integer", "range": [2, 1]}, "no value lies in it"),
        ({"kind": "integer", "range": [0, 2**53]}, "exact only up to 9007199254740991"),
        ({"kind": "category", "values": []}, "columns.a.values"),
        ({"kind": "category", "values": ["a", "b", "a"]}, "'a' occurs twice"),
        ({"kind": "category", "values": [1]}, "columns.a.values.0: should be a valid string, found 1"),
        ({"kind": "category"}, "columns.a.values is missing"),
        ({"kind": "text", "max_length": 0}, "columns.a.max_length"),
        ({"kind": "time", "range": ["2021-01-01", "2020-01-01"]}, "no value lies in it"),
        ({"kind": "time", "range": ["2020-01-01T00:00:00Z", "2021-01-01"]}, "has a time zone"),
        ({"kind": "time", "range": ["yesterday", "2021-01-01"]}, "columns.a.range.0: Invalid isoformat string"),
        ({"kind": "time", "format": "%Q"}, "format '%Q' is not a strptime format"),
        ({"kind": "time", "format": "%Y-%m-%d %z"}, "is not a strptime format without a zone"),
        ({"kind": "ignored"}, "columns.a.reason is missing"),
        ({"kind": "ignored", "reason": ""}, "columns.a.reason"),
        ({"kind": "number", "missing": "maybe"}, "columns.a.missing: should be 'refuse' or 'allow', found 'maybe'"),
    ],
)
def test_a_column_that_cannot_be_is_refused(tmp_path: Path, column: dict[str, Any], reason: str) -> None:
    assert reason in refusal(tmp_path, plain(columns={"a": column, "b": NUMBER}))
