"""Rows that are not data: units or more names below the header, headers that occur again, totals, and notes."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.data.stored import Chosen, Rows, Stored, filtered, store

# Words that people and programs write for a missing value, in lower case.
MISSING_WORDS = frozenset(
    (
        "?|-|--|.|na|n/a|n.a.|nan|null|none|nil|nul|missing|unknown|unk|undefined|unspecified|#n/a|\\n|-nan|nat|<na>|#na|"
        "#value!|#div/0!|#ref!|#num!|not available|not known|no data|no answer|not recorded|keine angabe|k.a.|"
        "ohne angabe|unbekannt|inconnu|inconnue|desconocido|desconocida|desconhecido|sconosciuto|onbekend|nieznany"
    ).split("|")
)
MOST_BELOW_HEADER = 3
MOST_NOTES = 20
# Share of the cells of a column that look like numbers or dates, from which any other text there is no data.
MOSTLY = 0.95
FEWEST_CELLS = 5
NUMBER_LIKE = re.compile(r"[^\w\s]{0,3}\s*\d")
TOTAL = (
    r"^[ :*]*((grand |sub-?|running )?totals?( general)?|sum|average|mean|(gesamt|end|zwischen)?summe|gesamt|insgesamt|"
    r"mittelwert|durchschnitt|somme|moyenne|totale|totaux|suma|promedio|media|totaal|gemiddelde|razem)[ :*]*$"
)
FEWEST_EMPTY = 2
# More rows that are named as totals have a value that is called so.
MOST_DOUBTED = 3
NOTE = re.compile(r"[*#†‡©(]|\w+\s*:")
WORDS_OF_A_NOTE = 3
Kinds = Mapping[str, pa.DataType]


def below_header(rows: Sequence[Sequence[str]]) -> int:
    """Return how many of the first rows below a header are no data, such as units or the text of a question.

    Such a row has texts, and no numbers, in the columns that hold numbers or dates in all other rows.
    """
    width = max(map(len, rows), default=0)
    columns = [[row[i].strip() if i < len(row) else "" for row in rows] for i in range(width)]
    numeric = [cells for cells in columns if _is_numeric(cells[MOST_BELOW_HEADER:])]
    for number in range(min(MOST_BELOW_HEADER, len(rows))):
        given = [cells[number] for cells in numeric if _is_there(cells[number])]
        recurs = any(cells[number] in cells[number + 1 :] for cells in numeric if _is_there(cells[number]))
        if not given or recurs or any(NUMBER_LIKE.match(cell) for cell in given):
            return number
    return min(MOST_BELOW_HEADER, len(rows))


def _is_there(cell: str) -> bool:
    return bool(cell) and cell.lower() not in MISSING_WORDS


def _is_numeric(cells: Sequence[str]) -> bool:
    present = [cell for cell in cells if _is_there(cell)]
    like = sum(bool(NUMBER_LIKE.match(cell)) for cell in present)
    return len(present) >= FEWEST_CELLS and like >= MOSTLY * len(present)


def joined(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """Return the names of two header lines, in the first of which a name stands for the empty ones after it, too.

    >>> joined(["id", "Which do you use?", "", "age"], ["", "Phone", "Laptop", "Response"])
    ['id', 'Which do you use?: Phone', 'Which do you use?: Laptop', 'age']
    """
    names: list[str] = []
    group = ""
    for index, name in enumerate(first):
        below = second[index].strip() if index < len(second) else ""
        opens = bool(name) and index + 1 < len(first) and not first[index + 1]
        group = name or group
        names.append(f"{group}: {below}" if below and group and (opens or not name) else name or below)
    return names


def is_note(cells: Sequence[str], width: int) -> bool:
    """Say whether a line that is shorter than the rows of its table is a note below it, not a row that was cut off."""
    given = [cell.strip() for cell in cells if cell.strip()]
    if not given or len(cells) >= width:
        return False
    return bool(NOTE.match(given[0])) or (len(given) == 1 and len(given[0].split()) >= WORDS_OF_A_NOTE)


def data_only(table: pa.Table) -> tuple[pa.Table, list[str]]:
    """Return a table without headers that occur again, totals, and notes in its last rows; and a note on each kind."""
    are_data, notes = data_rows(table)
    return table if are_data is None else table.filter(pa.array(are_data)), notes


def data_rows(table: pa.Table | Stored) -> tuple[np.ndarray | None, list[str]]:
    """Return a mask of the rows that `data_only` keeps, None for all, and its notes; it reads a column at a time."""
    notes: list[str] = []
    kinds = {field.name: field.type for field in table.schema}
    kept: Rows = table
    places = np.arange(table.num_rows)
    for what, find in (
        ("repeated headers", _headers),
        ("totals", _totals),
        ("notes at the end", _notes),
    ):
        has_text = any(map(pa.types.is_string, kinds.values())) and kept.num_rows
        found = find(kept, kinds) if has_text else np.zeros(0, dtype=bool)
        if found.any():
            rows = np.flatnonzero(found)
            shown = _shown(kept, int(rows[0]))
            notes.append(f"{what} are no data: left out (rows: {len(rows)}; first: row {rows[0] + 1}, {shown})")
            places = places[~found]
            kept = Chosen(table, places)
    named = np.flatnonzero(np.logical_or.reduce([np.zeros(kept.num_rows, dtype=bool), *_named_totals(kept, kinds)]))
    if 0 < len(named) <= MOST_DOUBTED:
        shown = _shown(kept, int(named[0]))
        notes.append(f"named as totals, but no sums or means of other rows: kept (rows: {len(named)}; {shown})")
    if kept is table:
        return None, notes
    are_data = np.zeros(table.num_rows, dtype=bool)
    are_data[places] = True
    return are_data, notes


def data_stored(tables: Iterable[pa.Table], schema: pa.Schema, folder: Path) -> tuple[Stored, list[str]]:
    """Write the rows that `data_only` keeps to a Parquet file in a folder; return them, and its notes."""
    rows = store(tables, schema, folder / "all.parquet")
    are_data, notes = data_rows(rows)
    if are_data is not None:
        rows = store(filtered(rows, are_data), schema, folder / "data.parquet")
        (folder / "all.parquet").unlink()
    return rows, notes


def _shown(table: Rows, row: int) -> str:
    cells = [str(column[0].as_py()) for column in table.take(pa.array([row])).columns if column[0].is_valid]
    return repr(", ".join(cells)[:60])


def _texts(kinds: Kinds) -> list[str]:
    return [name for name, kind in kinds.items() if pa.types.is_string(kind)]


def _headers(table: Rows, kinds: Kinds) -> np.ndarray:
    if len(_texts(kinds)) < len(kinds):
        return np.zeros(table.num_rows, dtype=bool)
    found = np.ones(table.num_rows, dtype=bool)
    for name in kinds:
        found &= _mask(pc.equal(pc.utf8_trim_whitespace(table[name]), name))
        if not found.any():
            break
    return found


def _totals(table: Rows, kinds: Kinds) -> np.ndarray:
    """Return which rows are totals: a word names them, and every row that it names is one.

    A total has sums or means of other rows, or ends the table and is mostly empty. A word in many rows is a value.
    """
    of_word = _named_totals(table, kinds)
    found = np.zeros(table.num_rows, dtype=bool)
    named = np.logical_or.reduce(of_word) if of_word else found
    if 0 < named.sum() <= table.num_rows // 4:
        is_total = _are_sums(table, kinds, named) | _are_empty_at_end(table, named)
        for rows in of_word:
            found |= rows & is_total[rows].all()
    return found


def _named_totals(table: Rows, kinds: Kinds) -> list[np.ndarray]:
    """Return for each word for a total which rows it names."""
    found = []
    for name in _texts(kinds):
        cells = table[name]
        words = pc.unique(cells).drop_null()
        words = words.filter(pc.match_substring_regex(words, TOTAL, ignore_case=True))
        found += [_mask(pc.equal(cells, word)) for word in words]
    return found


def _are_sums(table: Rows, kinds: Kinds, named: np.ndarray) -> np.ndarray:
    """Return which named rows hold the sum or the mean of one block of rows in each of their numbers.

    A block is all other rows, those before, or those since the last named row. At least one of the sums or means must
    occur in no other row.
    """
    rows = np.flatnonzero(named)
    blocks: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
        lambda so_far: so_far[-1:],
        lambda so_far: so_far[rows],
        lambda so_far: np.diff(so_far[rows], prepend=0),
    )
    fits, new = np.ones((len(blocks), len(rows)), dtype=bool), np.zeros((len(blocks), len(rows)), dtype=bool)
    for name, kind in kinds.items():
        if not pa.types.is_integer(kind) and not pa.types.is_floating(kind):
            continue
        values = table[name].cast(pa.float64()).to_numpy()
        there = ~np.isnan(values)
        others = np.isfinite(values) & ~named
        is_new = ~np.isin(values[rows], values[others])
        sums, counts = (np.cumsum(np.where(others, one, 0.0)) for one in (values, np.ones(len(values))))
        for block, of in enumerate(blocks):
            whole, number = of(sums), of(counts)
            near = [
                np.isclose(values[rows], total, rtol=1e-9, atol=1e-6)
                for total in (whole, whole / np.maximum(number, 1))
            ]
            is_sum = np.logical_or(*near) & (number > 1)
            fits[block] &= is_sum | ~there[rows]
            new[block] |= is_sum & is_new
    found = np.zeros(len(named), dtype=bool)
    found[rows] = (fits & new).any(axis=0)
    return found


def _are_empty_at_end(table: Rows, named: np.ndarray) -> np.ndarray:
    """Return which named rows, with no others after them, have far fewer cells than the others."""
    empty = np.zeros(table.num_rows, dtype=np.int32)
    for name in table.column_names:
        empty += _mask(table[name].is_null())
    most = empty[~named].mean() + max(FEWEST_EMPTY, (len(table.column_names) - 1) / 2)
    at_end = np.logical_and.accumulate(named[::-1])[::-1]
    return np.asarray(at_end & (empty >= most))


def _notes(table: Rows, kinds: Kinds) -> np.ndarray:
    """Return which of the last rows have a text in the first column and nothing else."""
    found = np.zeros(table.num_rows, dtype=bool)
    first, *others = kinds
    last = table.take(pa.array(np.arange(table.num_rows)[-MOST_NOTES:]))
    alone = _mask(last[first].is_valid())
    for name in others:
        alone &= _mask(last[name].is_null())
    alone = np.logical_and.accumulate(alone[::-1])[::-1]
    is_text = pa.types.is_string(kinds[first])
    if is_text and alone.any() and any(2 * table[name].null_count < table.num_rows for name in others):
        found[-len(alone) :] = alone
    return found


def _mask(found: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(pc.fill_null(found, False))
