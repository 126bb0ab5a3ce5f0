"""Reading delimited text in any dialect: encoding, separator, header, decimal mark, extra lines."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from assay.base.errors import InputError, one_line
from assay.data.rows import MOST_NOTES, below_header, is_note, joined
from assay.data.stored import State, state_of

SEPARATORS = ",;\t|"
# The key of a table's metadata for the decimal mark of its file.
DECIMAL = b"decimal"
SAMPLE_BYTES = 1 << 20
SAMPLE_ROWS = 1000
# Bytes that are read at once; no row may be longer.
BLOCK = 1 << 22
# No cell is too long for Python before it is for Arrow: else a quote that is never closed could go unseen.
csv.field_size_limit(2 * BLOCK)
MOST_COLUMNS = 2000
# A longer text is data, not the name of a row.
LONGEST_ROW_NAME = 40
# Notes below the table are within this many bytes.
TAIL = 1 << 20
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
NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?([eE][-+]?\d+)?")
# Spaces between aligned columns; quoted text is matched to keep it.
SPACES = re.compile(rb'("[^"\n]*")|[ \t]+')
# Digits that are a code.
CODE = r"\s*(0\d+|\d{17,}|\d+E\d+)\s*"
CODES = f"^{CODE}$"
VERSION = re.compile(r"(?<![^\W\d_])version(?![^\W\d_])", re.IGNORECASE)
# If a file also has invalid bytes, it mixes encodings.
VALID_NON_ASCII = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
# Bytes that cp1252 leaves undefined.
NOT_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")


@dataclass(frozen=True)
class Dialect:
    """The layout of a text; `skip` is the number of lines before the first row of data, the header included.

    If it is not `quoted`, quotation marks are ordinary characters.
    """

    separator: str
    names: tuple[str, ...]
    has_header: bool
    skip: int
    decimal: str
    as_text: tuple[str, ...]
    quoted: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Encoded:
    """A text in some encoding, of any size, which begins and ends at some bytes; the end counts bytes of UTF-8."""

    given: bytes | Path
    encoding: str = "utf-8"
    begin: int = 0
    is_aligned: bool = False
    end: int | None = None

    def pieces(self) -> Iterator[bytes]:
        """Yield the text in UTF-8, some lines at a time, with tabs between columns that spaces separate."""
        done = 0
        blocks = _blocks(self.given, self.begin)
        if self.encoding != "utf-8":
            blocks = _in_utf8(blocks, self.encoding)
        for lines in _in_lines(blocks):
            piece = _with_tabs(lines) if self.is_aligned else lines
            yield piece if self.end is None else piece[: max(0, self.end - done)]
            done += len(piece)

    def open(self) -> pa.NativeFile:
        """Open the text for Arrow."""
        if self != Encoded(self.given):
            return pa.PythonFile(self.stream(), mode="r")
        return pa.OSFile(str(self.given)) if isinstance(self.given, Path) else pa.BufferReader(self.given)

    def stream(self) -> io.BufferedReader:
        """Open the text for Python."""
        return io.BufferedReader(_Pieces(self.pieces()), BLOCK)


class _Pieces(io.RawIOBase):
    """A file of which the pieces are made when they are read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces, self.left = pieces, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self.left:
            try:
                self.left = next(self.pieces)
            except StopIteration:
                return 0
        size = min(len(buffer), len(self.left))
        buffer[:size], self.left = self.left[:size], self.left[size:]
        return size


@dataclass(frozen=True)
class Layout:
    """What a first look at a text finds."""

    text: Encoded
    dialect: Dialect
    may_break_lines: bool
    notes: tuple[str, ...]


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


def look(given: bytes | Path, source: str, target: str, encoding: str | None, as_text: Collection[str]) -> Layout:
    """Look through a text, a piece at a time; raises InputError as `read_delimited` does."""
    text, notes = _decoded(given, source, encoding)
    head = _head(text)
    if _is_aligned(head):
        notes.append("columns are separated by spaces")
        text = replace(text, is_aligned=True)
        head = _head(text)
    dialect = sniff(head, source, target)
    if dialect.separator != "," and not text.is_aligned:
        notes.append(f"columns are separated by {_NAMES[dialect.separator]}")
    if dialect.decimal == ",":
        notes.append("numbers have a decimal comma")
    if not dialect.has_header:
        notes.append(f"no header: columns are named {dialect.names[0]} to {dialect.names[-1]}")
    notes += dialect.notes
    size, quotes, end, tail = 0, 0, 0, b""
    for piece in text.pieces():
        # Any number of empty lines may stand below.
        if (blank := len(piece) - len(piece.rstrip())) < len(piece):
            tail = ((tail if end == size else b"") + piece)[-TAIL - blank :]
            end = size + len(piece)
        size, quotes = size + len(piece), quotes + piece.count(b'"')
    may_break_lines = dialect.quoted and quotes > 0
    if may_break_lines and quotes % 2 and ends_inside_quotes(text, dialect.separator):
        raise InputError(f"{source}: the file ends inside a quoted cell: it is cut off")
    if below := _notes_below(tail, dialect):
        notes.append(f"notes below the table are no data: left out: {' '.join(below.decode().split())[:80]!r}")
        text = replace(text, end=end - len(below))
    dialect = replace(dialect, as_text=tuple({*dialect.as_text, *as_text} & {*dialect.names}))
    return Layout(text, dialect, may_break_lines, tuple(notes))


_NAMES = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}


def _blocks(given: bytes | Path, begin: int) -> Iterator[bytes]:
    with given.open("rb") if isinstance(given, Path) else io.BytesIO(given) as file:
        file.seek(begin)
        while block := file.read(BLOCK):
            yield block


def _in_utf8(blocks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    for block in blocks:
        yield decoder.decode(block).encode()
    yield decoder.decode(b"", final=True).encode()


def _in_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a text in pieces that end where a line ends, but for lines that are far too long."""
    left = b""
    for block in blocks:
        end = block.rfind(b"\n") + 1 or block.rfind(b"\r") + 1
        if end:
            yield left + block[:end]
            left = block[end:]
        else:
            left += block
            # No row may be as long: the rest need not be kept until it ends.
            if len(left) > 2 * BLOCK:
                yield left
                left = b""
    if left:
        yield left


def _with_tabs(lines: bytes) -> bytes:
    """Return lines with tabs between words instead of spaces."""
    return SPACES.sub(lambda found: found[1] or b"\t", re.sub(rb"(?m)^[ \t]+|[ \t\r]+$", b"", lines))


def _head(text: Encoded) -> bytes:
    """Return the start of a text: more than what is judged, or all of it."""
    head = b""
    for piece in text.pieces():
        head += piece
        if len(head) > SAMPLE_BYTES:
            break
    return head


def _decoded(given: bytes | Path, source: str, encoding: str | None) -> tuple[Encoded, list[str]]:
    """Return the text without a byte order mark, and a note if its encoding is not UTF-8."""
    head = next(_blocks(given, 0), b"")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and encoding is None:
        encoding = "utf-16"
    if encoding:
        try:
            # For the error alone: only some encodings are of texts.
            with suppress(UnicodeError):
                b"a".decode(encoding)
        except LookupError as error:
            raise InputError(f"{source}: cannot be read as {encoding}: {one_line(error)}") from None
        if (wrong := _first_wrong_byte(_blocks(given, 0), encoding)) is not None:
            raise InputError(f"{source}: cannot be read as {encoding}: byte {wrong[0] + 1}: {wrong[1]}")
        return Encoded(given, encoding), [f"the encoding is {encoding}"]
    begin = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    head = head[begin:]
    if b"\0" in head:
        raise InputError(f"{source}: an unknown binary format; save the table as CSV or Parquet")
    if (wrong := _first_wrong_byte(_blocks(given, begin), "utf-8")) is None:
        return Encoded(given, begin=begin), []
    if any(VALID_NON_ASCII.search(lines) for lines in _in_lines(_blocks(given, begin))):
        before = enumerate(_blocks(given, begin))
        line = 1 + sum(block.count(b"\n", 0, max(0, wrong[0] - number * BLOCK)) for number, block in before)
        raise InputError(
            f"{source}: mixed encodings: line {line} is not UTF-8, but other lines are; save the file as UTF-8"
        )
    name = "latin-1" if any(NOT_CP1252.search(block) for block in _blocks(given, begin)) else "cp1252"
    text = head[:100_000].decode(name)
    strange = sum(not (c.isprintable() or c.isspace()) for c in text)
    if strange > 0.05 * len(text):
        raise InputError(f"{source}: a binary file, or text in an unknown encoding (set it with --encoding)")
    return Encoded(given, name, begin), [f"the encoding was detected as {name} (--encoding sets another)"]


def _is_aligned(head: bytes) -> bool:
    """Say whether columns are separated by runs of spaces: no other separator, and equally many words in each line."""
    # A quoted text is one word.
    lines = [
        re.sub(rb'"[^"]*"', b"quoted", line) for line in head[:SAMPLE_BYTES].split(b"\n")[:SAMPLE_ROWS] if line.strip()
    ]
    if len(lines) < 3 or any(mark in line for line in lines for mark in b',;|"'):
        return False
    return (
        len({len(line.split()) for line in lines[:-1]}) == 1 and len(lines[0].split()) > 1 and b" " in lines[0].strip()
    )


def _first_wrong_byte(blocks: Iterable[bytes], encoding: str) -> tuple[int, str] | None:
    """Return where the first byte is that is not of an encoding, and what is wrong; None if there is none."""
    decoder = codecs.getincrementaldecoder(encoding)()
    done = 0
    for block in chain(blocks, [b""]):
        left = len(decoder.getstate()[0])
        try:
            decoder.decode(block, final=not block).encode()
        except UnicodeDecodeError as error:
            return done - left + error.start, error.reason
        except UnicodeError as error:
            return done, one_line(error)
        done += len(block)
    return None


def sniff(content: bytes, source: str, target: str) -> Dialect:
    """Return the dialect of a UTF-8 text, judged by its first megabyte; raises InputError if it is not a table."""
    head = content[:SAMPLE_BYTES]
    if len(head) < len(content):
        head = head[: head.rfind(b"\n") + 1] or head
    text = head.decode(errors="ignore")
    if not text.strip():
        raise InputError(f"{source}: the file is empty")
    quoted = {separator: separator != "\t" or not _quotes_are_text(text) for separator in SEPARATORS}
    parsed = {separator: _rows(text, separator, quoted=quoted[separator]) for separator in SEPARATORS}

    def quality(separator: str) -> float:
        rows = parsed[separator]
        width, count = Counter(map(len, rows)).most_common(1)[0]
        return count / len(rows) * (width > 1) + (target in map(str.strip, rows[0])) + min(width, 50) * 1e-3

    separator = max(SEPARATORS, key=quality)
    rows = parsed[separator]
    width = Counter(map(len, rows)).most_common(1)[0][0]
    if width > MOST_COLUMNS:
        raise InputError(f"{source}: {width} columns; at most {MOST_COLUMNS} are supported: remove some first")
    start = next(
        (i for i, row in enumerate(rows[:50]) if target in map(str.strip, row)),
        next(i for i, row in enumerate(rows) if len(row) == width),
    )
    first = [re.sub(r"\s*[\r\n]\s*", " ", cell.strip()) for cell in rows[start]]
    if len(first) < 2:
        raise InputError(f"{source}: only one column found; separate columns by , ; | or tabs")
    below = rows[start + 1 : start + 1 + SAMPLE_ROWS]
    has_header = target in first or _looks_like_header(first, below)
    more = below_header(below) if has_header else 0
    skip = _lines_before(text, separator, start, quoted=quoted[separator])
    notes = ["lines before the table were skipped"] if skip else []
    if more:
        shown = "; ".join(", ".join(filter(None, map(str.strip, row))) for row in below[:more])
        notes.append(f"what stands below the header is no data: left out (lines: {more}): {shown[:80]!r}")
        if not all(first):
            first = joined(first, below[0])
            notes.append("names of columns were joined from two header lines")
        below = below[more:]
        skip = _lines_before(text, separator, start + 1 + more, quoted=quoted[separator])
    elif has_header:
        # A quoted name may have a line break.
        skip = _lines_before(text, separator, start + 1, quoted=quoted[separator])
    if len(first) == width - 1 and has_header and all(len(row) == width and not row[-1] for row in below):
        # Each row ends with a separator, but the header does not.
        first.append("")
    names = tuple(first) if has_header else tuple(f"column_{i + 1}" for i in range(len(first)))
    cells = below if has_header else [rows[start], *below]
    columns = [[row[i].strip() for row in cells if i < len(row)] for i in range(len(names))]
    return Dialect(
        separator,
        names,
        has_header,
        skip,
        "," if separator != "," and _decimal_comma(columns) else ".",
        tuple(
            name
            for name, cells in zip(names, columns, strict=True)
            if (is_named_as_version(name) and are_versions(cells)) or any(map(_is_code, cells))
        ),
        quoted[separator],
        tuple(notes),
    )


def _notes_below(tail: bytes, dialect: Dialect) -> bytes:
    """Return the notes below a table, and the spaces before them, of the last lines of a text."""
    kept = tail.rstrip()
    for _ in range(MOST_NOTES):
        before, end, line = kept.rpartition(b"\n")
        text = line.decode(errors="ignore").strip()
        if (
            not end
            or text.count('"') % 2
            or not is_note(next(_reader(text, dialect.separator, quoted=True), []), len(dialect.names))
        ):
            break
        kept = before.rstrip()
    return b"" if len(kept) == len(tail.rstrip()) else tail[len(kept) :]


def _quotes_are_text(text: str) -> bool:
    """Say whether quotation marks are part of the text, as in chat messages, and tabs alone separate columns."""
    lines = [line.rstrip("\r").split("\t") for line in text.split("\n") if line.strip()]
    if len({len(line) for line in lines}) > 1:
        return False
    return any(cell.startswith('"') and not re.fullmatch(r'"([^"]|"")*"', cell) for line in lines for cell in line)


def _reader(text: str, separator: str, *, quoted: bool) -> Any:
    quoting: Any = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, quoting=quoting)


def _rows(text: str, separator: str, *, quoted: bool) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
        for row in _reader(text, separator, quoted=quoted):
            if row and any(cell.strip() for cell in row):
                rows.append(row)
            if len(rows) > SAMPLE_ROWS + 50:
                break
    except csv.Error:
        pass
    return rows or [[text.strip()]]


def _lines_before(text: str, separator: str, row: int, *, quoted: bool) -> int:
    """Return the number of lines before a row; rows that are not empty are counted from 0."""
    reader = _reader(text, separator, quoted=quoted)
    before = seen = 0
    for cells in reader:
        if cells and any(cell.strip() for cell in cells):
            if seen == row:
                return before
            seen += 1
        before = reader.line_num
    return before


def _looks_like_header(first: list[str], below: list[list[str]]) -> bool:
    """Say whether the first row is a header: no numbers, no duplicates, and no values that occur in other rows."""
    if any(NUMBER.fullmatch(cell) for cell in first):
        return False
    # A header may occur again where files were concatenated.
    others = [cells for row in below if (cells := [cell.strip() for cell in row]) != first]
    if any(sum(i < len(row) and row[i] == cell for row in others) > 1 for i, cell in enumerate(first) if cell):
        return False
    named = [cell for cell in first if cell]
    if len(set(named)) == len(named):
        return True
    # A row of data may repeat a value, and a broken header a name: only below a header the rows look different.
    numeric = [any(i < len(row) and NUMBER.fullmatch(row[i].strip()) for row in below) for i in range(len(first))]
    return any(numeric)


def _decimal_comma(columns: list[list[str]]) -> bool:
    cells = [cell for values in columns for cell in values]
    return any(re.fullmatch(r"[-+]?\d+,\d+", cell) for cell in cells) and not any(
        re.fullmatch(r"[-+]?\d+\.\d{1,2}|[-+]?\d+\.\d{4,}", cell) for cell in cells
    )


def _is_code(cell: str) -> bool:
    """Say whether digits are a code, not a number: leading zeros, too many digits, or an E between digits alone."""
    return bool(re.fullmatch(CODES, cell))


def is_named_as_version(name: str) -> bool:
    """Say whether a column is named as versions."""
    return bool(VERSION.search(name))


def are_versions(cells: Iterable[str]) -> bool:
    """Say whether texts tell 1.10 from 1.1."""
    known = set(cells)
    return any(re.fullmatch(r"\d+\.\d+0", cell) and cell[:-1] in known for cell in known)


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


def ends_inside_quotes(text: Encoded, separator: str) -> bool:
    """Say whether the last quote is never closed; Arrow then silently reads the rest of a text as one cell."""
    try:
        with io.TextIOWrapper(text.stream(), "utf-8-sig", "replace", newline="") as lines:
            for _ in csv.reader(lines, delimiter=separator, strict=True):
                pass
    except csv.Error as error:
        return "end of data" in str(error)
    return False
