"""Reading delimited text in any dialect: encoding, separator, header, decimal mark, extra lines."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from assay.base.errors import InputError, one_line
from assay.data.rows import MOST_NOTES, below_header, is_note, joined

SEPARATORS = ",;\t|"
# The key of a table's metadata for the decimal mark of its file.
DECIMAL = b"decimal"
SAMPLE_BYTES = 1 << 20
SAMPLE_ROWS = 1000
MOST_COLUMNS = 2000
# A longer text is data, not the name of a row.
LONGEST_ROW_NAME = 40
# Cells that may mean missing; clean.py decides column by column.
MISSING = (
    *("", "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "NULL", "null", "NaT", "<NA>", "#N/A", "#NA", "N.A.", "n.a."),
    *("?", "-", "--", ".", "\\N", "#VALUE!", "#DIV/0!", "#REF!", "#NUM!"),
)
NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?([eE][-+]?\d+)?")
# Spaces between aligned columns; quoted text is matched to keep it.
SPACES = re.compile(rb'("[^"\n]*")|[ \t]+')
# Digits that are a code.
CODES = r"^\s*(0\d+|\d{17,}|\d+E\d+)\s*$"
VERSION = re.compile(r"(?<![^\W\d_])version(?![^\W\d_])", re.IGNORECASE)
CODE_IN_FILE = re.compile(rb"(?<![\w.+-])(?:0\d+|\d+E\d+)(?![\w.:/-])")
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
    missing: frozenset[str]
    quoted: bool
    notes: tuple[str, ...] = ()


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
    raw = given.read_bytes() if isinstance(given, Path) else given
    content, notes = _as_utf8(raw, source, encoding)
    is_aligned = _is_aligned(content)
    if is_aligned:
        notes.append("columns are separated by spaces")
        content = SPACES.sub(lambda found: found[1] or b"\t", re.sub(rb"(?m)^[ \t]+|[ \t\r]+$", b"", content))
    dialect = sniff(content, source, target)
    if dialect.separator != "," and not is_aligned:
        notes.append(f"columns are separated by {_NAMES[dialect.separator]}")
    if dialect.decimal == ",":
        notes.append("numbers have a decimal comma")
    if not dialect.has_header:
        notes.append(f"no header: columns are named {dialect.names[0]} to {dialect.names[-1]}")
    notes += dialect.notes
    quoted = dialect.quoted and b'"' in content
    if quoted and content.count(b'"') % 2 and _ends_inside_quotes(content, dialect.separator):
        raise InputError(f"{source}: the file ends inside a quoted cell: it is cut off")
    whole, content = content, _without_notes(content, dialect)
    if len(content) < len(whole):
        shown = " ".join(whole[len(content) :].decode().split())
        notes.append(f"notes below the table are no data: left out: {shown[:80]!r}")
    sample = _sample(content, quoted=quoted)
    # A large file is read from disk again, so that it is not in memory twice.
    text: bytes | Path = given if content is raw else content
    has_codes = CODE_IN_FILE.search(content) is not None
    del raw, content, whole
    dialect = replace(dialect, as_text=tuple({*dialect.as_text, *as_text} & {*dialect.names}))
    table = _parse(text, sample, source, dialect, quoted=quoted)
    if table.num_rows == 0:
        raise InputError(f"{source}: the file has a header but no rows")
    there = _are_there(table)
    typed, more = _without_nameless(table.filter(there), source)
    doubtful = [n for n in typed.column_names if table[n].null_count or (has_codes and _is_number(table[n]))]
    for name, written in _as_written(text, dialect, doubtful, quoted=quoted).items():
        if _says_more(written := written.filter(there), typed[name]):
            typed = typed.set_column(typed.column_names.index(name), name, written)
    return typed.replace_schema_metadata({DECIMAL: dialect.decimal.encode()}), notes + more


_NAMES = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}


def _as_utf8(content: bytes, source: str, encoding: str | None) -> tuple[bytes, list[str]]:
    """Return the text in UTF-8 without a byte order mark, and a note if the encoding was different."""
    for mark, name in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark) and encoding is None:
            encoding = name
    if encoding:
        try:
            return content.decode(encoding).encode(), [f"the encoding is {encoding}"]
        except (LookupError, UnicodeDecodeError) as error:
            raise InputError(f"{source}: cannot be read as {encoding}: {error}") from None
    if content.startswith(b"\xef\xbb\xbf"):
        content = content[3:]
    if b"\0" in content[:SAMPLE_BYTES]:
        raise InputError(f"{source}: an unknown binary format; save the table as CSV or Parquet")
    if content.isascii():
        return content, []
    if (wrong := _first_wrong_byte(content)) is not None:
        line = content.count(b"\n", 0, wrong) + 1
        if VALID_NON_ASCII.search(content):
            raise InputError(
                f"{source}: mixed encodings: line {line} is not UTF-8, but other lines are; save the file as UTF-8"
            )
        name = "latin-1" if NOT_CP1252.search(content) else "cp1252"
        text = content.decode(name)
        strange = sum(not (c.isprintable() or c.isspace()) for c in text[:100_000])
        if strange > 0.05 * min(len(text), 100_000):
            raise InputError(f"{source}: a binary file, or text in an unknown encoding (set it with --encoding)")
        return text.encode(), [f"the encoding was detected as {name} (--encoding sets another)"]
    return content, []


def _is_aligned(content: bytes) -> bool:
    """Say whether columns are separated by runs of spaces: no other separator, and equally many words in each line."""
    lines = [line for line in content[:SAMPLE_BYTES].split(b"\n")[:SAMPLE_ROWS] if line.strip()]
    if b'"' in content:
        # A quoted text is one word.
        lines = [re.sub(rb'"[^"]*"', b"quoted", line) for line in lines]
    if len(lines) < 3 or any(mark in line for line in lines for mark in b',;|"'):
        return False
    return (
        len({len(line.split()) for line in lines[:-1]}) == 1 and len(lines[0].split()) > 1 and b" " in lines[0].strip()
    )


def _first_wrong_byte(content: bytes) -> int | None:
    """Return the position of the first byte that is not UTF-8, or None; in chunks, since the text may be large."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(content), SAMPLE_BYTES):
        try:
            decoder.decode(content[start : start + SAMPLE_BYTES], final=start + SAMPLE_BYTES >= len(content))
        except UnicodeDecodeError as error:
            return max(0, start + error.start - len(decoder.getstate()[0]))
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
        frozenset(MISSING),
        quoted[separator],
        tuple(notes),
    )


def _without_notes(content: bytes, dialect: Dialect) -> bytes:
    """Return a text without the notes below its table."""
    kept = content.rstrip()
    for _ in range(MOST_NOTES):
        before, end, line = kept.rpartition(b"\n")
        text = line.decode().strip()
        if (
            not end
            or text.count('"') % 2
            or not is_note(next(_reader(text, dialect.separator, quoted=True), []), len(dialect.names))
        ):
            break
        kept = before.rstrip()
    return content if len(kept) == len(content.rstrip()) else kept + b"\n"


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


def _sample(content: bytes, *, quoted: bool) -> bytes:
    """Return complete lines from start, middle and end; only from the start if quoted cells may contain line breaks."""
    if len(content) <= 3 * SAMPLE_BYTES:
        return content
    begin = content[: content.rfind(b"\n", 0, SAMPLE_BYTES) + 1]
    if quoted and b'"' in begin.partition(b"\n")[2]:
        return begin
    middle, end = (content[start : start + SAMPLE_BYTES] for start in (len(content) // 2, len(content) - SAMPLE_BYTES))
    return begin + middle.partition(b"\n")[2].rpartition(b"\n")[0] + b"\n" + end.partition(b"\n")[2]


def _parse(text: bytes | Path, sample: bytes, source: str, dialect: Dialect, *, quoted: bool) -> pa.Table:
    names = _distinct(dialect.names, source)
    ragged: list[pacsv.InvalidRow] = []

    def note(row: pacsv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    def read(given: bytes | Path, types: dict[str, pa.DataType], *, threads: bool = True) -> pa.Table:
        with pa.OSFile(str(given)) if isinstance(given, Path) else pa.BufferReader(given) as stream:
            return pacsv.read_csv(
                stream,
                read_options=pacsv.ReadOptions(column_names=names, skip_rows=dialect.skip, use_threads=threads),
                parse_options=_parse_options(dialect, quoted=quoted, note=note),
                convert_options=pacsv.ConvertOptions(
                    column_types=types,
                    null_values=sorted(dialect.missing),
                    strings_can_be_null=True,
                    decimal_point=dialect.decimal,
                    true_values=["true", "True", "TRUE"],
                    false_values=["false", "False", "FALSE"],
                ),
            )

    as_text = dict.fromkeys(dialect.as_text, pa.string())
    # With types from a sample, Arrow need not keep the text until it has seen the last row.
    with suppress(pa.ArrowInvalid):
        schema = read(sample, as_text).schema
        types = {field.name: pa.string() if pa.types.is_null(field.type) else field.type for field in schema}
        return read(text, types)
    ragged.clear()
    try:
        return read(text, as_text)
    except pa.ArrowInvalid as error:
        if not ragged:
            message = one_line(error)
            message = "the file has a header but no rows" if "Empty CSV" in message else message
            raise InputError(f"{source}: {message}") from None
    ragged.clear()
    # Row numbers are known only if rows are read in one thread.
    with suppress(pa.ArrowInvalid):
        read(text, as_text, threads=False)
    row = ragged[0]
    where = "" if row.number is None else f"row {row.number}: "
    raise InputError(
        f"{source}: {where}{row.actual_columns} cells, but the header has {row.expected_columns} "
        f"(the row begins {row.text[:40]!r}); rows differ in length, or the file is cut off"
    )


def _parse_options(dialect: Dialect, *, quoted: bool, note: Any = None) -> pacsv.ParseOptions:
    return pacsv.ParseOptions(
        delimiter=dialect.separator,
        quote_char='"' if dialect.quoted else False,
        newlines_in_values=quoted,
        invalid_row_handler=note,
    )


def _distinct(names: tuple[str, ...], source: str) -> list[str]:
    """Return the names, with a unique placeholder for each empty one."""
    twice = next((name for name, count in Counter(filter(None, names)).items() if count > 1), None)
    if twice is not None:
        raise InputError(f"{source}: column {twice!r} occurs twice; rename one in the file")
    return [name or f"\0{index}" for index, name in enumerate(names)]


def _are_there(table: pa.Table) -> pa.ChunkedArray:
    """Return which rows have a value."""
    there = table.columns[0].is_valid()
    for column in table.columns[1:]:
        if pc.all(there).as_py():
            break
        there = pc.or_(there, column.is_valid())
    return there


def _is_number(values: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_floating(values.type) or pa.types.is_integer(values.type))


def _as_written(text: bytes | Path, dialect: Dialect, names: list[str], *, quoted: bool) -> dict[str, pa.ChunkedArray]:
    """Return columns of a file as texts, with null for an empty cell."""
    if not names:
        return {}
    every = _distinct(dialect.names, "")
    with pa.OSFile(str(text)) if isinstance(text, Path) else pa.BufferReader(text) as stream:
        table = pacsv.read_csv(
            stream,
            read_options=pacsv.ReadOptions(column_names=every, skip_rows=dialect.skip),
            parse_options=_parse_options(dialect, quoted=quoted),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=names,
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    return dict(zip(names, table.columns, strict=True))


def _says_more(written: pa.ChunkedArray, typed: pa.ChunkedArray) -> bool:
    """Say whether the texts of a column hold words for missing, or codes, that its types do not."""
    if written.null_count < typed.null_count:
        return True
    return _is_number(typed) and pc.any(pc.match_substring_regex(written, CODES)).as_py() is True


def _without_nameless(table: pa.Table, source: str) -> tuple[pa.Table, list[str]]:
    notes: list[str] = []
    for name in [name for name in table.column_names if name.startswith("\0")]:
        values, number = table[name], int(name[1:]) + 1
        if values.null_count == len(values):
            notes.append(f"column {number} has no name and no values: left out")
        elif number == 1 and _is_index(values):
            notes.append("the first column has no name and a different value in every row: an index, left out")
        else:
            shown = values.drop_null()[0].as_py()
            raise InputError(f"{source}: column {number} ({shown!r}, ...) has no name; give it one in the header")
        table = table.drop_columns([name])
    return table, notes


def _is_index(values: pa.ChunkedArray) -> bool:
    """Say whether an unnamed first column is the index that pandas or R writes: whole numbers or row names."""
    if pa.types.is_string(values.type):
        if pc.max(pc.utf8_length(values)).as_py() > LONGEST_ROW_NAME:
            return False
    elif not pa.types.is_integer(values.type):
        return False
    return not values.null_count and pc.count_distinct(values).as_py() == len(values)


def _ends_inside_quotes(content: bytes, separator: str) -> bool:
    try:
        for _ in csv.reader(io.StringIO(content.decode(), newline=""), delimiter=separator, strict=True):
            pass
    except csv.Error as error:
        return "end of data" in str(error)
    return False
