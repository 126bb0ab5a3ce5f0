"""A text of any size is read in blocks, and each column has the type that all its cells have together."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.base.errors import InputError
from assay.data import dialect
from assay.data.delimited import delimited_in_parts, read_delimited
from assay.data.rows import data_only, data_stored
from blocks import read_in_blocks

# The cells of a column: from the usual ones to those that change its type, for one column without a name.
CELLS = {
    "": ["1", "2", "3", "r1", "", "NA"],
    "n": ["1", "2.5", " 7", "NA", "", "007", "1E5", "12345678901234567", "NAN", "inf", "x"],
    "d": ["2020-01-01", "2020-01-01 10:00:00", "2020-01-01 10:00:00.5", "9999-01-01", "", "?", "10:30"],
    "z": ["2020-01-01T10:00:00Z", "", "2020-01-01T10:00:00.5Z", "2020-01-01"],
    "t": ["a", "é", '"q, ""r"" s"', '"two\nlines"', "true", "NA", ""],
    "y": ["yes", "no", "1", "0", "", "5"],
}
# Rows that are no data, or hardly.
OTHERS = [[*CELLS], [""] * 6, ["NA"] * 6, ["", "10", "", "", "Total", ""], ["9", "1", "", "", "a", "1"]]
ENCODINGS = ["utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16"]
BELOW = ["", "* a note on it\n", "Source: é\n\n(c) us\n", "1,2\n", '"open']


@st.composite
def texts(draw: Any) -> bytes:
    """Draw a text with some of the columns: in each, nearly all cells are alike."""
    number = draw(st.integers(4, 60))
    names = [draw(st.sampled_from(["id", ""])), *list(CELLS)[1:]]
    columns = []
    for cells in CELLS.values():
        columns.append([draw(st.sampled_from(cells))] * number)
        for place, cell in draw(
            st.dictionaries(st.integers(0, number - 1), st.sampled_from(cells), max_size=3)
        ).items():
            columns[-1][place] = cell
    rows = [names, *zip(*columns, strict=True)]
    for place, cells in draw(st.dictionaries(st.integers(1, number), st.sampled_from(OTHERS), max_size=2)).items():
        rows.insert(place, cells)
    kept = [*draw(st.sets(st.integers(0, 4), min_size=1).map(sorted)), 5]
    separator, end = draw(st.sampled_from(",,;\t|")), draw(st.sampled_from(["\n", "\r\n"]))
    lines = [separator.join(cells[number] for number in kept) for cells in rows]
    text = draw(st.sampled_from(["", "Report\n\n"])) + end.join(lines) + end + draw(st.sampled_from(BELOW))
    return text.encode(draw(st.sampled_from(ENCODINGS)))


@given(content=texts(), block=st.sampled_from([130, 200, 1000]), judged=st.sampled_from([150, 400, 1 << 20]))
def test_rows_types_notes_and_errors_are_the_same_in_any_blocks(
    content: bytes, block: int, judged: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("text")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialect, "SAMPLE_BYTES", judged)
        wanted = outcome(content)
        read_in_blocks(block, patch)
        found = outcome(content)
    assert shown(found) == shown(wanted)
    if not isinstance(wanted, str):
        few: Iterator[pa.Table] = (found[0].slice(start, 3) for start in range(0, len(found[0]), 3))
        rows, notes = data_stored(few, found[0].schema, folder)
        stored = rows.whole().replace_schema_metadata(rows.schema.metadata)
        assert shown((stored, notes)) == shown(data_only(wanted[0]))


def outcome(content: bytes) -> Any:
    try:
        return read_delimited(content, "in.csv", "y")
    except InputError as error:
        return str(error)


def shown(found: Any) -> Any:
    """Return what can be compared: NaN is not equal to itself."""
    if isinstance(found, str):
        return found
    return found[0].schema, found[0].schema.metadata, repr(found[0].to_pylist()), found[1]


@pytest.mark.parametrize(
    ("usual", "late", "kind"),
    [
        ("1", ["2"], pa.int64()),
        ("a", ["1"], pa.string()),
        ("1", ["2.5"], pa.float64()),
        ("1", ["007"], pa.string()),
        ("1", ["1E5"], pa.string()),
        ("1", ["12345678901234567"], pa.string()),
        ("1", ["", " "], pa.string()),
        ("1", [""], pa.int64()),
        ("1", ["NA"], pa.string()),
        ("true", ["false"], pa.bool_()),
        ("true", ["0"], pa.string()),
        ("2020-01-01", ["2020-01-01 10:00"], pa.timestamp("s")),
        ("2020-01-01", ["2020-01-01 10:00:00.5"], pa.timestamp("ns")),
        ("2020-01-01", ["2020-01-01 10:00:00.5", "9999-01-01"], pa.string()),
        ("", [], pa.string()),
        ("", ["1"], pa.int64()),
        ("", ["007"], pa.string()),
    ],
)
def test_a_few_cells_far_from_the_first_decide_the_type(
    usual: str, late: list[str], kind: pa.DataType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [usual] * 300 + late + [usual] * 700
    path = tmp_path / "in.csv"
    path.write_text("x,y\n" + "".join(f"{cell},a\n" for cell in cells) + "* a note\n")
    read_in_blocks(200, monkeypatch)
    monkeypatch.setattr(dialect, "SAMPLE_BYTES", 150)
    table, _ = read_delimited(path, "in.csv", "y")
    assert table["x"].type == kind
    if kind == pa.string():
        assert table["x"].to_pylist() == [cell or None for cell in cells]


@pytest.mark.parametrize("row", ["3,c\n", "many,c\n", "3\n"])
def test_a_text_that_changes_while_it_is_read_is_named(row: str, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("x,y\n1,a\n2,b\n")
    _, tables, _ = delimited_in_parts(path, "in.csv", "y")
    path.write_text("x,y\n1,a\n2,b\n" + row)
    with pytest.raises(InputError, match=r"in\.csv: changed while it was read; start again once it is complete"):
        list(tables)


def test_columns_of_spaces_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "in.txt"
    path.write_text("  x   y\n" + "".join(f" {number}    {'ab'[number % 2]}  \n" for number in range(100)))
    read_in_blocks(100, monkeypatch)
    table, notes = read_delimited(path, "in.txt", "y")
    assert notes == ["columns are separated by spaces"]
    assert table.to_pydict() == {"x": list(range(100)), "y": ["a", "b"] * 50}
