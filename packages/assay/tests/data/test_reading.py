import codecs
import csv
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.base.errors import InputError
from assay.contract import rules
from assay.data.check import check
from assay.data.delimited import read_delimited
from assay.data.reading import EXPLAINED, read_table, typed
from assay.data.violations import Violation
from assay.properties.strategies import as_table, rows
from examples import contract, row, small

AGES = small({"age": {"kind": "integer", "range": [0, 120]}, "note": {"kind": "text", "missing": "allow"}})
GOOD = "age,note,sick\n1,a,no\n2,b,yes\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.csv"


def read(path: Path, content: str | bytes) -> tuple[dict[str, list[Any]], list[Violation]]:
    """Return the columns and the violations of a CSV file with this content."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    table, violations = read_table(path, AGES)
    return table.to_pydict(), violations


def cells(kind: str, *values: Any) -> tuple[list[Any], set[str]]:
    """Return one column after typing, and the rules that its cells break."""
    made = small({"x": {"kind": kind, "missing": "allow"}, "y": {"kind": "number"}})
    raw = pa.table({"x": pa.array(values), "y": [1.0] * len(values), "sick": ["no"] * len(values)})
    table, violations = typed(raw, made)
    return table["x"].to_pylist(), {one.rule for one in violations}


def test_a_csv_file_becomes_a_typed_table_in_the_order_of_the_contract(path: Path) -> None:
    columns, violations = read(path, "sick,note,age\nno,a,1\nyes,,2\n")
    assert columns == {"age": [1, 2], "note": ["a", None], "sick": ["no", "yes"]}
    assert list(columns) == ["age", "note", "sick"]
    assert violations == []


@pytest.mark.parametrize(
    "content",
    [
        GOOD.rstrip("\n"),
        GOOD.replace("\n", "\r\n"),
        codecs.BOM_UTF8 + GOOD.encode(),
        '"age","note","sick"\n1,"a","no"\n2,"b","yes"\n',
        GOOD.replace("1", " 1"),
        GOOD.replace("1", "1.0"),
        GOOD.replace("1", "+1"),
        GOOD.replace("1", "1e0"),
        GOOD.replace("1,a", '"1",a'),
    ],
    ids=["no last newline", "CRLF", "BOM", "quoted", "space", "1.0", "+1", "1e0", "quoted number"],
)
def test_the_same_data_written_otherwise_is_the_same(path: Path, content: str | bytes) -> None:
    assert read(path, content) == (
        {"age": [1, 2], "note": ["a", "b"], "sick": ["no", "yes"]},
        [],
    )


def test_a_quoted_text_may_hold_commas_quotes_and_lines(path: Path) -> None:
    columns, violations = read(path, 'age,note,sick\n1,"a, ""b""\nc",no\n2,"d,",yes\n')
    assert columns["note"] == ['a, "b"\nc', "d,"]
    assert violations == []


def test_a_cell_may_take_some_megabytes(path: Path) -> None:
    long = "a" * (3 << 20)
    columns, violations = read(path, f"age,note,sick\n1,{long},no\n")
    assert columns["note"] == [long]
    assert violations == []
    assert read_delimited(path, "data.csv", "sick")[0]["note"].to_pylist() == [long]


def test_an_empty_cell_is_missing_quoted_or_not(path: Path) -> None:
    columns, _ = read(path, 'age,note,sick\n1,"",no\n2,,yes\n')
    assert columns["note"] == [None, None]


def test_a_row_survives_a_csv_file(tmp_path: Path) -> None:
    made = contract()
    path = tmp_path / "data.csv"

    @settings(max_examples=30)
    @given(st.lists(rows(made), min_size=1, max_size=4))
    def holds(drawn: list[dict[str, Any]]) -> None:
        whole = [row(), row(sick="yes"), *drawn]
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, whole[0], quoting=csv.QUOTE_NONNUMERIC)
            writer.writeheader()
            for one in whole:
                born = one["born"] and one["born"].strftime("%d/%m/%Y")
                writer.writerow(one | {"born": born, "maybe": {True: "yes", False: "0"}.get(one["maybe"])})
        table, violations = read_table(path, made)
        assert violations + check(table, made) == []
        assert table.to_pylist() == [{name: one[name] for name in table.column_names} for one in whole]

    holds()


def test_a_row_survives_a_parquet_file(tmp_path: Path) -> None:
    made = contract("regression")
    path = tmp_path / "data.parquet"

    @settings(max_examples=20)
    @given(st.lists(rows(made), min_size=1, max_size=4))
    def holds(drawn: list[dict[str, Any]]) -> None:
        whole = as_table([row("regression"), *drawn], made)
        pq.write_table(whole, path)
        table, violations = read_table(path, made)
        assert violations == []
        assert table.equals(whole)

    holds()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "Empty CSV file"),
        (b"age,note,sick\n1,a,no\n2,b", "Expected 3 columns, got 2: 2,b"),
        (b"age,note,sick\n1,a,no\n2,b,yes,\n", "Expected 3 columns, got 4: 2,b,yes,"),
        (b'age,note,sick\n1,a,no\n2,"b,yes\n', "Expected 3 columns, got 2"),
        (b'age,note,sick\n1,a,no\n2,b,"yes\n', "the file ends inside a quoted cell"),
        (b'age,note,sick\n1,a,no\n2,b,"', "the file ends inside a quoted cell"),
        (b'age,note,sick\n1,"a",no\n2,b,"y,', "the file ends inside a quoted cell"),
        (b"age,note,age\n1,a,no\n", "column 'age' occurs twice"),
        ("age,note,sick\n1,é,no\n".encode("latin-1"), "save it as UTF-8"),
        ((GOOD + 9999 * "1,a,no\n" + "1,é,no\n").encode("latin-1"), "invalid UTF8 data; save it as UTF-8"),
        ((GOOD + '1,a,"no\n' + 50_000 * "1,a,no\n").encode(), "it is cut off"),
        ("é,note,sick\n1,a,no\n".encode("latin-1"), "not UTF-8 text"),
        (GOOD.encode("utf-16"), "not UTF-8 text"),
        (GOOD.encode("utf-16-le"), "not UTF-8 text"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not UTF-8 text"),
        (b"PAR1\x15\x04\x15\x00\xff\xfe", "not UTF-8 text"),
    ],
)
def test_a_broken_csv_file_is_refused_in_one_line(path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(path, content)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ['2,5" pipe,yes', '2,"a,",yes', '2,"a","yes"', '2,"5"" pipe",yes'])
def test_quotes_that_are_closed_or_mere_characters_are_fine(path: Path, text: str) -> None:
    _, violations = read(path, f"age,note,sick\n1,a,no\n{text}\n")
    assert violations == []


def test_a_header_without_rows_is_an_empty_table(path: Path) -> None:
    columns, violations = read(path, "age,note,sick\n")
    assert columns == {"age": [], "note": [], "sick": []}
    assert violations == []


def test_empty_lines_above_the_header_change_nothing(path: Path) -> None:
    assert read(path, "\n\r\nage,note,sick\n1,007,no\n") == read(path, "age,note,sick\n1,007,no\n")
    with pytest.raises(InputError, match="column 'age' occurs twice"):
        read(path, "\nage,note,age\n1,a,no\n")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: there is no such file"):
        read_table(tmp_path / "none.csv", AGES)
    with pytest.raises(InputError, match="is a folder"):
        read_table(tmp_path, AGES)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.xlsx"
    path.write_text("x")
    with pytest.raises(InputError, match=r"expected a \.csv or \.parquet file"):
        read_table(path, AGES)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-1],
        lambda whole: whole[10:],
        lambda whole: GOOD.encode(),
        lambda whole: b"x",
    ],
)
def test_a_broken_parquet_file_is_refused_in_one_line(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"age": [1, 2], "note": ["a", "b"], "sick": ["no", "yes"]}), path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(InputError, match=r"data\.parquet: not a complete Parquet file: ") as caught:
        read_table(path, AGES)
    assert "\n" not in str(caught.value)


def test_a_parquet_file_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table([[1], [2]], names=["age", "age"]), path)
    with pytest.raises(InputError, match=r"data\.parquet: column 'age' occurs twice"):
        read_table(path, AGES)


def test_a_missing_column_is_a_violation(path: Path) -> None:
    columns, violations = read(path, "note,sick\na,no\nb,yes\n")
    assert list(columns) == ["note", "sick"]
    assert [str(one) for one in violations] == ["column 'age': missing column: not in the data; 2 rows"]


def test_a_column_too_many_is_a_violation(path: Path) -> None:
    columns, violations = read(path, "age,note,sick,extra\n1,a,no,x\n")
    assert "extra" not in columns
    assert [str(one) for one in violations] == ["column 'extra': unknown column: not in the contract; 1 row"]


def test_a_misspelt_column_is_named_on_both_sides(path: Path) -> None:
    _, violations = read(path, "Age,note,sick\n1,a,no\n")
    assert [str(one) for one in violations] == [
        "column 'Age': unknown column: not in the contract; did you mean 'age'?; 1 row",
        "column 'age': missing column: not in the data; did you mean 'Age'?; 1 row",
    ]


def test_each_of_many_unknown_columns_is_a_violation_and_the_first_are_explained() -> None:
    table = pa.table({**{f"age{number}": [1] for number in range(1, 300)}, "note": ["a"], "sick": ["no"]})
    _, violations = typed(table, AGES)
    unknown = [one for one in violations if one.rule == rules.UNKNOWN_COLUMN]
    assert [one.column for one in unknown] == [f"age{number}" for number in range(1, 300)]
    hinted = [one.column for one in unknown if "did you mean 'age'?" in one.examples[0]]
    assert hinted == [f"age{number}" for number in range(1, EXPLAINED + 1)]
    (missing,) = [one for one in violations if one.rule == rules.MISSING_COLUMN]
    assert "did you mean 'age" in missing.examples[0]


def test_a_column_of_a_type_that_holds_no_such_values_is_a_violation() -> None:
    lists = pa.DictionaryArray.from_arrays(pa.array([0]), pa.array([[1]]))
    for values in (pa.RunEndEncodedArray.from_arrays([1], ["1"]), lists):
        made, violations = typed(pa.table({"age": values, "note": ["a"], "sick": ["no"]}), AGES)
        assert made["age"].to_pylist() == [None]
        assert violations == [Violation("age", "not a whole number", 1, (str(values.type)[:60],), 0)]


def test_a_missing_target_is_a_violation(path: Path) -> None:
    _, violations = read(path, "age,note\n1,a\n")
    assert [(one.column, one.rule) for one in violations] == [("sick", rules.MISSING_COLUMN)]


def test_cells_of_another_type_are_counted_with_examples_and_the_first_row(path: Path) -> None:
    columns, violations = read(path, "age,note,sick\n1,a,no\nx,b,yes\n1.5,c,no\n,d,no\nold,e,no\nyoung,f,no\n")
    assert columns["age"] == [1, None, None, None, None, None]
    assert violations == [
        Violation("age", rules.MISSING, 1, ("no value",), 3),
        Violation("age", "not a whole number", 4, ("x", "1.5", "old"), 1),
    ]


def test_a_column_without_any_value_is_a_violation_even_where_missing_is_allowed(path: Path) -> None:
    _, violations = read(path, "age,note,sick\n1,,no\n2,,yes\n")
    assert violations == [Violation("note", rules.ALL_MISSING, 2, ("no value",))]


def test_a_target_without_any_value_is_a_violation() -> None:
    made = small({"x": {"kind": "number"}}, "regression")
    table, violations = typed(pa.table({"x": [1.0], "sick": pa.nulls(1)}), made)
    assert [(one.column, one.rule) for one in violations + check(table, made)] == [("sick", rules.ALL_MISSING)]


@pytest.mark.parametrize("kind", [pa.string(), pa.date32(), pa.timestamp("us")])
def test_a_day_that_means_missing_is_missing_in_whatever_type_it_is_read(kind: pa.DataType) -> None:
    made = small({"x": {"kind": "time", "missing": "allow", "cleaning": {"missing": ["1900-01-01"]}}})
    days = pa.array([date(1900, 1, 1), date(2018, 11, 30)]).cast(kind)
    table, violations = typed(pa.table({"x": days, "sick": ["no", "yes"]}), made)
    assert table["x"].to_pylist() == [None, datetime(2018, 11, 30)]
    assert not violations


def test_markers_are_missing_in_csv_and_parquet_alike(tmp_path: Path) -> None:
    made = contract(columns=AGES.model_dump(mode="json")["columns"], missing_markers=["NA"])
    for suffix in ("csv", "parquet"):
        path = tmp_path / f"data.{suffix}"
        if suffix == "csv":
            path.write_text('age,note,sick\n1,NA,no\n2,"",yes\n3,"NA",no\n')
        else:
            pq.write_table(pa.table({"age": [1, 2, 3], "note": ["NA", "", "NA"], "sick": ["no", "yes", "no"]}), path)
        table, violations = read_table(path, made)
        assert table["note"].to_pylist() == [None, "", None]
        assert violations == []


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1", "-0.0", "5e-324", ".5", " 2 "], [1.0, -0.0, 5e-324, 0.5, 2.0]),
        (["1e400", "-inf", "Infinity"], [float("inf"), float("-inf"), float("inf")]),
        (["nan", "NaN"], [None, None]),
    ],
)
def test_numbers_are_read_alike_beside_good_and_bad_cells(texts: list[str], values: list[float | None]) -> None:
    assert cells("number", *texts, "1") == ([*values, 1.0], set())
    assert cells("number", *texts, "x") == ([*values, None], {"not a number"})


def test_whole_numbers_are_read_alike_beside_good_and_bad_cells() -> None:
    texts = ["1", "-0", "+7", str(2**53 + 1), str(-(2**63)), str(2**63 - 1)]
    values = [int(text) for text in texts]
    assert cells("integer", *texts) == (values, set())
    assert cells("integer", *texts, "x", str(2**63)) == ([*values, None, None], {"not a whole number"})


@pytest.mark.parametrize("text", ["1_000", "1,5", "٣", "0x10", "", " ", "1 2", "true", "--1"])
def test_what_other_readers_do_not_take_for_a_number_is_none(text: str) -> None:
    made = small({"x": {"kind": "number", "missing": "allow"}}, missing_markers=[])
    table, violations = typed(pa.table({"x": ["1", text], "sick": ["no", "yes"]}), made)
    assert table["x"].to_pylist() == [1.0, None]
    assert violations == [Violation("x", "not a number", 1, (text,), 1)]


@pytest.mark.parametrize(
    ("kind", "given", "values", "problems"),
    [
        ("number", pa.array([1, None, 2], pa.int32()), [1.0, None, 2.0], set()),
        ("number", pa.array([Decimal("1.5")]), [1.5], set()),
        ("number", pa.array([1.0, float("nan")]), [1.0, None], set()),
        ("number", pa.array(["1", "2"]).dictionary_encode(), [1.0, 2.0], set()),
        ("number", pa.array([True, False]), [None, None], {"not a number"}),
        ("number", pa.array([datetime(2020, 1, 1)]), [None], {"not a number"}),
        ("number", pa.array([[1.0]]), [None], {"not a number"}),
        ("integer", pa.array([1.0, float("nan"), 3.0]), [1, None, 3], set()),
        ("integer", pa.array([1.0, float("nan"), 2.5]), [1, None, None], {"not a whole number"}),
        ("integer", pa.array(["9223372036854775808", "1"]), [None, 1], {"not a whole number"}),
        ("integer", pa.array([True]), [None], {"not a whole number"}),
        ("boolean", pa.array([0, 1, None]), [False, True, None], set()),
        ("boolean", pa.array([0.0, 1.0]), [False, True], set()),
        ("boolean", pa.array([0, 2]), [False, None], {"not true or false"}),
        ("boolean", pa.array(["Yes", "0", " true"], pa.large_string()), [True, False, True], set()),
        ("text", pa.array(["a", ""], pa.string_view()), ["a", None], set()),
        ("text", pa.array([1, 2]), ["1", "2"], set()),
        ("text", pa.array([b"\xff", b"a"]), [None, None], {"not text"}),
        ("text", pa.array([[1]]), [None], {"not text"}),
        ("time", pa.array([date(2020, 1, 2)]), [datetime(2020, 1, 2)], set()),
        ("time", pa.array([1577836800000000001], pa.timestamp("ns")), [datetime(2020, 1, 1)], set()),
        ("time", pa.array([datetime(2020, 1, 1)], pa.timestamp("us", "UTC")), [None], {"not a time"}),
        ("time", pa.array(["2020-01-01", "2020-01-01T00:00:00Z"]), [datetime(2020, 1, 1), None], {"not a time"}),
        ("time", pa.array(["0000-01-01", "2020-01-01"]), [None, datetime(2020, 1, 1)], {"not a time"}),
        ("time", pa.array([2**62, 0], pa.timestamp("us")), [None, datetime(1970, 1, 1)], {"not a time"}),
        ("time", pa.array([5, 6]), [None, None], {"not a time"}),
        ("time", pa.array([1.5]), [None], {"not a time"}),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else None,
)
def test_parquet_types_become_those_of_the_contract(
    kind: str, given: pa.Array, values: list[Any], problems: set[str]
) -> None:
    made = small({"x": {"kind": kind, "missing": "allow"}, "y": {"kind": "number"}})
    raw = pa.table({"x": given, "y": [1.0] * len(given), "sick": ["no"] * len(given)})
    table, violations = typed(raw, made)
    assert table["x"].to_pylist() == values
    assert {one.rule for one in violations} == problems


def test_a_time_with_a_format_is_read_by_it_and_by_nothing_else() -> None:
    made = small({"x": {"kind": "time", "format": "%Y-%d-%m"}})
    for kind in (pa.string(), pa.large_string()):
        table, violations = typed(
            pa.table({"x": pa.array(["2020-02-01", "2020-01-31"], kind), "sick": ["no"] * 2}), made
        )
        assert table["x"].to_pylist() == [datetime(2020, 1, 2), None]
        assert [one.rule for one in violations] == ["not a time"]


def test_an_ignored_column_may_hold_anything() -> None:
    made = small({"x": {"kind": "number"}, "z": {"kind": "ignored", "reason": "odd"}})
    for odd in ([[1], [2]], [None, None], [b"\xff", b""]):
        _, violations = typed(pa.table({"x": [1.0, 2.0], "z": odd, "sick": ["no", "yes"]}), made)
        assert violations == []
