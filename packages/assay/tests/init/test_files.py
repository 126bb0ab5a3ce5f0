import bz2
import gzip
import io
import json
import lzma
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from assay.base.errors import InputError
from assay.init.clean import clean
from assay.init.command import InitOptions, plan_for
from assay.init.files import Source, read
from init.houses import as_text, houses, write_workbook

HOUSES = houses()


def cleaned(source: Path | str, **options: str) -> dict[str, list]:
    table, _ = read(Source(str(source), "price", **options))
    return {name: clean(table[name]).values.to_pylist() for name in table.column_names}


EXPECTED = {name: clean(HOUSES[name]).values.to_pylist() for name in HOUSES.column_names}


def to_sqlite(path: Path) -> None:
    with sqlite3.connect(path) as base:
        base.execute("create table sales (size integer, town text, sold date, garden boolean, price real)")
        rows = [tuple(str(v) if hasattr(v, "year") else v for v in row.values()) for row in HOUSES.to_pylist()]
        base.executemany("insert into sales values (?, ?, ?, ?, ?)", rows)
    base.close()


def to_parts(path: Path) -> None:
    for part, start in enumerate((0, 40)):
        (path / "2020").mkdir(parents=True, exist_ok=True)
        pq.write_table(HOUSES.slice(start, 40), path / "2020" / f"part-{part}.parquet")


def to_json(path: Path) -> None:
    rows = [{**row, "sold": str(row["sold"])} for row in HOUSES.to_pylist()]
    path.write_text(json.dumps(rows) if path.suffix == ".json" else "\n".join(map(json.dumps, rows)))


def to_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("sales.csv", as_text(HOUSES))


def to_delta(path: Path) -> None:
    pytest.importorskip("deltalake").write_deltalake(str(path), HOUSES)


def to_excel(path: Path) -> None:
    pytest.importorskip("python_calamine")
    write_workbook(path, HOUSES)


KINDS: dict[str, Callable[[Path], object]] = {
    "a.csv": lambda path: path.write_text(as_text(HOUSES), encoding="utf-8"),
    "bom.csv": lambda path: path.write_text(as_text(HOUSES), encoding="utf-8-sig"),
    "latin.csv": lambda path: path.write_text(as_text(HOUSES), encoding="cp1252"),
    "wide.txt": lambda path: path.write_text(as_text(HOUSES), encoding="utf-16"),
    "semicolon.csv": lambda path: path.write_text(as_text(HOUSES, ";", ","), encoding="utf-8"),
    "tabs.tsv": lambda path: path.write_text(as_text(HOUSES, "\t"), encoding="utf-8"),
    "bars.txt": lambda path: path.write_text(as_text(HOUSES, "|"), encoding="utf-8"),
    "windows.csv": lambda path: path.write_bytes(as_text(HOUSES).replace("\n", "\r\n").encode()),
    "a.csv.gz": lambda path: path.write_bytes(gzip.compress(as_text(HOUSES).encode())),
    "a.csv.bz2": lambda path: path.write_bytes(bz2.compress(as_text(HOUSES).encode())),
    "a.csv.xz": lambda path: path.write_bytes(lzma.compress(as_text(HOUSES).encode())),
    "a.zip": to_zip,
    "a.parquet": lambda path: pq.write_table(HOUSES, path),
    "a.feather": lambda path: feather.write_feather(HOUSES, path),
    "lines.jsonl": to_json,
    "list.json": to_json,
    "a.db": to_sqlite,
    "parts": to_parts,
    "delta": to_delta,
    "a.xlsx": to_excel,
}


@pytest.mark.parametrize("name", KINDS)
def test_a_table_is_the_same_in_whatever_file_it_comes(tmp_path, name):
    KINDS[name](tmp_path / name)
    assert cleaned(tmp_path / name) == EXPECTED


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path):
    with pytest.raises(InputError, match=r"b\.db: there is no such file"):
        cleaned(f"sqlite:///{tmp_path}/b.db")
    assert not (tmp_path / "b.db").exists()


def test_addresses_and_databases_are_read_too(tmp_path):
    to_sqlite(tmp_path / "a.db")
    assert cleaned(f"sqlite:///{tmp_path}/a.db") == EXPECTED
    assert cleaned(f"sqlite:///{tmp_path}/a.db", table="sales") == EXPECTED
    (tmp_path / "a.csv").write_text(as_text(HOUSES))
    assert cleaned(f"file://{tmp_path}/a.csv") == EXPECTED


def with_lines(change: Callable[[list[str]], list[str]]) -> str:
    return "\n".join(change(as_text(HOUSES).splitlines())) + "\n"


ODD = {
    "empty columns at the end": with_lines(lambda lines: [line + ",," for line in lines]),
    "empty lines and rows of separators": with_lines(lambda lines: ["", *lines, "", ",,,,", ",,,,"]),
    "a separator at the end of each row": with_lines(lambda lines: [lines[0], *(line + "," for line in lines[1:])]),
    "a title above the header": with_lines(lambda lines: ["Houses sold", "", *lines]),
    "row numbers without a name": with_lines(
        lambda lines: ["," + lines[0], *(f"{i},{line}" for i, line in enumerate(lines[1:]))]
    ),
    "an index of pandas, of rows in another order": with_lines(
        lambda lines: ["," + lines[0], *(f"{(i * 7) % 61},{line}" for i, line in enumerate(lines[1:]))]
    ),
    "names of rows, as R writes them": with_lines(
        lambda lines: ["," + lines[0], *(f"House {i * 7 % 61},{line}" for i, line in enumerate(lines[1:]))]
    ),
    "spaces around cells": with_lines(lambda lines: [line.replace(",", " , ") for line in lines]),
    "columns aligned by spaces": with_lines(lambda lines: ["  " + line.replace(",", "    ") + " " for line in lines]),
    "a name with a line break": with_lines(lambda lines: [lines[0].replace("town", '"town\n"'), *lines[1:]]),
    "units below the header": with_lines(lambda lines: [lines[0], "m²,,,,€", *lines[1:]]),
    "questions below the header": with_lines(
        lambda lines: [lines[0], "How large?,Where?,When?,A garden?,How much?", '"{""id"":""Q1""}",,,,Q5', *lines[1:]]
    ),
    "notes below the table": with_lines(lambda lines: [*lines, "", "Source: a list, of 2020", "* not all of them"]),
    "a total": with_lines(lambda lines: [*lines, "Total:,,,,5727605.08"]),
    "the header again": with_lines(lambda lines: [*lines[:40], lines[0], *lines[40:]]),
    "everything in quotes": with_lines(lambda lines: ['"' + line.replace(",", '","') + '"' for line in lines]),
}


@pytest.mark.parametrize("what", ODD)
def test_oddities_of_a_text_do_not_change_the_table(tmp_path, what):
    path = tmp_path / "a.csv"
    path.write_text(ODD[what])
    assert cleaned(path) == EXPECTED


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("units below the header", "no data: left out (lines: 1): 'm², €'"),
        ("questions below the header", "no data: left out (lines: 2)"),
        ("notes below the table", "no data: left out: 'Source: a list, of 2020 * not all of them'"),
        ("a total", "totals are no data: left out (rows: 1; first: row 61"),
        ("the header again", "repeated headers are no data: left out (rows: 1; first: row 40"),
    ],
)
def test_rows_that_are_no_data_are_named(tmp_path, what, said):
    path = tmp_path / "a.csv"
    path.write_text(ODD[what])
    assert any(said in note for note in read(Source(str(path), "price"))[1])


def test_empty_names_are_filled_from_the_line_below(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,Which do you use?,,price\n,Phone,Tablet,Response\n" + "7,Phone,Tablet,20\n8,,Tablet,30\n" * 20)
    table, _ = read(Source(str(path), "price"))
    assert table.column_names == ["id", "Which do you use?: Phone", "Which do you use?: Tablet", "price"]
    assert table.num_rows == 40


def test_the_sheet_that_names_the_target_is_read(tmp_path):
    pytest.importorskip("python_calamine")
    path = tmp_path / "a.xlsx"
    write_workbook(path, HOUSES, before="About")
    assert cleaned(path) == EXPECTED


def test_a_text_without_a_header_gets_names_that_can_be_predicted(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(with_lines(lambda lines: lines[1:]))
    table, notes = read(Source(str(path), "column_5"))
    assert table.column_names == [f"column_{i}" for i in range(1, 6)]
    assert table.num_rows == HOUSES.num_rows
    assert "no header: columns are named column_1 to column_5" in notes


def test_parts_of_nested_columns_are_columns(tmp_path):
    nested = [{"town": "Ulm", "house": {"number": number}} for number in range(30)]
    pq.write_table(pa.table({"address": nested, "answer": range(30)}), tmp_path / "nested.parquet")
    table, _ = read(Source(str(tmp_path / "nested.parquet"), "answer"))
    assert table.column_names == ["address.town", "address.house.number", "answer"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"a": {"b": 1}, "a.b": 2.0, "price": 1}, "column 'a.b' occurs twice"),
        ({"a": {" b ": 1, "b": 2.0}, "price": 1}, "column 'a.b' occurs twice"),
        ({"a": {f"k{i}": i for i in range(2500)}, "price": 1}, "2501 columns; at most 2000"),
    ],
)
def test_nested_columns_are_counted_and_named_like_others(tmp_path, row, why):
    (tmp_path / "a.json").write_text(json.dumps([row] * 3))
    with pytest.raises(InputError, match=why):
        read(Source(str(tmp_path / "a.json"), "price"))


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        ("app version", ["1.1", "1.10", "1.2"], "category"),
        ("version", ["1.5", "2.5", "3.0"], "number"),
        ("version", [f"{day}.03.2020" for day in range(10, 30)], "time"),
        ("release", ["1.1", "1.10", "1.2"], "number"),
        ("release_date", [f"2020-03-{day}" for day in range(10, 30)], "time"),
        ("days_since_release", list("123456789"), "integer"),
    ],
)
def test_only_of_versions_the_last_zero_stays(tmp_path, name, cells, kind):
    rows = "".join(f"{cell},{number}\n" for number, cell in enumerate(cells * 20))
    (tmp_path / "t.csv").write_text(f"{name},answer\n{rows}")
    plan, _ = plan_for(Source(str(tmp_path / "t.csv"), "answer"), InitOptions(yes=True))
    column = plan.contract["columns"][name]
    assert column["kind"] == kind
    assert kind != "category" or column["values"] == cells


def test_leading_zeros_and_long_digits_stay(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("zip,card,price\n" + "".join(f"0{i}234,12345678901234567{i},{i}\n" for i in range(10, 60)))
    table, _ = read(Source(str(path), "price"))
    assert table["zip"][0].as_py() == "010234"
    assert table["card"][0].as_py() == "1234567890123456710"


def parquet_bytes(table: pa.Table) -> bytes:
    made = io.BytesIO()
    pq.write_table(table, made)
    return made.getvalue()


TEXT = as_text(HOUSES)
BAD = {
    "nothing": (b"", "the file is empty"),
    "spaces": (b"  \n\n  ", "the file is empty"),
    "one column": (b"price\n1\n2\n", "only one column"),
    "a header only": (b"size,price\n", "a header but no rows"),
    "a header without a line end": (b"size,price", "a header but no rows"),
    "a header and notes": (b"size,price\n* a note\n", "a header but no rows"),
    "a row of any length": (b"size,price\n1,2\n" + b"1" * (9 << 20), "a row is longer than 4 MiB"),
    "cut off in a row": (TEXT.encode()[:-20].rsplit(b",", 1)[0] + b"\n", "cells, but the header has 5"),
    "cut off in a quoted cell": (b'a,price\n"x",1\n"y,2\n', "ends inside a quoted cell"),
    "cut off in a long quoted cell": (b'a,price\n1,"x\n' + b"1,2\n" * 50_000, "ends inside a quoted cell"),
    "ragged": (TEXT.encode() + b"1,2,3\n" + TEXT.encode().split(b"\n", 1)[1], "row 62: 3 cells, but the header has 5"),
    "a header twice": (TEXT.replace("town", "size", 1).encode(), "column 'size' occurs twice"),
    "a header without a name": (TEXT.replace("town", "", 1).encode(), r"column 2 \('Orly', ...\) has no name"),
    "a first column of numbers without a name": (
        ("," + TEXT).replace("\n", "\n1.5,").removesuffix("1.5,").encode(),
        r"column 1 \(1.5, ...\) has no name",
    ),
    "mixed encodings": (
        TEXT.encode() + TEXT.encode("cp1252").split(b"\n", 1)[1],
        "mixed encodings: .*; save the file as UTF-8",
    ),
    "binary": (bytes(range(256)) * 20, "binary"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" * 10, "binary"),
    "half a Parquet file": (parquet_bytes(HOUSES)[:500], "not a complete Parquet file"),
    "half a compressed file": (gzip.compress(TEXT.encode())[:200], "is damaged"),
    "half an archive": (b"PK\x03\x04" + b"x" * 100, "is damaged"),
    "too many columns": (
        ",".join(f"c{i}" for i in range(100_000)).encode() + b"\n" + b",".join([b"1"] * 100_000),
        "100000 columns",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_table_is_refused_in_one_line_that_says_why(tmp_path, what):
    content, said = BAD[what]
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read(Source(str(path), "price"))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-88", "base64", "punycode", "undefined", "utf-16", "unicode_escape"])
def test_an_encoding_that_a_text_does_not_have_is_named(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.csv").write_text("size,price\n\\ud800,2\n")
    with pytest.raises(InputError, match=f"a.csv: cannot be read as {encoding}: "):
        read(Source(str(tmp_path / "a.csv"), "price", encoding=encoding))


def test_any_number_of_empty_lines_is_no_data(tmp_path: Path) -> None:
    for text in ("\n" * 2000 + TEXT, TEXT + "* a note\n" + "\n" * (5 << 20)):
        (tmp_path / "a.csv").write_text(text)
        assert cleaned(tmp_path / "a.csv") == EXPECTED


@pytest.mark.parametrize(
    "name",
    [
        "nowhere.csv",
        "folder",
        "s3x://bucket/a.csv",
        "postgresql://u:secret@localhost:1/x",  # pragma: allowlist secret
        "postgresql://u:a/secret@localhost:1/x",  # pragma: allowlist secret
        "postgresql://localhost:1/x?password=secret",  # pragma: allowlist secret
        "postgresql://u:secret@localhost:port/x",  # pragma: allowlist secret
        "s3x://u:secret@bucket/a.csv?signature=secret",  # pragma: allowlist secret
    ],
)
def test_a_source_that_cannot_be_had_is_named(tmp_path, name):
    (tmp_path / "folder").mkdir()
    source = name if "://" in name else str(tmp_path / name)
    with pytest.raises(InputError) as caught:
        read(Source(source, "price"))
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_quotation_marks_in_messages_are_a_part_of_what_is_said(tmp_path):
    """As in a list of text messages: no header, tabs, and quotation marks that begin a cell and do not end it."""
    path = tmp_path / "messages.tsv"
    said = ['"Soon" was an hour ago', "See you", '"Where are you', "it's 6\" long", "Win \u00a31000 now"] * 4
    path.write_text("".join(f"{'spam' if 'Win' in text else 'ham'}\t{text}\n" for text in said))
    table, notes = read(Source(str(path), "column_1"))
    assert table["column_2"].to_pylist() == said
    assert "no header: columns are named column_1 to column_2" in notes


def test_quoted_cells_of_tabs_are_unquoted(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("price\tsaid\n" + '1\t"a ""good"" one"\n2\t"none"\n' * 3)
    assert read(Source(str(path), "price"))[0]["said"].to_pylist() == ['a "good" one', "none"] * 3


def test_columns_aligned_by_spaces_may_hold_quoted_words(tmp_path):
    path = tmp_path / "cars.data"
    path.write_text('18.0   8   307.0\t"chevrolet chevelle malibu"\n15.0   8   ?   \t"buick skylark"\n' * 3)
    table, _ = read(Source(str(path), "column_1"))
    assert table["column_4"].to_pylist() == ["chevrolet chevelle malibu", "buick skylark"] * 3
    assert table["column_3"].to_pylist()[:2] == ["307.0", "?"]


def test_of_several_tables_or_files_one_has_to_be_named(tmp_path):
    path = tmp_path / "a.db"
    to_sqlite(path)
    with sqlite3.connect(path) as base:
        base.execute("create table other (x integer)")
    base.close()
    with pytest.raises(InputError, match="choose one of its tables with --table: other, sales"):
        read(Source(str(path), "price"))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", TEXT)
        archive.writestr("b.csv", TEXT)
    with pytest.raises(InputError, match=r"holds 2 files \(a.csv, b.csv\); choose one with --table"):
        read(Source(str(tmp_path / "a.zip"), "price"))


@pytest.mark.parametrize("write", [to_excel, to_delta])
def test_a_reader_that_is_not_installed_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch, write):
    path = tmp_path / "a"
    write(path)
    for name in ("python_calamine", "deltalake"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(
        InputError, match=r"needs an optional package; install it with `pip install -r requirements/init.txt`"
    ):
        read(Source(str(path), "price"))
