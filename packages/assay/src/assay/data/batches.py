"""Reading data of any size, a batch of rows after the other."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from assay.base.config import did_you_mean
from assay.base.errors import InputError, one_line
from assay.contract.spec import Column, Contract
from assay.data.encoded import BLOCK
from assay.data.reading import has_decimal_comma, is_cut_off, read_header, reads_comma
from assay.data.stored import State, Stored, in_batches, parquet_file, state_of
from assay.data.violations import first_twice

# The trees of ONNX Runtime are fastest with some thousand rows a call.
ROWS = 4096
# This many rows take seconds, and a worker that is lost loses no more.
PIECE = 100_000
SUFFIXES = (".csv", ".parquet")
HIDDEN = (".", "_")


@dataclass(frozen=True, eq=False)
class Whole:
    """A table that was read as a whole, and where it came from."""

    location: str
    table: pa.Table | Stored

    def __str__(self) -> str:
        """Return where it came from, as messages name it."""
        return self.location

    def size(self) -> int:
        """Return about how many bytes it takes in memory."""
        return self.table.size() if isinstance(self.table, Stored) else int(self.table.nbytes)


# A file that is read in batches, or a table that was made of another source.
Part = Path | Whole


def can_be_streamed(path: Path, contract: Contract) -> bool:
    """Say whether a file is Parquet, or CSV with commas and a feature in its header; or a folder whether it may be.

    A folder does not tell all if it is a Delta table, or if the names of its folders hold values.
    """
    if path.is_dir():
        folders = [one.name for one in path.rglob("*") if one.is_dir()]
        return "_delta_log" not in folders and not any("=" in name for name in folders)
    if path.suffix.lower() != ".csv" or path.stat().st_size == 0:
        return path.suffix.lower() == ".parquet"
    try:
        return any(name in contract.features for name in read_header(path))
    except InputError:
        return False


def parts(path: Path) -> list[Path]:
    """Return the file, or the files of a folder in the order of their names.

    Raises InputError if there is none, and for a file that is neither CSV nor Parquet.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file")
    files = sorted(files_in(path)) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: the folder has no files")
    for file in files:
        if not is_data(file):
            raise InputError(f"{file}: expected a .csv or .parquet file")
        if not file.exists():
            raise InputError(f"{file}: this link leads to no file")
        if file.stat().st_size == 0:
            raise InputError(f"{file}: the file is empty")
    return files


def is_data(file: Path) -> bool:
    """Say whether the name of a file is that of a CSV or Parquet file."""
    return file.suffix.lower() in SUFFIXES


def files_in(path: Path) -> Iterator[Path]:
    """Yield the files of a folder and of those in it, but for hidden ones; raises InputError if it cannot be listed."""

    def fail(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}")

    for here, folders, names in os.walk(path, onerror=fail):
        folder = Path(here)
        folders[:] = [name for name in folders if not name.startswith(HIDDEN)]
        for name in folders:
            if (folder / name).is_symlink():
                raise InputError(
                    f"{folder / name}: a link to a folder is not followed; copy the files, or name it INPUT"
                )
        yield from (folder / name for name in names if not name.startswith(HIDDEN))


def require_columns(files: Sequence[Part], contract: Contract) -> tuple[str, ...]:
    """Return the columns of the parts that are not in the contract.

    Raises InputError with the name of the first part that lacks a feature, or an id that another one has, before any
    row is read.
    """
    unknown: dict[str, None] = {}
    found = {file: _names(file) for file in files}
    ids = [name for name in contract.given_ids if any(name in names for names in found.values())]
    for file, names in found.items():
        missing = [name for name in (*contract.features, *ids) if name not in names]
        extra = [name for name in names if name not in contract.columns and name != contract.target.name]
        if missing:
            raise InputError(f"{file}: there is no column {missing[0]!r}{did_you_mean(missing[0], extra)}")
        unknown |= dict.fromkeys(extra)
    return tuple(unknown)


def _names(file: Part) -> list[str]:
    if isinstance(file, Whole):
        return list(file.table.column_names)
    if file.suffix.lower() == ".csv":
        return read_header(file)
    names = list(parquet_file(file).schema_arrow.names)
    if (twice := first_twice(names)) is not None:
        raise InputError(f"{file}: column {twice!r} occurs twice")
    return names


def count_rows(files: Sequence[Part]) -> int | None:
    """Return the number of rows; None if there is a CSV file, which does not say it."""
    return None if any(_is_csv(file) for file in files) else most_rows(files)


def most_rows(files: Sequence[Part]) -> int:
    """Return a number that is at least that of the rows: of a CSV file the number of its lines."""
    return sum(_most_rows(file) for file in files)


def _most_rows(file: Part) -> int:
    if isinstance(file, Whole):
        return int(file.table.num_rows)
    if not _is_csv(file):
        return int(parquet_file(file).metadata.num_rows)
    # The header ends with a line break, and the last line may lack it.
    with file.open("rb") as opened:
        return sum(block.count(b"\n") + block.count(b"\r") for block in iter(lambda: opened.read(BLOCK), b""))


def _is_csv(file: Part) -> bool:
    return isinstance(file, Path) and file.suffix.lower() == ".csv"


def states(files: Sequence[Part]) -> dict[Path, State]:
    """Return the states of the files; raises InputError if one is no longer there."""
    return {file: state_of(file) for file in files if isinstance(file, Path)}


def batches(
    files: Sequence[Part], names: Sequence[str], before: Mapping[Path, State] | None = None, rows: int = ROWS
) -> Iterator[pa.Table]:
    """Yield tables of at most `rows` rows with those of the named columns that a part has; CSV cells are texts.

    Raises InputError for a file that is damaged, or that has changed since `before`, by default since the first batch.
    """
    before = before or states(files)
    for file in files:
        if isinstance(file, Whole):
            wanted = [name for name in names if name in file.table.column_names]
            for batch in in_batches(file.table):
                table = batch.select(wanted)
                yield from (table.slice(start, rows) for start in range(0, table.num_rows, rows))
        else:
            yield from read_piece(Piece(file), names, before, rows)


@dataclass(frozen=True)
class Piece:
    """A file, or some groups of rows of a Parquet file."""

    file: Path
    groups: tuple[int, ...] | None = None


def pieces(files: Sequence[Path], rows: int = PIECE) -> list[Piece]:
    """Return the pieces of files, in their order; those of Parquet files have about `rows` rows, or one group."""
    found = []
    for file in files:
        if _is_csv(file):
            found.append(Piece(file))
            continue
        metadata, groups, size = parquet_file(file).metadata, [], 0
        for number in range(metadata.num_row_groups):
            groups.append(number)
            size += metadata.row_group(number).num_rows
            if size >= rows:
                found.append(Piece(file, tuple(groups)))
                groups, size = [], 0
        if size:
            found.append(Piece(file, tuple(groups)))
    return found


def read_piece(
    piece: Piece, names: Sequence[str], before: Mapping[Path, State], rows: int = ROWS
) -> Iterator[pa.Table]:
    """Yield tables of a piece as `batches` does."""
    file = piece.file
    read = _csv(file, names) if _is_csv(file) else _row_groups(file, names, rows, piece.groups)
    try:
        for table in read:
            for start in range(0, table.num_rows, rows):
                yield table.slice(start, rows)
    except (pa.ArrowException, OSError) as error:
        said = one_line(error)
        hint = "; save it as UTF-8, or predict it here and name its --encoding" if "invalid UTF8" in said else ""
        raise InputError(f"{file}: cannot be read: {said}{hint}") from None
    if state_of(file) != before[file]:
        raise InputError(f"{file}: changed while it was read; start again once it is complete")


def is_plain(files: Sequence[Part], columns: Mapping[str, Column], contract: Contract) -> bool:
    """Say whether the numbers of texts in some columns are in plain notation, which all rows decide together."""
    commas = [name for name, column in columns.items() if reads_comma(column)]
    texts = [file for file in files if _is_csv(file) or isinstance(file, Whole)]
    return not commas or not any(
        has_decimal_comma(table[name], columns[name], contract)
        for table in batches(texts, commas)
        for name in table.column_names
    )


def _csv(file: Path, names: Sequence[str]) -> Iterator[pa.Table]:
    there = set(read_header(file))
    wanted = [name for name in names if name in there]
    reader = pacsv.open_csv(
        file,
        # Reading ahead in threads takes memory, and the rows are scored in other processes.
        read_options=pacsv.ReadOptions(block_size=BLOCK, use_threads=False),
        convert_options=pacsv.ConvertOptions(
            include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string()), strings_can_be_null=False
        ),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
    )
    with reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])
    if is_cut_off(file):
        raise InputError(f"{file}: the file ends inside a quoted cell: it is cut off")


def _row_groups(file: Path, names: Sequence[str], rows: int, groups: tuple[int, ...] | None) -> Iterator[pa.Table]:
    source = parquet_file(file)
    there = set(source.schema_arrow.names)
    wanted = [name for name in names if name in there]
    for batch in source.iter_batches(batch_size=rows, row_groups=groups, columns=wanted):
        yield pa.Table.from_batches([batch])
