"""What a delimited text looks like: separator, header, decimal mark, quotes, and notes above and below the table."""

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assay.base.errors import InputError
from assay.data.encoded import BLOCK, Encoded, decoded
from assay.data.rows import MOST_NOTES, below_header, is_note, joined

SEPARATORS = ",;\t|"
SAMPLE_BYTES = 1 << 20
SAMPLE_ROWS = 1000
# No cell is too long for Python before it is for Arrow: else a quote that is never closed could go unseen.
csv.field_size_limit(2 * BLOCK)
MOST_COLUMNS = 2000
# Notes below the table are within this many bytes.
TAIL = 1 << 20
NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?([eE][-+]?\d+)?")
# Digits that are a code.
CODE = r"\s*(0\d+|\d{17,}|\d+E\d+)\s*"
CODES = f"^{CODE}$"
VERSION = re.compile(r"(?<![^\W\d_])version(?![^\W\d_])", re.IGNORECASE)
_NAMES = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}


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
class Layout:
    """What a first look at a text finds."""

    text: Encoded
    dialect: Dialect
    may_break_lines: bool
    notes: tuple[str, ...]


def look(given: bytes | Path, source: str, target: str, encoding: str | None, as_text: Collection[str]) -> Layout:
    """Look through a text, a piece at a time; raises InputError as `read_delimited` does."""
    text, notes = decoded(given, source, encoding)
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


def _head(text: Encoded) -> bytes:
    """Return the start of a text: more than what is judged, or all of it."""
    head = b""
    for piece in text.pieces():
        head += piece
        if len(head) > SAMPLE_BYTES:
            break
    return head


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


def ends_inside_quotes(text: Encoded, separator: str) -> bool:
    """Say whether the last quote is never closed; Arrow then silently reads the rest of a text as one cell."""
    try:
        with io.TextIOWrapper(text.stream(), "utf-8-sig", "replace", newline="") as lines:
            for _ in csv.reader(lines, delimiter=separator, strict=True):
                pass
    except csv.Error as error:
        return "end of data" in str(error)
    return False
