"""From bodies to rows: quickly or slowly, what is read is what the request model takes, and nothing else."""

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from assay.contract.request import as_json, request_model, row_values
from assay.data.columns import MANY, from_rows
from assay.inference.rows import RowReader, Values
from assay.properties.strategies import feature_rows
from examples import COLUMNS, TASKS, contract
from examples import row as good_row

WARD = contract()
MOST = 3
READER, MODEL = RowReader(WARD, MOST), request_model(WARD, MOST)
# What a value of JSON may look like; each is right in some column, or nearly.
SPELLINGS = [
    *["0", "-0", "1", "1.0", "1e0", "1E2", "1.5", "0.30000000000000004", "1e400", "-1e400", "1e-400", "NaN", "01", "-"],
    *["9007199254740992", "9007199254740993", "9223372036854775808", "123456789012345678901234567890"],
    *["null", "true", "false", "[]", "{}", "[1]", '{"a": 1}', "", '"', '""', '"NA"', '"S"', '"s"', '"red"', '"1"'],
    *['"\\u0072ed"', '"true"', '"\\ud800"', '"\\ud83d\\ude00"', '"😀"', '"😀😀"', '"\x00"', '"\\/"'],
    *[f'"{"x" * length}"' for length in (2, 50, 51)],
    *['"2021-02-03"', '"2021-02-03T04:05:06Z"', '"2021-02-30"', '"20210203"', '"03/02/2021"', '"3/2/21"'],
]
# The ends of ranges, and what is next to them.
ENDS = ["-1.5", "-1.5000000000000002", "60", "60.00000000000001", "-3", "-4", "120", "121", "0.4", "0.4000000000000001"]
ENDS += ['"2019-12-31T23:59:59.999999"', '"2024-12-31T23:59:59"', '"2024-12-31T23:59:59.000001"', '"30/06/2030"']
ENDS += ['"01/07/2030"', "-9007199254740992", "-9007199254740993", "1.7976931348623157e308"]


def quickly(body: bytes) -> list[Values] | None:
    """Return what is read of features, None for what is refused."""
    try:
        return [row[: len(WARD.features)] for row in READER.read(body)]
    except ValidationError:
        return None


def slowly(body: bytes) -> list[Values] | None:
    """Return what the request model reads, None for what it refuses."""
    try:
        request: Any = MODEL.model_validate_json(body)
    except ValidationError:
        return None
    return [tuple(row_values(row, WARD).values()) for row in request.rows]


def spelt(values: dict[str, str]) -> str:
    return "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in values.items()) + "}"


def told_apart(bodies: Iterable[str]) -> tuple[int, int]:
    """Hold what is read to what the request model reads; return how many bodies are taken, and how many refused."""
    # By their texts, for -0.0 equals 0.0, and True equals 1.
    taken = refused = 0
    for body in bodies:
        read = quickly(body.encode())
        assert repr(read) == repr(slowly(body.encode())), body
        taken, refused = taken + (read is not None), refused + (read is None)
    return taken, refused


GOOD = {name: json.dumps(value) for name, value in as_json(good_row(), WARD).items()}


def test_every_spelling_of_every_value_is_read_as_the_request_model_reads_it() -> None:
    rows = [spelt(GOOD | {name: text}) for name in WARD.features for text in (*SPELLINGS, *ENDS)]
    taken, refused = told_apart([f'{{"rows": [{row}]}}' for row in rows])
    assert taken > len(WARD.features) * 3
    assert refused > len(WARD.features) * 30


def test_keys_are_read_as_the_request_model_reads_them() -> None:
    good = spelt(GOOD)
    rows = [spelt({key: value for key, value in GOOD.items() if key != name}) for name in WARD.features]
    rows += [f"{good[:-1]}, {json.dumps(name)}: {text}}}" for name, text in GOOD.items()]
    rows += [f"{good[:-1]}, {json.dumps(name)}: []}}" for name in GOOD]
    rows += [f"{good[:-1]}, {name}: 1}}" for name in ('"other"', '"c1"', '""', '"C0"', '"c0\\u0000"', "c0")]
    rows += [spelt(dict(reversed(GOOD.items()))), "{}", "[]", "null", "1", good[:-1], f"{good}, {good}, {good}, {good}"]
    taken, refused = told_apart([f'{{"rows": [{row}]}}' for row in rows])
    assert taken > len(WARD.features)
    assert refused > len(WARD.features)


@given(
    rows=st.lists(st.dictionaries(st.sampled_from(WARD.unused), st.text() | st.integers() | st.none()), max_size=MOST)
)
def test_columns_that_are_not_features_may_have_any_value_and_change_nothing(rows: list[dict[str, Any]]) -> None:
    assert {"patient", "scribble", "sick"} == set(WARD.unused)
    good = as_json(good_row(), WARD)
    plain = json.dumps({"rows": [good] * max(1, len(rows))}).encode()
    body = json.dumps({"rows": [good | row for row in rows] or [good]}).encode()
    read = READER.read_fast(body)
    assert read == READER.validate(body)
    # After the features come the ids, for the log.
    count = len(WARD.features)
    assert [row[:count] for row in read or []] == [row[:count] for row in READER.read_fast(plain) or []]
    assert [row[count:] for row in read or []] == [(row.get("patient"),) for row in rows or [{}]]


def test_what_is_around_the_rows_is_read_as_the_request_model_reads_it() -> None:
    good = spelt(GOOD)
    around = ["%s", "[%s]", '{"rows": %s}', '{"rows": []}', '{"Rows": [%s]}', '{"rows": [%s], "more": 1}', ""]
    around += ['{"rows": [], "rows": [%s]}', '{"rows": [%s], "rows": []}', ' \n{\t"rows" :[%s ] } ', '{"rows": [%s,]}']
    around += ['\ufeff{"rows": [%s]}', '{"r\\u006fws": [%s]}', '{"rows": [%s, %s, %s]}', '{"rows": {"0": %s}}']
    around += ['{"rows": [%s]} x']
    taken, refused = told_apart([one.replace("%s", good) for one in around])
    assert (taken, refused) == (4, 12)


def test_what_stands_for_a_missing_value_is_none_or_refused() -> None:
    made = contract(missing_markers=["", "NA"])
    good = as_json(good_row(), made)
    reader = RowReader(made, MOST)
    place = list(made.features).index("size")
    for text in ("NA", ""):
        assert reader.read(json.dumps({"rows": [good | {"size": text}]}).encode())[0][place] is None
        with pytest.raises(ValidationError):
            reader.read(json.dumps({"rows": [good | {"note": text}]}).encode())


@pytest.mark.parametrize("task", TASKS)
@given(data=st.data())
def test_rows_of_the_contract_are_read_quickly(task: str, data: st.DataObject) -> None:
    made = contract(task)
    rows = data.draw(st.lists(feature_rows(made), min_size=1, max_size=MOST))
    body = json.dumps({"rows": [as_json(row, made) for row in rows]}).encode()
    assert RowReader(made, MOST).read_fast(body) == [(*row.values(), None) for row in rows]


@pytest.mark.parametrize("name", ['a "b"', "a\\b", "a\nb", "\x00", "", " ", "über"])
def test_a_column_may_have_any_name(name: str) -> None:
    made = contract(columns={**COLUMNS, name: {"kind": "number"}})
    reader = RowReader(made, MOST)
    (read,) = reader.read(json.dumps({"rows": [as_json(good_row(**{name: 2.5}), made)]}).encode())
    assert read[len(made.features) - 1] == 2.5
    ignoring = contract(columns={**COLUMNS, name: {"kind": "ignored", "reason": "a test"}})
    body = json.dumps({"rows": [as_json(good_row(), ignoring) | {name: 2.5}]}).encode()
    assert len(RowReader(ignoring, MOST).read(body)[0]) == len([*ignoring.features, *ignoring.given_ids])
    assert reader.columns([read])[name].tolist() == [2.5]


@pytest.mark.parametrize("times", [1, MANY])
@given(rows=st.lists(feature_rows(WARD), min_size=1, max_size=5))
def test_columns_hold_what_few_and_many_rows_do(times: int, rows: list[dict[str, Any]]) -> None:
    rows = rows * times
    found = RowReader(WARD, 5).columns([tuple(row.values()) for row in rows])
    wanted = from_rows(rows, WARD)
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype
