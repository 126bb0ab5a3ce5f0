"""Reading a data file into a typed table, as the contract says; what does not fit becomes a violation."""

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from assay.contract.spec import Boolean, Category, Column, Contract, Id, Ignored, Integer, Number, Text, Time
from assay.data.violations import Violation, violation
from assay.errors import InputError

TRUE_WORDS = ["true", "True", "TRUE", "yes", "Yes", "1"]
FALSE_WORDS = ["false", "False", "FALSE", "no", "No", "0"]


def arrow_type(column: Column) -> pa.DataType:
    """Return the Arrow type that holds a column of the contract."""
    match column:
        case Number():
            return pa.float64()
        case Integer():
            return pa.int64()
        case Boolean():
            return pa.bool_()
        case Time():
            return pa.timestamp("us")
        case Category() | Text() | Id() | Ignored():
            return pa.string()


def read_table(path: Path, contract: Contract) -> tuple[pa.Table, list[Violation]]:
    """Read a CSV or Parquet file into the types of the contract.

    Returns the table, its columns in the order of the contract and the target last, and the violations that
    reading found: columns missing or unknown, and cells that are not of their type (these are null in the table).

    Raises InputError for a file that is missing, empty, truncated, not UTF-8, ragged, or with a column named twice.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")
    if path.suffix == ".parquet":
        return typed(_read_parquet(path), contract)
    if path.suffix != ".csv":
        raise InputError(f"{path}: expected a .csv or .parquet file")
    names = _header(path)
    types = {name: arrow_type(column) for name, column in contract.columns.items()}
    types[contract.target.name] = pa.float64() if contract.task == "regression" else pa.string()
    if not any(isinstance(column, Time) for column in contract.columns.values()):
        try:
            return typed(_read_csv(path, {name: types.get(name, pa.string()) for name in names}, contract), contract)
        except pa.ArrowInvalid:
            # Some cell is not of its type, or the file is broken: the slow way tells which, and finds all.
            pass
    try:
        return typed(_read_csv(path, dict.fromkeys(names, pa.string()), contract), contract)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: {_one_line(error)}") from None


def typed(table: pa.Table, contract: Contract) -> tuple[pa.Table, list[Violation]]:
    """Give a table the columns, order and types of the contract; report what does not fit."""
    twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if twice:
        raise InputError(f"column {twice[0]!r} is there twice")
    wanted: dict[str, Column] = dict(contract.columns)
    wanted[contract.target.name] = _target_column(contract)
    violations = [
        violation(name, "unknown column", table.num_rows, ["not in the contract"])
        for name in table.column_names
        if name not in wanted
    ]
    arrays: dict[str, pa.ChunkedArray] = {}
    for name, column in wanted.items():
        if name not in table.column_names:
            violations.append(violation(name, "missing column", table.num_rows, ["not in the data"]))
            continue
        values, bad = _cast(table[name], column)
        if bad is not None and (count := pc.sum(bad).as_py() or 0):
            examples = table[name].filter(bad).slice(0, 3).to_pylist()
            first = pc.index(bad, True).as_py()
            violations.append(violation(name, f"not a {column.kind}", count, examples, first))
        # A NaN is a missing value; one way to say so is enough.
        arrays[name] = pc.if_else(pc.is_nan(values), None, values) if pa.types.is_floating(values.type) else values
    return pa.table(arrays), violations


def _target_column(contract: Contract) -> Column:
    target = contract.target
    if contract.task == "regression":
        return Number(kind="number", range=target.range)
    return Category(kind="category", values=target.classes)


def _cast(values: pa.ChunkedArray, column: Column) -> tuple[pa.ChunkedArray, pa.ChunkedArray | None]:
    """Return the values in the type of the column, null where they do not fit, and which those are."""
    wanted = arrow_type(column)
    if values.type == wanted:
        return values, None
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    try:
        if not (isinstance(column, Time | Boolean) and pa.types.is_string(values.type)):
            return values.cast(wanted), None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        pass
    text = values.cast(pa.string())
    parse = {Number: _number, Integer: _integer, Boolean: _boolean, Time: _time}[type(column)]
    unique = text.unique()
    parsed = pa.array([None if value is None else parse(value, column) for value in unique.to_pylist()], wanted)
    cast = parsed.take(pc.index_in(text.combine_chunks(), unique))
    result = pa.chunked_array([cast])
    return result, pc.and_(pc.is_null(result), pc.is_valid(text))


def _number(value: str, _: Column) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _integer(value: str, _: Column) -> int | None:
    number = _number(value, _)
    return int(number) if number is not None and number.is_integer() and abs(number) < 2**53 else None


def _boolean(value: str, _: Column) -> bool | None:
    return True if value in TRUE_WORDS else False if value in FALSE_WORDS else None


def _time(value: str, column: Column) -> object:
    from datetime import datetime

    assert isinstance(column, Time)
    try:
        moment = datetime.strptime(value, column.format) if column.format else datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo is None else None


def _read_csv(path: Path, types: dict[str, pa.DataType], contract: Contract) -> pa.Table:
    return pacsv.read_csv(
        path,
        convert_options=pacsv.ConvertOptions(
            column_types=types,
            null_values=list(contract.missing_markers),
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
            true_values=TRUE_WORDS,
            false_values=FALSE_WORDS,
        ),
        parse_options=pacsv.ParseOptions(newlines_in_values=_has_text(contract)),
    )


def _has_text(contract: Contract) -> bool:
    return any(isinstance(column, Text | Ignored) for column in contract.columns.values())


def _read_parquet(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: not a whole Parquet file: {_one_line(error)}") from None


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = next(csv.reader(file), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not UTF-8 text: {_one_line(error)}; save it as UTF-8") from None
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{path}: the header names column {twice[0]!r} twice")
    return names


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
