"""Reading a data file into the types of the contract; values that do not fit become violations."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from assay.base.config import did_you_mean
from assay.base.errors import InputError, one_line
from assay.contract import cleaning, rules
from assay.contract.dates import NAMED
from assay.contract.spec import (
    Boolean,
    Category,
    Column,
    Contract,
    Id,
    Ignored,
    Integer,
    Number,
    Text,
    Time,
)
from assay.data.check import check
from assay.data.delimited import delimited_in_parts, read_delimited
from assay.data.dialect import ends_inside_quotes
from assay.data.encoded import BLOCK, Encoded
from assay.data.rows import data_only, data_stored
from assay.data.stored import (
    Cluster,
    Stored,
    by_column,
    in_batches,
    is_large,
    parts_of,
    read_parquet,
    store,
    taken_rows,
)
from assay.data.violations import Violation, first_twice, violation

# A few words that Arrow reads itself; `assay.contract.cleaning` knows more.
TRUE_WORDS = ["true", "True", "TRUE", "yes", "Yes", "1"]
FALSE_WORDS = ["false", "False", "FALSE", "no", "No", "0"]
EPOCH = datetime(1970, 1, 1)
# Texts that are cleaned at once.
TEXTS = 100_000
# Longer names get no "did you mean".
LONGEST = 200
# Only this many unknown columns get a "did you mean": the search takes a while, and a file may have any number.
EXPLAINED = 100
EARLIEST, LATEST = ((moment - EPOCH) // timedelta(microseconds=1) for moment in (datetime.min, datetime.max))


# How an ignored column is read, by the kind that it had as a feature.
AS_READ: dict[str | None, Column] = {
    "number": Number(kind="number"),
    "integer": Integer(kind="integer"),
    "boolean": Boolean(kind="boolean"),
    "time": Time(kind="time"),
}
TEXT = Text(kind="text")


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
        case Ignored():
            return arrow_type(AS_READ.get(column.identifies, TEXT))
        case Category() | Text() | Id():
            return pa.string()


def read_table(path: Path, contract: Contract) -> tuple[pa.Table, list[Violation]]:
    """Read a file as `opened` does, and return its rows in memory."""
    with opened(path, contract) as (rows, violations):
        return (rows.whole() if isinstance(rows, Typed) else rows), violations


@contextmanager
def opened(
    path: Path, contract: Contract, cluster: Cluster | None = None
) -> Iterator[tuple["pa.Table | Typed", list[Violation]]]:
    """Read a CSV or Parquet file into the types of the contract: a large one a part at a time, for memory.

    Yields what `typed` returns. `cluster` reads a large Parquet file; without one this process does. A large CSV file
    is copied to a Parquet file in the folder for temporary files, which only this machine has. A contract that says
    `clean: true` allows text in any form that `assay init` reads.
    Raises InputError for a file that is missing, empty, truncated, not UTF-8, ragged, or with a column named twice.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give a .csv or .parquet file")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")
    if path.suffix.lower() == ".parquet":
        yield _typed(_read_parquet(path, cluster), contract)
        return
    if path.suffix.lower() != ".csv":
        raise InputError(f"{path}: expected a .csv or .parquet file")
    with TemporaryDirectory() as folder:
        yield _read_text(path, contract, Path(folder))


def _read_text(path: Path, contract: Contract, folder: Path) -> tuple["pa.Table | Typed", list[Violation]]:
    copy = folder / "plain.parquet"
    if not contract.clean:
        return _typed(_read_plain(path, contract, copy), contract)
    with suppress(InputError):
        table, violations = _typed(_read_plain(path, contract, copy), contract)
        if not violations and not check(table, contract):
            return table, violations
        del table
    copy.unlink(missing_ok=True)
    return _typed(_read_raw(path, contract, folder), contract)


def _read_raw(path: Path, contract: Contract, folder: Path) -> pa.Table | Stored:
    """Read text in any form, as `assay init` does: without headers that occur again, totals and notes.

    A large file becomes a Parquet file in the folder.
    """
    texts = [name for name, column in contract.columns.items() if isinstance(column, Category | Text | Id)]
    if not is_large(path.stat().st_size):
        return data_only(read_delimited(path, str(path), contract.target.name, as_text=texts)[0])[0]
    schema, tables, _ = delimited_in_parts(path, str(path), contract.target.name, as_text=texts)
    return data_stored(tables, schema, folder)[0]


def _read_plain(path: Path, contract: Contract, copy: Path) -> pa.Table | Stored:
    """Read a CSV file with commas, in UTF-8; a large one becomes a Parquet file."""
    read = partial(_copy_csv, copy) if is_large(path.stat().st_size) else _read_csv
    names = read_header(path)
    text = dict.fromkeys(names, pa.string())
    types = {name: arrow_type(column) for name, column in contract.columns.items() if not isinstance(column, Time)}
    types[contract.target.name] = arrow_type(contract.target_column)
    try:
        try:
            table = read(path, {name: types.get(name, pa.string()) for name in names}, contract)
        except pa.ArrowInvalid:
            # Some cell has the wrong type, or the file is broken: read all as text to find every such cell.
            table = read(path, text, contract)
    except pa.ArrowInvalid as error:
        hint = "; save it as UTF-8" if "UTF8" in str(error) else ""
        raise InputError(f"{path}: {one_line(error)}{hint}") from None
    if is_cut_off(path):
        raise InputError(f"{path}: the file ends inside a quoted cell: it is cut off")
    return table


def typed(table: pa.Table, contract: Contract, *, is_plain: bool | None = None) -> tuple[pa.Table, list[Violation]]:
    """Return a table with the columns and types of the contract, in its order, the target last, and cleaned values.

    `is_plain` says whether numbers with a decimal comma are written without it; by default the table shows it.

    Returns the table and its violations: missing or unknown columns, missing values where they are refused or in all
    rows, and cells of the wrong type (null in the table). Null, NaN and the texts in `missing_markers` are missing
    values. Column names must be unique.
    """
    columns = Typed(table, contract, is_plain)
    read = {name: columns.read(name) for name in contract.all_columns}
    there = {name: values for name, (values, _) in read.items() if values is not None}
    return pa.table(there), [*columns.unknown(), *(one for _, found in read.values() for one in found)]


def _typed(raw: "pa.Table | Stored", contract: Contract) -> tuple["pa.Table | Typed", list[Violation]]:
    """Return what `typed` does, of a stored table too."""
    if isinstance(raw, pa.Table):
        return typed(raw, contract)
    columns = Typed(raw, contract)
    found = by_column(_violations, columns, contract.all_columns)
    return columns, [*columns.unknown(), *(one for of_column in found.values() for one in of_column)]


def _violations(columns: "Typed", name: str) -> list[Violation]:
    return columns.read(name)[1]


class Typed:
    """The columns and types of the contract, made from those of another table when they are asked for."""

    def __init__(
        self, raw: "pa.Table | Stored", contract: Contract, is_plain: bool | None = None, before: int = 0
    ) -> None:
        """Take what `typed` takes, and the number of rows that are counted before these."""
        self.raw, self.contract, self.before = raw, contract, before
        self.num_rows: int = raw.num_rows
        wanted, self._there = contract.all_columns, set(raw.column_names)
        self.column_names = [name for name in wanted if name in self._there or _is_counted(wanted[name])]
        self._unknown = [name for name in raw.column_names if name not in wanted]
        self._explained = frozenset(name for name in self._unknown[:EXPLAINED] if len(name) <= LONGEST)
        self.is_plain = is_plain
        if is_plain is None:
            commas = [name for name in self.column_names if name in self._there and reads_comma(wanted[name])]
            self.is_plain = not any(has_decimal_comma(raw[name], wanted[name], contract) for name in commas)

    def unknown(self) -> list[Violation]:
        """Return a violation for each column that is not in the contract."""
        hints = {name: did_you_mean(name, self.contract.all_columns) for name in self._explained}
        return [
            violation(name, rules.UNKNOWN_COLUMN, self.num_rows, [f"not in the contract{hints.get(name, '')}"])
            for name in self._unknown
        ]

    def read(self, name: str) -> tuple[pa.ChunkedArray | None, list[Violation]]:
        """Return the values of a column and its violations; no values if it is missing."""
        column, rows = self.contract.all_columns[name], self.num_rows
        if name not in self._there:
            if _is_counted(column):
                counted = range(self.before + 1, self.before + rows + 1)
                return pa.chunked_array([pa.array(counted).cast(pa.string())]), []
            near = did_you_mean(name, self._explained)
            return None, [violation(name, rules.MISSING_COLUMN, rows, [f"not in the data{near}"])]
        if not is_readable(kind := self.raw.field(name).type):
            is_wrong = rows and not isinstance(column, Ignored)
            found = [violation(name, rules.wrong_type(column), rows, [str(kind)], 0)] if is_wrong else []
            return pa.chunked_array([pa.nulls(rows, arrow_type(column))]), found
        raw = _with_nulls(self.raw[name], column, self.contract.missing_markers)
        values = cleaned(raw, column, plain=bool(self.is_plain))
        if isinstance(column, Number) and pc.any(nan := pc.fill_null(pc.is_nan(values), False)).as_py():
            raw, values = (pc.if_else(nan, None, cells) for cells in (raw, values))
        return values, list(_misfits(name, raw, values, column))

    def __getitem__(self, name: str, /) -> pa.ChunkedArray:
        """Return the values of a column that is there."""
        return self.read(name)[0]

    def take(self, index: pa.Array, /) -> pa.Table:
        """Return the rows at some places."""
        return taken_rows(self, index)

    def whole(self) -> pa.Table:
        """Return all rows."""
        return pa.table({name: self[name] for name in self.column_names})

    @property
    def cluster(self) -> Cluster | None:
        """The cluster that reads the rows; None if this process does."""
        return self.raw.cluster if isinstance(self.raw, Stored) else None

    def parts(self) -> list["Typed"]:
        """Return the rows in parts, in their order; there is at least one."""
        found, before = [], self.before
        for part in parts_of(self.raw):
            found.append(Typed(part, self.contract, self.is_plain, before))
            before += part.num_rows
        return found

    def batches(self) -> Iterator[pa.Table]:
        """Yield all rows, in their order; a batch is from one part."""
        before = self.before
        for batch in in_batches(self.raw):
            yield Typed(batch, self.contract, self.is_plain, before).whole()
            before += batch.num_rows


def _is_counted(column: Column) -> bool:
    return isinstance(column, Id) and column.counted


def _misfits(name: str, raw: pa.ChunkedArray, values: pa.ChunkedArray, column: Column) -> Iterator[Violation]:
    """Yield violations for cells without a value: missing, or of the wrong type."""
    if isinstance(column, Ignored):
        return
    if raw.null_count == len(raw):
        if len(raw):
            yield violation(name, rules.ALL_MISSING, len(raw), ["no value"])
    elif column.missing == "refuse" and raw.null_count:
        first = pc.index(pc.is_null(raw), True).as_py()
        yield violation(name, rules.MISSING, raw.null_count, ["no value"], first)
    if values.null_count > raw.null_count:
        bad = pc.and_(pc.is_null(values), pc.is_valid(raw))
        examples = _texts(raw.filter(bad).slice(0, 3))
        yield violation(name, rules.wrong_type(column), pc.sum(bad).as_py(), examples, pc.index(bad, True).as_py())


def is_readable(kind: pa.DataType) -> bool:
    """Say whether Arrow can compare, filter and cast values of a type."""
    types = pa.types
    if types.is_dictionary(kind):
        return not types.is_dictionary(kind.value_type) and is_readable(kind.value_type)
    if types.is_decimal(kind):
        # Arrow looks up powers of ten by the scale, without checking the bounds of its table.
        return bool(0 <= kind.scale <= kind.precision)
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_null(kind)
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    is_binary = types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)
    is_moment = types.is_date(kind) or types.is_time(kind) or types.is_timestamp(kind) or types.is_duration(kind)
    return bool(is_number or is_text or is_binary or types.is_fixed_size_binary(kind) or is_moment)


def plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the values of a readable type without dictionaries and views."""
    if not pa.types.is_dictionary(values.type):
        return _without_views(values)
    # Arrow cannot cast dictionaries of views.
    kind = _without_views(pa.nulls(0, values.type.value_type)).type
    return pa.chunked_array([_without_views(one.dictionary).take(one.indices) for one in values.chunks], kind)


def _without_views(values: Any) -> Any:
    """Return an array, chunked or not, with plain texts or bytes instead of views."""
    if pa.types.is_string_view(values.type):
        return values.cast(pa.string())
    return values.cast(pa.binary()) if pa.types.is_binary_view(values.type) else values


def _with_nulls(values: pa.ChunkedArray, column: Column, everywhere: tuple[str, ...]) -> pa.ChunkedArray:
    """Return the values in a plain type, with null for everything that means missing."""
    values = plain(values)
    if pa.types.is_large_string(values.type):
        values = values.cast(pa.string())
    if pa.types.is_string(values.type):
        missing = _means_missing(values, column, cleaning.markers_of(column, everywhere))
    elif pa.types.is_floating(values.type):
        missing = pc.is_nan(values)
    else:
        missing = pc.is_null(values)
    is_moment = pa.types.is_date(values.type) or (pa.types.is_timestamp(values.type) and values.type.tz is None)
    if is_moment and (moments := cleaning.missing_moments(column)):
        missing = pc.or_(missing, pc.is_in(values.cast(pa.timestamp("us")), pa.array(moments, pa.timestamp("us"))))
    for number in cleaning.missing_numbers(column):
        if (wanted := _as_scalar(number, values.type)) is not None:
            missing = pc.or_(missing, pc.fill_null(pc.equal(values, wanted), False))
    return pc.if_else(missing, None, values) if pc.any(missing).as_py() else values


def _means_missing(values: pa.ChunkedArray, column: Column, markers: frozenset[str]) -> pa.ChunkedArray:
    """Return which texts mean missing."""
    known = pa.array(sorted(markers), pa.string())
    missing = pc.is_in(values, known)
    if is_exact(column):
        return missing
    numbers = cleaning.missing_numbers(column)
    if numbers:
        cells = values.drop_null().unique().to_pylist()
        found = [cell for cell in cells if cleaning.means_missing(cell, markers, numbers)]
        return pc.or_(missing, pc.is_in(values, pa.array(found, pa.string())))
    return pc.or_(missing, pc.is_in(pc.utf8_trim_whitespace(values), known))


def _as_scalar(number: float, kind: pa.DataType) -> pa.Scalar | None:
    """Return a number as a value of a numeric type, or None if the type has no such value."""
    if pa.types.is_floating(kind):
        return pa.scalar(number, kind)
    if not pa.types.is_integer(kind) or not number.is_integer():
        return None
    try:
        return pa.scalar(int(number), kind)
    except (pa.ArrowInvalid, OverflowError):
        return None


def read_column(
    values: pa.ChunkedArray, column: Column, everywhere: tuple[str, ...] = ("",)
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Return the values of a column as they are, with null for what means missing, and cleaned."""
    raw = _with_nulls(values, column, everywhere)
    return raw, cleaned(raw, column, plain=False)


def is_exact(column: Column) -> bool:
    """Say whether spaces around the texts of a column are part of them."""
    return isinstance(column, Text | Id | Ignored) or column.cleaning is None


def has_decimal_comma(values: pa.ChunkedArray, column: Column, contract: Contract) -> bool:
    """Say whether the texts of a column need its decimal comma: the file was not cleaned before."""
    if not reads_comma(column):
        return False
    values = _with_nulls(values, column, contract.missing_markers) if is_readable(values.type) else values
    if not pa.types.is_string(values.type):
        return False
    try:
        values.cast(pa.float64())
    except pa.ArrowInvalid:
        return True
    return False


def reads_comma(column: Column) -> bool:
    """Say whether the numbers of a column have a decimal comma."""
    return isinstance(column, Number | Integer) and column.cleaning is not None and column.cleaning.decimal == ","


def cleaned(values: pa.ChunkedArray, column: Column, *, plain: bool = True) -> pa.ChunkedArray:
    """Return the values of a column in its type; null if they do not fit.

    Values that the contract allows stay as they are; `assay.contract.cleaning` reads all others. Not `plain` says that
    other columns show texts with a decimal comma.
    """
    if isinstance(column, Ignored):
        column = AS_READ.get(column.identifies, TEXT)
    wanted = arrow_type(column)
    is_list = isinstance(column, Category) and column.cleaning is not None
    if values.type == wanted and not isinstance(column, Time) and not is_list:
        return values
    if pa.types.is_timestamp(values.type) and values.type.tz is not None and isinstance(column, Time) and column.zone:
        return pc.local_timestamp(values.cast(pa.timestamp("us", column.zone), safe=False))
    is_doubtful = not plain and pa.types.is_string(values.type) and reads_comma(column)
    if _is_safe(values.type, column) and not is_list and not is_doubtful:
        try:
            cast = values.cast(wanted)
            return _within_calendar(cast) if isinstance(column, Time) else cast
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            pass
    try:
        text = values.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.chunked_array([pa.nulls(len(values), wanted)])
    unique = text.drop_null().unique()
    # Texts and values are objects of Python: of a large column only some at a time.
    some = [unique.slice(start, TEXTS) for start in range(0, len(unique), TEXTS)]
    if plain:
        column = cleaning.written_as(chain.from_iterable(part.to_pylist() for part in some), column)
    read = cleaning.reader(column)
    parts = [pa.array(cleaning.from_texts(part.to_pylist(), read), wanted) for part in some]
    made = pa.concat_arrays(parts) if parts else pa.array([], wanted)
    return pa.chunked_array([made.take(places) for places in pc.index_in(text, unique).chunks], wanted)


def _is_safe(given: pa.DataType, column: Column) -> bool:
    """Say whether Arrow's cast keeps the meaning, without guessing a zone, unit or boolean."""
    is_number = pa.types.is_integer(given) or pa.types.is_floating(given) or pa.types.is_decimal(given)
    match column:
        case Number() | Integer():
            return bool(is_number or pa.types.is_string(given) or pa.types.is_null(given))
        case Boolean():
            return bool(pa.types.is_boolean(given) or pa.types.is_null(given))
        case Time():
            if pa.types.is_string(given):
                is_named = column.cleaning is not None and column.cleaning.format in NAMED
                return column.format is None and not is_named
            is_moment = pa.types.is_timestamp(given) and given.tz is None
            return bool(is_moment or pa.types.is_date(given) or pa.types.is_null(given))
        case _:
            return True


def _within_calendar(moments: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the times; null if Python has no such year."""
    ticks = moments.cast(pa.int64())
    extremes = pc.min_max(ticks).as_py()
    if extremes["min"] is None or (extremes["min"] >= EARLIEST and extremes["max"] <= LATEST):
        return moments
    return pc.if_else(pc.or_(pc.less(ticks, EARLIEST), pc.greater(ticks, LATEST)), None, moments)


def _texts(values: pa.ChunkedArray) -> list[str]:
    try:
        return list(values.cast(pa.string()).to_pylist())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return [str(values.type)]


def _read_csv(path: Path, types: dict[str, pa.DataType], contract: Contract) -> pa.Table:
    return pacsv.read_csv(path, **_options(types, contract))


def _options(types: dict[str, pa.DataType], contract: Contract) -> dict[str, Any]:
    return {
        "convert_options": pacsv.ConvertOptions(
            column_types=types,
            null_values=list(contract.missing_markers),
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
            true_values=TRUE_WORDS,
            false_values=FALSE_WORDS,
        ),
        "parse_options": pacsv.ParseOptions(newlines_in_values=_has_text(contract)),
        "read_options": pacsv.ReadOptions(block_size=BLOCK),
    }


def _has_text(contract: Contract) -> bool:
    return any(isinstance(column, Text | Ignored) for column in contract.columns.values())


def _copy_csv(copy: Path, path: Path, types: dict[str, pa.DataType], contract: Contract) -> Stored:
    """Copy a CSV file to a Parquet file, some rows at a time."""
    with pacsv.open_csv(path, **_options(types, contract)) as reader:
        return store((pa.Table.from_batches([block]) for block in reader), reader.schema, copy)


def _read_parquet(path: Path, cluster: Cluster | None) -> pa.Table | Stored:
    _refuse_twice(path, Stored(path).column_names)
    return read_parquet(path, cluster=cluster)


def read_header(path: Path) -> list[str]:
    """Return the columns of a CSV file; raises InputError if it is not UTF-8, or if a column occurs twice."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            # Arrow passes over empty lines.
            names = next(filter(None, csv.reader(file)), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not UTF-8 text: {one_line(error)}; save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if any("\0" in name for name in names):
        raise InputError(f"{path}: not UTF-8 text: the header holds zero bytes; save it as UTF-8")
    _refuse_twice(path, names)
    return names


def _refuse_twice(path: Path, names: Sequence[str]) -> None:
    if (twice := first_twice(names)) is not None:
        raise InputError(f"{path}: column {twice!r} occurs twice")


def is_cut_off(path: Path) -> bool:
    """Say whether a CSV file with commas ends inside a quoted cell."""
    with path.open("rb") as file:
        # Arrow accepts no cell longer than two blocks, so the quote that opens the last cell is within them.
        file.seek(max(0, path.stat().st_size - 2 * BLOCK))
        before, quote, after = file.read().rpartition(b'"')
    closes = after[:1] in b",\r\n" and before[-1:] not in (b"", b",", b"\r", b"\n")
    if not quote or closes:
        return False
    # It may still be valid: a quote inside an unquoted cell, or at the end of a cell that ends with a comma.
    return ends_inside_quotes(Encoded(path), ",")
