"""Tables that need not fit into memory: read a column, a batch of rows, or some rows at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from assay.base.errors import InputError, one_line

# The cells of a batch: few enough for memory, enough for all processors.
CELLS = 1 << 22
# Bytes from which rows are not read into memory as a whole.
LARGE = 1 << 28
# Places that fall below the one before more often are sorted first.
FALLS = 100


class Rows(Protocol):
    """What can be asked of a table that is stored, as of one in memory: a `pyarrow.Table` is one too."""

    @property
    def num_rows(self) -> int:
        """The number of rows."""

    @property
    def column_names(self) -> list[str]:
        """The names of the columns."""

    def __getitem__(self, name: str, /) -> pa.ChunkedArray:
        """Return a column."""

    def take(self, index: pa.Array, /) -> pa.Table:
        """Return the rows at some places."""


class Batched(Rows, Protocol):
    """What can be asked of a table that is stored, besides."""

    def batches(self) -> Iterator[pa.Table]:
        """Yield all rows, in their order."""


class Stored:
    """The rows of Parquet files with the same columns, in their order; each access reads the files again."""

    def __init__(self, *paths: Path) -> None:
        """Open the files; raises InputError if one is not a complete Parquet file."""
        self.paths = paths
        self.files = [parquet_file(path) for path in paths]
        self.schema: pa.Schema = self.files[0].schema_arrow
        self.num_rows: int = sum(file.metadata.num_rows for file in self.files)
        self.column_names: list[str] = self.schema.names

    def __getitem__(self, name: str, /) -> pa.ChunkedArray:
        """Return a column; raises InputError if it cannot be read."""
        chunks = []
        for path, file in zip(self.paths, self.files, strict=True):
            try:
                chunks += file.read(columns=[name])[name].chunks
            except (pa.ArrowException, OSError) as error:
                raise _broken(path, error) from None
        return pa.chunked_array(chunks, self.schema.field(name).type)

    def size(self) -> int:
        """Return about how many bytes the rows take in memory: at least 8 for each cell, and what their texts take."""
        groups = [file.metadata.row_group(number) for file in self.files for number in range(file.num_row_groups)]
        return max(8 * self.num_rows * len(self.column_names), sum(int(group.total_byte_size) for group in groups))

    def field(self, name: str) -> pa.Field:
        """Return name and type of a column."""
        return self.schema.field(name)

    def take(self, index: pa.Array, /) -> pa.Table:
        """Return the rows at some places."""
        return pa.table({name: taken(self[name], index) for name in self.column_names})

    def whole(self) -> pa.Table:
        """Return all rows."""
        return pa.table({name: self[name] for name in self.column_names})

    def batches(self) -> Iterator[pa.Table]:
        """Yield all rows, in their order; raises InputError if they cannot be read."""
        rows = max(1, CELLS // max(1, len(self.column_names)))
        for path, file in zip(self.paths, self.files, strict=True):
            try:
                for batch in file.iter_batches(batch_size=rows):
                    yield pa.Table.from_batches([batch])
            except (pa.ArrowException, OSError) as error:
                raise _broken(path, error) from None


def taken(values: pa.ChunkedArray, index: pa.Array | np.ndarray) -> pa.ChunkedArray:
    """Return the values at some places.

    `take` of Arrow makes one array of all values first, and one array holds at most 2 GiB of text.
    """
    places = np.asarray(index, dtype=np.int64)
    if not len(places):
        return pa.chunked_array([], values.type)
    falls = np.flatnonzero(np.diff(places) < 0) + 1
    if len(falls) > FALLS:
        order = np.argsort(places, kind="stable")
        return taken(values, places[order]).take(pa.array(np.argsort(order, kind="stable")))
    ends = np.cumsum([len(chunk) for chunk in values.chunks])
    chunks = [
        chunk.take(pa.array(part - (end - len(chunk))))
        for rising in np.split(places, falls)
        for chunk, part, end in zip(
            values.chunks, np.split(rising, np.searchsorted(rising, ends[:-1])), ends, strict=True
        )
        if len(part)
    ]
    return pa.chunked_array(chunks, values.type)


class Chosen:
    """Some rows of others, in any order."""

    def __init__(self, rows: Rows, index: np.ndarray) -> None:
        """Take the rows at these places."""
        self.rows, self.index = rows, index
        self.num_rows, self.column_names = len(index), rows.column_names

    def __getitem__(self, name: str, /) -> pa.ChunkedArray:
        """Return a column."""
        return taken(self.rows[name], self.index)

    def take(self, index: pa.Array, /) -> pa.Table:
        """Return the rows at some of these places."""
        return self.rows.take(pa.array(self.index[np.asarray(index)]))


class Joined:
    """The rows of several others with the same columns, one after the other."""

    def __init__(self, *parts: Rows) -> None:
        """Take the parts, of which there is at least one."""
        self.parts = parts
        self.num_rows, self.column_names = sum(part.num_rows for part in parts), parts[0].column_names

    def __getitem__(self, name: str, /) -> pa.ChunkedArray:
        """Return a column."""
        columns = [part[name] for part in self.parts]
        return pa.chunked_array([chunk for column in columns for chunk in column.chunks], columns[0].type)

    def take(self, index: pa.Array, /) -> pa.Table:
        """Return the rows at some places."""
        return pa.table({name: taken(self[name], index) for name in self.column_names})


def read_parquet(*paths: Path) -> pa.Table | Stored:
    """Return the rows of Parquet files as `Stored` does: in memory, unless there are many."""
    rows = Stored(*paths)
    return rows if is_large(rows.size()) else rows.whole()


def is_large(size: int) -> bool:
    """Say whether this many bytes are too many to read at once."""
    return size >= LARGE


def parquet_file(path: Path) -> pq.ParquetFile:
    """Open a Parquet file; raises InputError if it is not a complete one."""
    try:
        return pq.ParquetFile(path, memory_map=False, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise _broken(path, error) from None


def _broken(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: not a complete Parquet file: {one_line(error)}")


def in_batches(rows: pa.Table | Batched) -> Iterator[pa.Table]:
    """Yield all rows, in their order; those in memory are one batch."""
    yield from [rows] if isinstance(rows, pa.Table) else rows.batches()
