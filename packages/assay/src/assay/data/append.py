"""Changing a data file in its own format: more rows, other targets, fewer rows."""

import csv
import io
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assay.base.errors import InputError, one_line
from assay.contract.spec import Column, Contract, Id, Time
from assay.data.batches import is_plain
from assay.data.reading import cleaned, read_header, read_table, reads_comma, typed
from assay.data.split import cell_keys, row_keys

SALT = "append"
REFUSED = "rows cannot be added to this file; save it as Parquet, or as UTF-8 CSV with commas"
# Numbers of a file that holds fewer digits may differ by this share.
ROUNDED = 1e-3
Targets = Mapping[int, str | float]


def columns_of(path: Path, contract: Contract) -> list[str]:
    """Return the columns of a data file; raises InputError if it is not written in a way that rows can be added to."""
    kinds = _kinds(path)
    names = read_header(path) if kinds is None else list(kinds)
    for name, kind in (kinds or {}).items():
        if isinstance(contract.columns.get(name), Id) and not _holds_text(kind):
            raise InputError(f"{path}: {name} has no texts, and new rows have the prediction id there; make it text")
    if {*contract.features, contract.target.name} - {*names}:
        raise InputError(f"{path}: {REFUSED}")
    return names


def notation(path: Path, contract: Contract) -> bool | None:
    """Say whether the numbers of a CSV file are in plain notation, without a decimal comma; None for Parquet."""
    return None if _kinds(path) is not None else is_plain([path], contract.all_columns, contract)


def append(path: Path, made: Path, rows: pa.Table, contract: Contract, targets: Targets) -> None:
    """Write the file `made`: that at `path` with more rows at its end, and with other targets in some rows (from 0).

    `rows` has columns of the contract in its types. Raises InputError if the new file would not be read as the old one
    with these rows.
    """
    made.parent.mkdir(parents=True, exist_ok=True)
    plain = notation(path, contract)
    if plain is None:
        _append_parquet(path, made, rows, contract, targets)
    else:
        cells = partial(_cell, contract=contract, is_plain=plain)
        made.write_bytes(_csv(path.read_bytes(), columns_of(path, contract), rows, contract, targets, cells))
    before = read_table(path, contract)[0]
    try:
        now = read_table(made, contract)[0]
    except InputError:
        raise InputError(f"{path}: {REFUSED}") from None
    names = [name for name in before.column_names if name in rows.column_names]
    wanted = pa.concat_tables([_with_targets(before, targets, contract).select(names), rows.select(names)])
    if now.num_rows != len(wanted) or (row_keys(wanted, names, SALT) != row_keys(now, names, SALT)).any():
        raise InputError(f"{path}: {REFUSED}")


def remove(path: Path, made: Path, places: Collection[int], contract: Contract) -> None:
    """Write the file `made`: that at `path` without some rows (from 0); all other rows stay as they are written.

    Raises InputError if the new file would not be read as the old one without these rows.
    """
    made.parent.mkdir(parents=True, exist_ok=True)
    if _kinds(path) is None:
        columns_of(path, contract)
        raw = path.read_bytes()
        made.write_bytes(_edited(raw.decode(), set(places), lambda *_: "").encode())
    else:
        table = pq.read_table(path)
        pq.write_table(table.filter(_others(len(table), places)), made, compression="zstd")
    before, now = (read_table(one, contract)[0] for one in (path, made))
    wanted = before.filter(_others(len(before), places))
    names = wanted.column_names
    if now.num_rows != len(wanted) or (row_keys(wanted, names, SALT) != row_keys(now, names, SALT)).any():
        raise InputError(f"{path}: rows cannot be removed from this file; remove them by hand")


def _others(rows: int, places: Collection[int]) -> pa.Array:
    mask = np.ones(rows, dtype=bool)
    mask[list(places)] = False
    return pa.array(mask)


def survive(rows: pa.Table, names: list[str], contract: Contract, *, is_plain: bool) -> np.ndarray:
    """Return a mask of the rows that a CSV file gives back as they are: some texts mean missing, or end a cell."""
    cells = _cells(rows, names, contract, partial(_cell, contract=contract, is_plain=is_plain))
    texts = {name: pa.array([row[index] for row in cells], pa.string()) for index, name in enumerate(names)}
    again, _ = typed(pa.table(texts), contract, is_plain=is_plain)
    shared = [name for name in rows.column_names if name in names]
    # Readers of text stop at a zero byte.
    whole = np.array([not any("\0" in cell for cell in row) for row in cells], dtype=bool)
    survived: np.ndarray = whole & (row_keys(again, shared, SALT) == row_keys(rows, shared, SALT))
    return survived


def stored(path: Path, rows: pa.Table, contract: Contract) -> tuple[pa.Table, np.ndarray]:
    """Return rows as a Parquet file gives them back, and a mask of those that it can hold: it may round numbers.

    Of a CSV file it returns the rows, and that it can hold all.
    """
    kinds, wanted, holds = _kinds(path), contract.all_columns, np.ones(len(rows), dtype=bool)
    if kinds is None:
        return rows, holds
    for name in rows.column_names:
        before = rows[name]
        now = cleaned(_each(before, kinds[name], wanted[name]), wanted[name])
        if pa.types.is_floating(before.type):
            holds &= np.isclose(now.to_numpy(), before.to_numpy(), rtol=ROUNDED, atol=0, equal_nan=True)
        else:
            column = pa.table({name: before}), pa.table({name: now})
            holds &= np.equal(*(cell_keys(one, name, SALT) for one in column))
        rows = rows.set_column(rows.column_names.index(name), name, now)
    return rows, holds


def _kinds(path: Path) -> dict[str, pa.DataType] | None:
    """Return the types of the columns of a Parquet file; None for CSV."""
    if path.suffix.lower() != ".parquet":
        return None
    return {field.name: field.type for field in pq.read_schema(path)}


def _each(values: pa.ChunkedArray, kind: pa.DataType, column: Column) -> pa.ChunkedArray:
    """Return values in the type of a file; null if it has no such value."""
    try:
        return _as(values, kind, column)
    except pa.ArrowInvalid:
        if len(values) == 1:
            return pa.chunked_array([pa.nulls(1, kind)])
    middle = len(values) // 2
    halves = [_each(part, kind, column) for part in (values.slice(0, middle), values.slice(middle))]
    return pa.chunked_array([chunk for half in halves for chunk in half.chunks], kind)


def _append_parquet(path: Path, made: Path, rows: pa.Table, contract: Contract, targets: Targets) -> None:
    table = pq.read_table(path)
    try:
        table = _with_targets(table, targets, contract) if targets else table
        columns = [
            _as(rows[field.name], field.type, contract.columns.get(field.name))
            if field.name in rows.column_names
            else pa.chunked_array([pa.nulls(len(rows), field.type)])
            for field in table.schema
        ]
        added = pa.table(columns, schema=table.schema)
        added.validate(full=True)
        pq.write_table(pa.concat_tables([table, added]), made, compression="zstd")
    except (pa.ArrowException, TypeError) as error:
        raise InputError(f"{path}: rows cannot be added: {one_line(error)}") from None


def _holds_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _as(values: pa.ChunkedArray, kind: pa.DataType, column: Column | None) -> pa.ChunkedArray:
    """Return the values of a column in the type of a file."""
    if isinstance(column, Time) and column.zone and pa.types.is_timestamp(kind) and kind.tz is not None:
        values = pc.assume_timezone(values, column.zone, ambiguous="earliest")
    return values.cast(kind)


def _csv(
    raw: bytes, names: list[str], rows: pa.Table, contract: Contract, targets: Targets, cell: Callable[..., str]
) -> bytes:
    end = "\r\n" if b"\r\n" in raw[: raw.find(b"\n") + 1] else "\n"
    if targets:
        written = {row: cell(value, contract.target_column) for row, value in targets.items()}
        raw = _corrected(raw.decode(), names.index(contract.target.name), written, end).encode()
    if not raw.endswith(b"\n"):
        raw += end.encode()
    return raw + "".join(_line(cells, end) for cells in _cells(rows, names, contract, cell)).encode()


def _line(cells: list[str], end: str) -> str:
    text = io.StringIO(newline="")
    # The writer quotes the characters that end its lines, and readers end lines at both of these.
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n") + end


def _corrected(text: str, at: int, targets: Mapping[int, str], end: str) -> str:
    """Return the text of a CSV file with other targets; all other rows stay as they are written."""

    def line(row: int, cells: list[str]) -> str:
        return _line([*cells[:at], targets[row], *cells[at + 1 :]], end)

    return _edited(text, targets, line)


def _edited(text: str, rows: Collection[int], line: Callable[[int, list[str]], str]) -> str:
    """Return the text of a CSV file in which `line` writes some rows from their cells."""
    lines = list(io.StringIO(text, newline=""))
    # The header comes before row 0.
    reader, first, row = csv.reader(iter(lines)), 0, -1
    changed: dict[int, tuple[int, str]] = {}
    for cells in reader:
        if cells:
            if row in rows:
                changed[first] = reader.line_num, line(row, cells)
            row += 1
        first = reader.line_num
    for begin, (stop, new) in changed.items():
        lines[begin:stop] = [new, *[""] * (stop - begin - 1)]
    return "".join(lines)


def _cells(rows: pa.Table, names: list[str], contract: Contract, cell: Callable[..., str]) -> list[list[str]]:
    """Return the rows as the cells of a CSV file with these columns."""
    wanted = contract.all_columns
    columns = [
        [cell(value, wanted[name]) for value in rows[name].to_pylist()]
        if name in rows.column_names
        else [_missing(contract)] * len(rows)
        for name in names
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _cell(value: Any, column: Column, *, contract: Contract, is_plain: bool) -> str:
    match value:
        case None:
            return _missing(contract)
        case bool():
            return str(value).lower()
        case datetime():
            form = column.format if isinstance(column, Time) else None
            return value.strftime(form) if form else value.isoformat()
        case float() | int():
            return repr(value).replace(".", ",") if not is_plain and reads_comma(column) else repr(value)
    return str(value)


def _missing(contract: Contract) -> str:
    return "" if "" in contract.missing_markers else next(iter(contract.missing_markers), "")


def _with_targets(table: pa.Table, targets: Targets, contract: Contract) -> pa.Table:
    at = table.column_names.index(contract.target.name)
    values, field = table.column(at).to_pylist(), table.schema.field(at)
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    for row, value in targets.items():
        values[row] = pa.scalar(value).cast(kind).as_py()
    return table.set_column(at, field, pa.chunked_array([pa.array(values, field.type)]))
