import json
import math
import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from assay.contract.request import as_json, explain, request_model, row_values
from assay.contract.spec import Contract
from assay.data.columns import from_rows
from assay.properties.strategies import breaches, broken_rows, cells, rows
from examples import COLUMNS, TASKS, beside, contract, faults, row, small

WARD = contract()
MODEL = request_model(WARD, max_rows=3)


def answers(body: Any, made: Contract = WARD, max_rows: int = 3) -> list[str]:
    """Return what a request is told: nothing when it is accepted; text and Python values have to be judged alike."""
    model = request_model(made, max_rows)
    told: list[list[str]] = []
    for validate in (model.model_validate_json, lambda text: model.model_validate(json.loads(text))):
        try:
            validate(json.dumps(body))
            told.append([])
        except ValidationError as error:
            told.append(explain(error.errors(), made))
    assert told[0] == told[1]
    assert all(line.isprintable() for line in told[0])
    return told[0]


def about(name: str, value: Any, made: Contract = WARD) -> list[str]:
    """Return what is said of a good row in which one column has another value."""
    return answers({"rows": [as_json(row(), made) | {name: value}]}, made)


def refused_columns(made: dict[str, Any], task_contract: Contract) -> set[str]:
    """Return the columns that a request with one row is refused for."""
    try:
        request_model(task_contract, 1).model_validate_json(json.dumps({"rows": [as_json(made, task_contract)]}))
    except ValidationError as error:
        return {str(problem["loc"][2]) for problem in error.errors()}
    return set()


def test_a_good_row_is_accepted_and_comes_back_as_it_was() -> None:
    request = MODEL.model_validate_json(json.dumps({"rows": [as_json(row(), WARD)]}))
    assert row_values(request.rows[0], WARD) == {name: row()[name] for name in WARD.features}  # type: ignore[attr-defined]


@pytest.mark.parametrize("task", TASKS)
def test_what_the_contract_allows_is_accepted(task: str) -> None:
    made = contract(task)
    model = request_model(made, 2)

    @given(st.lists(rows(made), min_size=1, max_size=2))
    def holds(drawn: list[dict[str, Any]]) -> None:
        request = model.model_validate_json(json.dumps({"rows": [as_json(one, made) for one in drawn]}))
        values = [row_values(one, made) for one in request.rows]  # type: ignore[attr-defined]
        assert values == [{name: one[name] for name in made.features} for one in drawn]
        assert from_rows(values, made).keys() == made.features.keys()

    holds()


@given(broken_rows(WARD).filter(lambda broken: broken[1] in WARD.features))
def test_a_broken_rule_is_refused_naming_the_column(broken: tuple[dict[str, Any], str, str]) -> None:
    made, column, _ = broken
    assert refused_columns(made, WARD) == {column}


def wild_rows(made: Contract) -> st.SearchStrategy[dict[str, Any]]:
    """Return rows in which each feature keeps to the contract or breaks any of its rules."""
    bad: dict[str, list[st.SearchStrategy[Any]]] = {}
    for name, _, values in breaches(made):
        bad.setdefault(name, []).append(values)
    wild = {
        name: cells(column, made.missing_markers) | cells(column, made.missing_markers) | st.one_of(bad.get(name, []))
        for name, column in made.features.items()
    }
    return rows(made).flatmap(lambda good: st.fixed_dictionaries(wild).map(lambda drawn: good | drawn))


@given(wild_rows(WARD))
def test_a_row_is_accepted_iff_the_check_of_data_has_nothing_to_say_of_it(made: dict[str, Any]) -> None:
    assert refused_columns(made, WARD) == {fault.column for fault in faults(beside(made, "binary"), WARD)}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("income-per-year", -4, "row 0: income-per-year: expected a number between 0 and 0.4, got -4"),
        ("income-per-year", 0.5, "row 0: income-per-year: expected a number between 0 and 0.4, got 0.5"),
        ("income-per-year", "0.1", "row 0: income-per-year: expected a number between 0 and 0.4, got '0.1'"),
        ("income-per-year", None, "row 0: income-per-year: expected a number between 0 and 0.4, got null"),
        ("income-per-year", True, "row 0: income-per-year: expected a number between 0 and 0.4, got true"),
        ("income-per-year", math.nan, "row 0: income-per-year: expected a number between 0 and 0.4, got nan"),
        ("1st", math.nan, "row 0: 1st: expected a number between -1.5 and 60 or null, got nan"),
        ("_x", math.inf, "row 0: _x: expected a number, got inf"),
        ("_x", [1], "row 0: _x: expected a number, got [1]"),
        ("_x", 10**400, f"row 0: _x: expected a number, got 1{'0' * 56}..."),
        ("floor", -1, "row 0: floor: expected a number of at least 0, got -1"),
        ("schema", 1.5, "row 0: schema: expected a whole number between -3 and 120, got 1.5"),
        ("schema", True, "row 0: schema: expected a whole number between -3 and 120, got true"),
        ("schema", 121, "row 0: schema: expected a whole number between -3 and 120, got 121"),
        (
            "count",
            2**53,
            "row 0: count: expected a whole number between -9007199254740991 and 9007199254740991 or null, "
            "got 9007199254740992",
        ),
        ("model_x", 2, "row 0: model_x: expected true or false, got 2"),
        ("model_x", "truth", "row 0: model_x: expected true or false, got 'truth'"),
        ("c0", "blue", "row 0: c0: expected one of red, green, très bleu, \"oui\", got 'blue'"),
        ("c0", "", "row 0: c0: expected one of red, green, très bleu, \"oui\", got ''"),
        ("note", "x" * 51, f"row 0: note: expected text of at most 50 characters, got '{'x' * 51}'"),
        ("note", "a\nb" * 30, "row 0: note: expected text of at most 50 characters, got 'a\\nba\\nb"),
        ("note", "", "row 0: note: expected text of at most 50 characters, got "),
        (
            "seen",
            "2019-12-31T23:59:59",
            "row 0: seen: expected a time in ISO 8601 without a zone between 2020-01-01T00:00:00 and "
            "2024-12-31T23:59:59, got '2019-12-31T23:59:59'",
        ),
        (
            "ever",
            "2020-01-01T00:00:00Z",
            "row 0: ever: expected a time in ISO 8601 without a zone, got '2020-01-01T00:",
        ),
        ("ever", 20200101, "row 0: ever: expected a time in ISO 8601 without a zone, got 20200101"),
        ("born", "1970-05-17", "row 0: born: expected a time as %d/%m/%Y between 1900-01-01T00:00:00 and 2030-06-30"),
        ("1sr", 1, "row 0: unknown column '1sr'; did you mean '1st'?"),
        ("c1", 1, "row 0: unknown column 'c1'; did you mean 'c0'?"),
        ("a\nb\u2028c", 1, "row 0: unknown column 'a\\nb\\u2028c'"),
    ],
)
def test_a_refusal_names_row_column_and_what_was_expected(name: str, value: Any, message: str) -> None:
    told = about(name, value)
    assert len(told) == 1
    assert told[0].startswith(message)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("income-per-year", 0),
        ("income-per-year", 0.4),
        ("income-per-year", -0.0),
        ("income-per-year", 5e-324),
        ("1st", None),
        ("schema", 3.0),
        ("schema", -3),
        ("count", 2**53 - 1),
        ("size", None),
        ("size", ""),
        ("remark", ""),
        ("remark", "é"),
        *[("model_x", value) for value in (1, 0, 1.0, "1", "0", "true", "False", "YES", "no", " y ")],
        ("seen", "2020-01-01"),
        ("seen", "2024-12-31 23:59:59"),
        ("born", "17/05/1970"),
        ("born", None),
    ],
)
def test_a_value_at_the_edge_of_what_is_allowed_is_accepted(name: str, value: Any) -> None:
    assert about(name, value) == []


def test_a_column_that_may_be_missing_may_be_left_out_and_no_other() -> None:
    body = as_json(row(), WARD)
    for name, column in WARD.features.items():
        told = answers({"rows": [{key: value for key, value in body.items() if key != name}]})
        assert (told == []) == (column.missing == "allow")
        assert all(line.startswith(f"row 0: {name}: expected ") and line.endswith(", got nothing") for line in told)


def test_a_value_left_out_null_or_spelt_as_missing_is_none() -> None:
    body = as_json(row(), WARD)
    del body["1st"]
    request = MODEL.model_validate_json(json.dumps({"rows": [body | {"count": None, "size": "", "remark": ""}]}))
    values = row_values(request.rows[0], WARD)  # type: ignore[attr-defined]
    assert [values[name] for name in ("1st", "count", "size", "remark")] == [None] * 4


def test_a_text_that_a_file_would_spell_for_missing_is_missing_here_too() -> None:
    made = contract(missing_markers=["NA"])
    assert about("note", "NA", made) == ["row 0: note: expected text of at most 50 characters, got null"]
    assert about("remark", "", made) == []
    assert about("note", "", made) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"rows": []}, "rows: expected at least 1 row, got none"),
        ({"rows": [as_json(row(), WARD)] * 4}, "rows: expected at most 3 rows, got 4"),
        ({"rows": {}}, "rows: expected a list of rows, got {}"),
        ({"rows": None}, "rows: expected a list of rows, got null"),
        ({}, "rows: expected a list of rows, got nothing"),
        ({"rows": [as_json(row(), WARD), 5]}, "row 1: expected an object with a value for each column, got 5"),
        ({"rows": [as_json(row(), WARD)], "row": 1}, "unknown key 'row'; the body is {\"rows\": [{...}, ...]}"),
        ([1], 'the body: expected {"rows": [{...}, ...]}, got [1]'),
        (None, 'the body: expected {"rows": [{...}, ...]}, got null'),
    ],
)
def test_a_body_of_another_shape_is_refused(body: Any, message: str) -> None:
    assert answers(body) == [message]


@pytest.mark.parametrize("text", ["", "{", '{"rows": [', "\x00", '{"rows": "\ud800"}'])
def test_what_is_no_json_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        MODEL.model_validate_json(text.encode("utf-8", "surrogatepass"))
    told = explain(caught.value.errors(), WARD)
    assert len(told) == 1
    assert told[0].startswith("the body is not JSON: ")
    assert "\n" not in told[0]


def test_all_that_is_wrong_with_the_first_wrong_row_is_told_at_once() -> None:
    body = as_json(row(), WARD)
    told = answers({"rows": [body, body | {"_x": "a", "c0": "b"}, body | {"schema": -4}]})
    assert [line.split(":")[:2] for line in told] == [["row 1", " _x"], ["row 1", " c0"]]


def test_a_column_may_have_any_name() -> None:
    names = ["model_config", "__init__", "class", "rows", "a b", "", "é", "c1", "c0", "a\nb", "model_fields", "json"]
    made = small({name: {"kind": "number"} for name in names})
    values = {name: float(number) for number, name in enumerate(names)}
    request = request_model(made, 1).model_validate_json(json.dumps({"rows": [values]}))
    assert row_values(request.rows[0], made) == values  # type: ignore[attr-defined]
    assert answers({"rows": [values | {"a\nb": None}]}, made) == ["row 0: 'a\\nb': expected a number, got null"]


def test_the_schema_says_what_the_contract_says() -> None:
    schema = MODEL.model_json_schema()
    json.dumps(schema, allow_nan=False)
    assert schema["properties"]["rows"] | {"items": None} == {
        "items": None,
        "maxItems": 3,
        "minItems": 1,
        "title": "Rows",
        "type": "array",
    }
    made = schema["$defs"]["Row"]
    assert list(made["properties"]) == [*WARD.features, *WARD.unused]
    assert made["required"] == [name for name, column in WARD.features.items() if column.missing == "refuse"]
    assert made["additionalProperties"] is False
    assert made["properties"]["income-per-year"] == {
        "description": "before tax; in M€",
        "maximum": 0.4,
        "minimum": 0.0,
        "title": "income-per-year",
        "type": "number",
    }
    assert made["properties"]["c0"]["enum"] == list(COLUMNS["c0"]["values"])
    assert made["properties"]["floor"] == {"minimum": 0.0, "title": "floor", "type": "number"}
    assert made["properties"]["note"] == {"maxLength": 50, "not": {"enum": [""]}, "title": "note", "type": "string"}
    assert made["properties"]["ever"]["type"] == "string"
    assert made["properties"]["ever"]["description"] == "a time in ISO 8601 without a zone"


def test_the_model_needs_nothing_that_the_service_does_not_have() -> None:
    code = """
import sys
for name in ("pyarrow", "pandas", "sklearn", "hypothesis"):
    sys.modules[name] = None
from pathlib import Path
from assay.contract.request import request_model, row_values
from assay.contract.spec import Contract
from assay.data.columns import from_rows
columns = {"x": {"kind": "number"}}
made = Contract(name="n", data=Path("data/d.csv"), task="regression", target={"name": "y"}, columns=columns)
row = request_model(made, 1).model_validate({"rows": [{"x": 1}]}).rows[0]
print(from_rows([row_values(row, made)], made)["x"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[1.]\n", "")


def test_times_are_read_without_a_zone() -> None:
    body = as_json(row(), WARD) | {"seen": "2021-02-03T04:05", "born": "01/02/1999"}
    values = row_values(MODEL.model_validate({"rows": [body]}).rows[0], WARD)  # type: ignore[attr-defined]
    assert (values["seen"], values["born"]) == (datetime(2021, 2, 3, 4, 5), datetime(1999, 2, 1))


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ({"kind": "time", "zone": "UTC"}, "a time in ISO 8601, in UTC unless it has an offset"),
        (
            {"kind": "time", "zone": "Europe/Berlin", "cleaning": {"format": "seconds"}},
            "a time in ISO 8601 or in seconds since 1970, in Europe/Berlin unless it has an offset",
        ),
        ({"kind": "time", "cleaning": {"format": "%d.%m.%Y"}}, "a time in ISO 8601 or as %d.%m.%Y without a zone"),
    ],
)
def test_the_page_of_the_service_says_how_times_are_written(column: dict[str, Any], told: str) -> None:
    made = small({"x": column})
    schema = request_model(made, 1).model_json_schema()
    assert schema["$defs"]["Row"]["properties"]["x"]["description"] == told
    (refused,) = answers({"rows": [{"x": "soon"}]}, made)
    assert refused == f"row 0: x: expected {told}, got 'soon'"
