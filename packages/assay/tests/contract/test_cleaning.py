"""One function reads what files and clients write; what the contract allows is never changed by it."""

import json
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from assay.contract.cleaning import from_json, from_texts, reader, written_as
from assay.contract.request import as_json, explain
from assay.contract.spec import Category, CategoryCleaning, Column, Contract, Number, Time
from assay.data.reading import typed
from assay.inference.rows import RowReader
from assay.inference.tables import read_columns
from assay.properties.strategies import feature_rows
from contract.test_request import refused_columns, wild_rows
from examples import COLUMNS, beside, contract, faults, small

EUROS = {"kind": "number", "range": [-1e7, 1e7], "cleaning": {"decimal": ",", "units": {"€": 1, "T€": 1000}}}
# Each case by its name: a column, a raw value, and what the value means.
MEANT: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "a decimal comma": (EUROS, "12,5", 12.5),
    "thousands and a unit": (EUROS, "1.234,50 €", 1234.5),
    "a unit with a factor": (EUROS, "1,5 T€", 1500.0),
    "brackets for minus": (EUROS, "(500 €)", -500.0),
    "spaces for thousands": (EUROS, "12\u00a0500,25", 12500.25),
    "a number of JSON": (EUROS, 1.234, 1.234),
    "a text for a number": ({"kind": "integer", "cleaning": {}}, " 39 ", 39),
    "thousands of a count": ({"kind": "integer", "cleaning": {}}, "1,234", 1234),
    "a time of day": ({"kind": "number", "cleaning": {"clock": True}}, "6:30 PM", 18.5),
    "a boolean as a number": ({"kind": "boolean"}, 1, True),
    "a boolean in words": ({"kind": "boolean"}, "NO", False),
    "a boolean in German": ({"kind": "boolean"}, " ja ", True),
    "a category as a number": ({"kind": "category", "values": ["1", "3"], "cleaning": {}}, 3, "3"),
    "a category as a float": ({"kind": "category", "values": ["1", "3"], "cleaning": {}}, "3.0", "3"),
    "a category in spaces": (
        {"kind": "category", "values": ["deep blue"], "cleaning": {}},
        " deep  blue ",
        "deep blue",
    ),
    "another case": ({"kind": "category", "values": ["Bonn"], "cleaning": {"case": "ignore"}}, "BONN", "Bonn"),
    "a day": ({"kind": "time", "cleaning": {"format": "%d/%m/%Y"}}, "30/11/2018", datetime(2018, 11, 30)),
    "a day in ISO 8601": ({"kind": "time", "cleaning": {"format": "%d/%m/%Y"}}, "2018-11-30", datetime(2018, 11, 30)),
    "a day in digits": ({"kind": "time", "cleaning": {"format": "%Y%m%d"}}, 20181130, datetime(2018, 11, 30)),
    "milliseconds": (
        {"kind": "time", "zone": "UTC", "cleaning": {"format": "milliseconds"}},
        1512010112345,
        datetime(2017, 11, 30, 2, 48, 32, 345000),
    ),
    "a day of a spreadsheet": ({"kind": "time", "cleaning": {"format": "days"}}, 43434, datetime(2018, 11, 30)),
    "a quarter": ({"kind": "time", "cleaning": {"format": "periods"}}, "Q4 2018", datetime(2018, 10, 1)),
    "a month in Spanish": (
        {"kind": "time", "cleaning": {"format": "%d %b %Y"}},
        "30 noviembre 2018",
        datetime(2018, 11, 30),
    ),
    "an offset": ({"kind": "time", "zone": "UTC"}, "2018-11-30T01:00:00+02:00", datetime(2018, 11, 29, 23)),
    "no offset": ({"kind": "time", "zone": "UTC"}, "2018-11-30T01:00:00", datetime(2018, 11, 30, 1)),
    "an offset in summer": (
        {"kind": "time", "zone": "Europe/Berlin"},
        "2018-07-01T00:00:00Z",
        datetime(2018, 7, 1, 2),
    ),
    "an offset in another format": (
        {"kind": "time", "zone": "UTC", "cleaning": {"format": "%d/%b/%Y:%H:%M:%S %z"}},
        "30/Nov/2018:01:00:00 -0500",
        datetime(2018, 11, 30, 6),
    ),
    "a word for missing": ({"kind": "integer", "missing": "allow", "cleaning": {"missing": ["n/a"]}}, " n/a", None),
    "a number for missing": (
        {"kind": "number", "range": [0, 9], "missing": "allow", "cleaning": {"missing": ["-999"]}},
        -999,
        None,
    ),
    "NA as a code": ({"kind": "category", "values": ["NA", "DE"], "missing": "allow", "cleaning": {}}, "NA", "NA"),
    "an exponent as a code": ({"kind": "category", "values": ["1E5", "0E1"], "cleaning": {}}, "0E1", "0E1"),
}
UNREADABLE: dict[str, tuple[dict[str, Any], Any]] = {
    "a text for a number, and no cleaning": ({"kind": "number"}, "12.5"),
    "the other decimal mark": (EUROS, "12.5"),
    "groups of two": (EUROS, "1.23.456"),
    "an unknown unit": (EUROS, "12,5 £"),
    "a bracket alone": (EUROS, "(12,5"),
    "a telephone number": ({"kind": "number", "cleaning": {}}, "+49 30 4381633"),
    "case that means something": ({"kind": "category", "values": ["m", "k"], "cleaning": {"case": "ignore"}}, "M"),
    "case of a unit": ({"kind": "category", "values": ["MW"], "cleaning": {"case": "ignore"}}, "mW"),
    "another case, which is kept": ({"kind": "category", "values": ["Bonn"], "cleaning": {}}, "bonn"),
    "an offset without a zone": ({"kind": "time"}, "2018-11-30T01:00:00+02:00"),
    "an offset beside days that are counted": (
        {"kind": "time", "cleaning": {"format": "days"}},
        "2018-11-30T01:00:00+02:00",
    ),
    "a week that no year has": ({"kind": "time", "cleaning": {"format": "periods"}}, "2018-W60"),
    "a time before the calendar": ({"kind": "time", "zone": "UTC"}, "0001-01-01T00:00:00+02:00"),
    "a time after the calendar": (
        {"kind": "time", "zone": "UTC", "cleaning": {"format": "seconds"}},
        "9" * 30,
    ),
    "a word for missing where none may be": ({"kind": "integer", "cleaning": {"missing": ["n/a"]}}, "n/a"),
    "two for a boolean": ({"kind": "boolean"}, 2),
}
OTHER = {"y": {"kind": "number"}}


def read_request(column: dict[str, Any], value: Any) -> Any:
    (row,) = RowReader(small({"x": column, **OTHER}), 1).read(json.dumps({"rows": [{"x": value, "y": 1.0}]}).encode())
    return row[0]


def read_file(column: dict[str, Any], value: Any) -> tuple[Any, bool]:
    """Return what a cell of a table means, and whether it breaks the contract."""
    made = small({"x": column | {"missing": "allow"}, **OTHER})
    cells = pa.array([value, value])
    table, violations = typed(pa.table({"x": cells, "y": [1.0, 1.0], "sick": ["no", "yes"]}), made)
    return table["x"][0].as_py(), any(one.rule != "all values are missing" for one in violations)


@pytest.mark.parametrize("what", MEANT)
def test_a_raw_value_means_the_same_in_a_file_and_in_a_request(what: str) -> None:
    column, value, meant = MEANT[what]
    assert read_request(column, value) == meant
    assert read_file(column, value) == (meant, False)


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_cannot_be_read_is_refused_as_it_was_given(what: str) -> None:
    column, value = UNREADABLE[what]
    with pytest.raises(ValidationError) as caught:
        read_request(column, value)
    assert caught.value.errors()[0]["input"] == value


CLEAN = contract(clean=True)


@given(st.lists(feature_rows(CLEAN), min_size=1, max_size=3))
def test_a_value_that_the_contract_allows_is_never_changed(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        for name, value in as_json(row, CLEAN).items():
            assert repr(from_json(CLEAN.features[name], [""])(value)) == repr(value), name
    body = json.dumps({"rows": [as_json(row, CLEAN) for row in rows]}).encode()
    reader = RowReader(CLEAN, 3)
    # After the features come the ids, of which these have none.
    assert reader.read_fast(body) == reader.validate(body) == [(*row.values(), None) for row in rows]


def raw_texts(column: Column) -> st.SearchStrategy[Any]:
    """Return texts as people write the values of a column of PEOPLE, or the values."""
    match column:
        case Number():
            numbers = st.floats(-1e6, 1e6).map(lambda number: round(number, 2))
            swapped = str.maketrans(",.", ".,")
            ends = st.sampled_from(["", " €", "€"])
            return numbers | st.tuples(numbers, ends).map(lambda both: f"{both[0]:,.2f}".translate(swapped) + both[1])
        case Time():
            return st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)).map(lambda day: f"{day:%d/%m/%Y}")
        case Category():
            ways = st.sampled_from([str, str.upper, str.title, lambda word: f"  {word} ", str.swapcase])
            return st.tuples(st.sampled_from(column.values), ways).map(lambda both: both[1](both[0]))
        case _:
            return st.sampled_from([True, False, 1, 0, "yes", "NO", "ja", "off"])


PEOPLE: Contract = small(
    {
        "euros": EUROS,
        "born": {"kind": "time", "cleaning": {"format": "%d/%m/%Y"}},
        "town": {"kind": "category", "values": ["Bonn", "Köln", "deep blue"], "cleaning": {"case": "ignore"}},
        "smokes": {"kind": "boolean"},
    },
    clean=True,
)


@given(st.fixed_dictionaries({name: raw_texts(column) for name, column in PEOPLE.features.items()}))
def test_a_raw_row_is_read_like_the_clean_one_in_every_way(raw: dict[str, Any]) -> None:
    reader = RowReader(PEOPLE, 1)
    read = reader.read(json.dumps({"rows": [raw]}).encode())
    clean = as_json(dict(zip(PEOPLE.features, read[0], strict=True)), PEOPLE)
    # What was cleaned goes the fast way, and is not changed again.
    assert reader.read_fast(json.dumps({"rows": [clean]}).encode()) == read
    table, violations = read_columns(pa.table({name: [value] for name, value in raw.items()}), PEOPLE)
    assert not violations
    assert [values[0].item() if hasattr(values[0], "item") else values[0] for values in table.values()] == [*read[0]]


def of_file(texts: list[str], column: Column) -> list[Any]:
    return from_texts(texts, reader(written_as(texts, column)))


@given(st.lists(raw_texts(PEOPLE.features["euros"]).filter(lambda value: isinstance(value, str)), min_size=1))
def test_cleaning_a_cleaned_file_changes_nothing(texts: list[str]) -> None:
    column = PEOPLE.features["euros"]
    values = from_texts(texts, reader(column))
    assert None not in values
    assert of_file([repr(value) for value in values], column) == values


def test_texts_of_a_file_decide_together_whether_a_point_is_a_decimal_point() -> None:
    column = PEOPLE.features["euros"]
    assert of_file(["1.234", "5"], column) == [1.234, 5]
    assert of_file(["1.234", "5,5"], column) == [1234, 5.5]
    assert of_file(["12.34", "5,5"], column) == [None, 5.5]


def test_another_column_may_show_that_a_file_was_not_cleaned() -> None:
    made = small({"a": EUROS, "b": EUROS})
    table, violations = typed(pa.table({"a": ["1.234", "5"], "b": ["1,5", "2"], "sick": ["no", "yes"]}), made)
    assert not violations
    assert table["a"].to_pylist() == [1234, 5]


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ({"kind": "number", "range": [0, 999], "cleaning": {"missing": ["999"]}}, "999 means missing, but lies in"),
        ({"kind": "number", "cleaning": {"missing": ["-9"]}}, "-9 means missing, but lies in the range"),
        ({"kind": "category", "values": ["NA"], "cleaning": {"missing": ["NA"]}}, "'NA' is one of the values and"),
        ({"kind": "time", "zone": "Bonn"}, "zone 'Bonn': there is no such time zone"),
        ({"kind": "time", "cleaning": {"format": "%d.%m.%Y %z"}}, "is not a strptime format without a zone"),
        ({"kind": "number", "cleaning": {"decimal": ";"}}, "decimal"),
        ({"kind": "number", "cleaning": {"units": {"kg": 0}}}, "units.kg"),
        ({"kind": "id", "cleaning": {}}, "cleaning"),
    ],
)
def test_cleaning_that_contradicts_itself_is_refused(column: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        small({"x": column, **OTHER})
    assert reason in str(caught.value)


def test_a_target_is_cleaned_too() -> None:
    made = contract("regression", target={"name": "sick", "cleaning": EUROS["cleaning"]}, columns=COLUMNS)
    assert reader(made.target_column)("1.234,50 €") == 1234.5
    words = contract(
        target={"name": "sick", "classes": ["no", "yes"], "positive": "yes", "cleaning": {"case": "ignore"}}
    )
    assert reader(words.target_column)("YES ") == "yes"


MARKED: Contract = contract(
    clean=True,
    columns=COLUMNS
    | {
        "_x": {"kind": "number", "cleaning": {"decimal": ",", "units": {"kg": 1}}},
        "count": {"kind": "integer", "range": [0, 100], "missing": "allow", "cleaning": {"missing": ["-9"]}},
        "c0": {"kind": "category", "values": ["red", "Green"], "cleaning": {"case": "ignore"}},
        "size": {"kind": "category", "values": ["S"], "missing": "allow", "cleaning": {"missing": ["-9"]}},
        "seen": {"kind": "time", "zone": "Europe/Berlin", "range": ["2020-01-01", "2024-12-31T23:59:59"]},
        "ever": {"kind": "time", "cleaning": {"format": "%d.%m.%Y"}},
    },
)


@settings(max_examples=10)
@given(wild_rows(MARKED))
def test_a_row_is_refused_iff_the_check_of_data_has_something_to_say_of_it(made: dict[str, Any]) -> None:
    assert refused_columns(made, MARKED) == {fault.column for fault in faults(beside(made, "binary"), MARKED)}


def test_a_refusal_says_that_a_text_needs_a_decimal_comma() -> None:
    made = small({"x": EUROS})
    with pytest.raises(ValidationError) as caught:
        RowReader(made, 1).read(b'{"rows": [{"x": "1.5"}]}')
    assert explain(caught.value.errors(), made) == [
        "row 0: x: expected a number between -10000000 and 10000000, in text with a decimal comma, got '1.5'"
    ]


def test_a_column_of_a_hundred_thousand_categories_is_read_in_one_pass():
    """Minutes, if each text looked at all values of the list."""
    names = [f"rs{number}" for number in range(100_000)]
    column = Category(kind="category", values=tuple(names), cleaning=CategoryCleaning(case="ignore"))
    assert from_texts([name.upper() for name in names], reader(column)) == names
