"""Reading delimited text in any dialect: the columns have the types that all of their cells have."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from assay.base.errors import InputError, one_line
from assay.data.dialect import CODE, CODES, Layout, look
from assay.data.encoded import BLOCK
from assay.data.stored import State, state_of

# The key of a table's metadata for the decimal mark of its file.
DECIMAL = b"decimal"
# A longer text is data, not the name of a row.
LONGEST_ROW_NAME = 40
NO_ROWS = "the file has a header but no rows"
# What a message of Arrow means.
REASONS = {
    "Empty CSV": NO_ROWS,
    "Could not skip": NO_ROWS,
    "straddling": "a row is longer than 4 MiB; end each row with a line break, and close each quoted cell",
}
# Stands before the number of a column without name.
NAMELESS = "\0"
# Cells that may mean missing; clean.py decides column by column.
MISSING = (
    *("", "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "NULL", "null", "NaT", "<NA>", "#N/A", "#NA", "N.A.", "n.a."),
    *("?", "-", "--", ".", "\\N", "#VALUE!", "#DIV/0!", "#REF!", "#NUM!"),
)
WORDS = MISSING[1:]
# Types from cells of which Arrow infers others here and there: the last that occurs.
FAMILIES = (
    (pa.int64(), pa.float64()),
    (pa.date32(), pa.timestamp("s"), pa.timestamp("ns")),
    (pa.timestamp("s", "UTC"), pa.timestamp("ns", "UTC")),
)


def read_delimited(
    given: bytes | Path, source: str, target: str, encoding: str | None = None, as_text: Collection[str] = ()
) -> tuple[pa.Table, list[str]]:
    """Return the table in a text or in a text file, and notes on anything unusual.

    Columns have the types that Arrow infers: integers, numbers, booleans, dates, times, else text as it stands, also
    for codes such as 007 and 1E5, for columns with words for missing, and for the columns in `as_text`. The metadata of
    the table tell the decimal mark. Columns without name and values, and rows without values, are left out. Raises
    InputError for a text that is binary, mixes encodings, has rows of different length, is cut off, or has no columns
    or rows.
    """
    schema, tables, notes = delimited_in_parts(given, source, target, encoding, as_text)
    return pa.concat_tables([schema.empty_table(), *tables]), notes


def delimited_in_parts(
    given: bytes | Path, source: str, target: str, encoding: str | None = None, as_text: Collection[str] = ()
) -> tuple[pa.Schema, Iterator[pa.Table], list[str]]:
    """Return what `read_delimited` does, of any size: the columns, the rows, some at a time, and notes."""
    before = _state(given)
    with _unchanged(given, before, source):
        layout = look(given, source, target, encoding, as_text)
        kinds, rows = _kinds(layout, source)
        if not rows:
            raise InputError(f"{source}: {NO_ROWS}")
        nameless = [name for name in kinds if name.startswith(NAMELESS)]
        notes = [_left_out(name, _values(layout, source, kinds, name), rows, source) for name in nameless]
    schema = pa.schema(
        [(name, kind) for name, kind in kinds.items() if name not in nameless],
        {DECIMAL: layout.dialect.decimal.encode()},
    )

    def tables() -> Iterator[pa.Table]:
        with _unchanged(given, before, source):
            for table in _streamed(layout, source, kinds):
                yield _as_stored(table).select(schema.names).replace_schema_metadata(schema.metadata)

    return schema, tables(), [*layout.notes, *notes]


def _state(given: bytes | Path) -> State | None:
    return state_of(given) if isinstance(given, Path) else None


@contextmanager
def _unchanged(given: bytes | Path, before: State | None, source: str) -> Iterator[None]:
    """Raise InputError if a file has changed, which may be why something else is wrong with it."""
    try:
        yield
    except InputError:
        if _state(given) == before:
            raise
    if _state(given) != before:
        raise InputError(f"{source}: changed while it was read; start again once it is complete")


def _convert_options(
    layout: Layout, types: Mapping[str, pa.DataType], only: Sequence[str] = ()
) -> pacsv.ConvertOptions:
    """Return how cells become values; texts that may mean missing stay."""
    return pacsv.ConvertOptions(
        column_types=types,
        include_columns=only,
        null_values=MISSING,
        strings_can_be_null=False,
        decimal_point=layout.dialect.decimal,
        true_values=["true", "True", "TRUE"],
        false_values=["false", "False", "FALSE"],
    )


def _streamed(
    layout: Layout, source: str, types: Mapping[str, pa.DataType], only: Sequence[str] = ()
) -> Iterator[pa.Table]:
    """Yield all or only some columns of a text, some rows at a time; raises InputError if rows differ in length."""
    ragged: list[pacsv.InvalidRow] = []

    def note(row: pacsv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    try:
        with (
            layout.text.open() as stream,
            pacsv.open_csv(
                stream,
                read_options=pacsv.ReadOptions(
                    column_names=[*types], skip_rows=layout.dialect.skip, block_size=BLOCK, use_threads=False
                ),
                parse_options=_parse_options(layout, note),
                convert_options=_convert_options(layout, types, only),
            ) as reader,
        ):
            for batch in reader:
                yield pa.Table.from_batches([batch])
    except pa.ArrowInvalid as error:
        if ragged:
            row = ragged[0]
            raise InputError(
                f"{source}: row {row.number}: {row.actual_columns} cells, but the header has {row.expected_columns} "
                f"(the row begins {row.text[:40]!r}); rows differ in length, or the file is cut off"
            ) from None
        message = one_line(error)
        reason = next((ours for said, ours in REASONS.items() if said in message), message)
        raise InputError(f"{source}: {reason}") from None


def _kinds(layout: Layout, source: str) -> tuple[dict[str, pa.DataType], int]:
    """Return the types that `read_delimited` gives the columns, and the number of rows that have a value."""
    names = _distinct(layout.dialect.names, source)
    # More rows leave a column of texts what it is.
    found = {name: {pa.string()} if name in layout.dialect.as_text else set() for name in names}
    far, rows = set[str](), 0
    for block in _streamed(layout, source, dict.fromkeys(names, pa.string())):
        table = _with_a_value(block)
        rows += table.num_rows
        texts = table.select([name for name in names if pa.string() not in found[name]])
        typed, has_codes = _typed(texts, layout)
        for name, values in typed.items():
            found[name].add(values.type)
            may_be_code = has_codes and _is_number(values.type)
            if (values.null_count and pc.any(pc.is_in(texts[name], pa.array(WORDS))).as_py()) or (
                may_be_code and pc.any(pc.match_substring_regex(texts[name], CODES)).as_py()
            ):
                found[name].add(pa.string())
            elif _is_far(values):
                far.add(name)
    return {name: _joined(kinds, is_far=name in far) for name, kinds in found.items()}, rows


def _typed(table: pa.Table, layout: Layout) -> tuple[dict[str, pa.ChunkedArray], bool]:
    """Return columns of texts in the types that Arrow infers, and whether a cell is a code."""
    if not table.num_columns or not table.num_rows:
        return {}, False
    sink = pa.BufferOutputStream()
    pacsv.write_csv(table, sink, pacsv.WriteOptions(include_header=False))
    written = sink.getvalue()
    typed = pacsv.read_csv(
        pa.BufferReader(written),
        # The marks around each cell may make a row longer than a block of the file.
        read_options=pacsv.ReadOptions(column_names=table.column_names, block_size=4 * BLOCK),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=_convert_options(layout, {}),
    )
    has_codes = pc.match_substring_regex(pa.scalar(written.to_pybytes()), f'"{CODE}"').as_py()
    return dict(zip(typed.column_names, typed.columns, strict=True)), has_codes


def _joined(kinds: Collection[pa.DataType], *, is_far: bool) -> pa.DataType:
    """Return the type that Arrow infers for cells of which it infers some types; text for none, or if a day is far."""
    given = {*kinds} - {pa.null()}
    if len(given) < 2:
        return next(iter(given), pa.string())
    family = next((family for family in FAMILIES if given <= {*family}), ())
    kind = max(given, key=family.index) if family else pa.string()
    return pa.string() if is_far and getattr(kind, "unit", "") == "ns" else kind


def _is_far(values: pa.ChunkedArray) -> bool:
    """Say whether some time is too far from 1970 to be counted in nanoseconds."""
    if not pa.types.is_date(values.type) and not pa.types.is_timestamp(values.type):
        return False
    try:
        values.cast(pa.timestamp("s", getattr(values.type, "tz", None)), safe=False).cast(pa.timestamp("ns"))
    except pa.ArrowInvalid:
        return True
    return False


def _parse_options(layout: Layout, note: Any = None) -> pacsv.ParseOptions:
    # Arrow drops the \n of a \r\n in a quoted cell if a block ends between the two.
    return pacsv.ParseOptions(
        delimiter=layout.dialect.separator,
        quote_char='"' if layout.dialect.quoted else False,
        newlines_in_values=layout.may_break_lines,
        invalid_row_handler=note,
    )


def _distinct(names: tuple[str, ...], source: str) -> list[str]:
    """Return the names, with a unique placeholder for each empty one."""
    twice = next((name for name, count in Counter(filter(None, names)).items() if count > 1), None)
    if twice is not None:
        raise InputError(f"{source}: column {twice!r} occurs twice; rename one in the file")
    return [name or f"{NAMELESS}{index}" for index, name in enumerate(names)]


def _are_there(table: pa.Table) -> pa.ChunkedArray:
    """Return which rows have a value: not null, and no text that may mean missing."""
    there = _has_value(table.columns[0])
    for column in table.columns[1:]:
        if pc.all(there).as_py():
            break
        there = pc.or_(there, _has_value(column))
    return there


def _has_value(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_string(values.type):
        return values.is_valid()
    return pc.invert(pc.is_in(values, pa.array([None, *MISSING])))


def _with_a_value(table: pa.Table) -> pa.Table:
    """Return the rows of a table that have a value."""
    there = _are_there(table)
    return table if pc.all(there).as_py() else table.filter(there)


def _as_stored(table: pa.Table) -> pa.Table:
    """Return the rows of a table that have a value, with null for an empty text."""
    there = _with_a_value(table)
    columns = {
        name: pc.if_else(pc.equal(values, ""), None, values) if pa.types.is_string(values.type) else values
        for name, values in zip(there.column_names, there.columns, strict=True)
    }
    return pa.table(columns)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _values(layout: Layout, source: str, kinds: Mapping[str, pa.DataType], name: str) -> pa.ChunkedArray:
    """Return the values of one column of a text."""
    parts = [table[name].filter(_has_value(table[name])) for table in _streamed(layout, source, kinds, [name])]
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks], kinds[name])


def _left_out(name: str, values: pa.ChunkedArray, rows: int, source: str) -> str:
    """Return a note on why a column without name is left out; raises InputError if its values, without null, say more.

    `rows` is the number of rows that have a value in any column.
    """
    number = int(name[1:]) + 1
    if not len(values):
        return f"column {number} has no name and no values: left out"
    if number == 1 and len(values) == rows and _is_index(values):
        return "the first column has no name and a different value in every row: an index, left out"
    shown = values[0].as_py()
    raise InputError(f"{source}: column {number} ({shown!r}, ...) has no name; give it one in the header")


def _is_index(values: pa.ChunkedArray) -> bool:
    """Say whether an unnamed first column is the index that pandas or R writes: whole numbers or row names."""
    if pa.types.is_string(values.type):
        if pc.max(pc.utf8_length(values)).as_py() > LONGEST_ROW_NAME:
            return False
    elif not pa.types.is_integer(values.type):
        return False
    return bool(pc.count_distinct(values).as_py() == len(values))
