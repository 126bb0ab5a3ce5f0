"""Tables that need not fit into memory: read a column, a batch of rows, or some rows at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from assay.base.errors import InputError, one_line

# The cells of a batch: few enough for memory, enough for all processors.
CELLS = 1 << 22
# Bytes from which rows are not read into memory as a whole.
LARGE = 1 << 28
# Blocks of a text, each of 4 MiB, that become a group of rows of its copy.
BLOCKS = 8
# Places that fall below the one before more often are sorted first.
FALLS = 100
Made = TypeVar("Made")
# What maps several items as `map` does, elsewhere: `assay.data.engine.cluster_at`, which the service need not know.
Cluster = Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]
# The size of a file and when it was last written: a file that changes has another state.
State = tuple[int, int]


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


@runtime_checkable
class Batched(Rows, Protocol):
    """What can be asked of a table that is stored, besides."""

    @property
    def cluster(self) -> Cluster | None:
        """The cluster that reads the rows; None if this process does."""

    def parts(self) -> "Sequence[Rows]":
        """Return the rows in parts, in their order; there is at least one."""

    def batches(self) -> Iterator[pa.Table]:
        """Yield all rows, in their order; a batch is from one part."""


class Stored:
    """The rows of Parquet files with the same columns, in their order; each access reads the files again.

    It can be pickled: a process on another machine opens the files again, under the same paths.
    """

    def __init__(
        self,
        *paths: Path,
        cluster: Cluster | None = None,
        groups: Sequence[int] | None = None,
        schema: pa.Schema | None = None,
    ) -> None:
        """Open the files, or some groups of rows of one; raises InputError if one is not a complete Parquet file.

        `cluster` reads them, if there are many, where a function below says so. `schema` has the types of the columns,
        by default those of the first file: Parquet has no seconds.
        """
        self.paths, self.groups = paths, groups
        self.states = [state_of(path) for path in paths]
        self.files = [parquet_file(path) for path in paths]
        self.schema: pa.Schema = schema or self.files[0].schema_arrow
        self.num_rows: int = sum(group.num_rows for file in self.files for group in self._groups_of(file).values())
        self.column_names: list[str] = self.schema.names
        self.cluster = cluster if is_large(self.size()) else None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle only which rows these are."""
        return _opened_again, ([path.resolve() for path in self.paths], self.states, self.groups, self.schema)

    def __getitem__(self, name: str, /) -> pa.ChunkedArray:
        """Return a column; raises InputError if it cannot be read."""
        chunks = []
        for path, file in zip(self.paths, self.files, strict=True):
            try:
                chunks += file.read_row_groups([*self._groups_of(file)], columns=[name])[name].chunks
            except (pa.ArrowException, OSError) as error:
                raise _broken(path, error) from None
        wanted = self.schema.field(name).type
        return pa.chunked_array([chunk.cast(wanted) for chunk in chunks], wanted)

    def size(self) -> int:
        """Return about how many bytes the rows take in memory: at least 8 for each cell, and what their texts take."""
        groups = [group for file in self.files for group in self._groups_of(file).values()]
        return max(8 * self.num_rows * len(self.column_names), sum(int(group.total_byte_size) for group in groups))

    def field(self, name: str) -> pa.Field:
        """Return name and type of a column."""
        return self.schema.field(name)

    def take(self, index: pa.Array, /) -> pa.Table:
        """Return the rows at some places."""
        return taken_rows(self, index)

    def whole(self) -> pa.Table:
        """Return all rows."""
        return pa.table({name: self[name] for name in self.column_names})

    def parts(self) -> list["Stored"]:
        """Return the rows in parts, in their order: some groups of rows that are a batch, or one group."""
        states = dict(zip(self.paths, self.states, strict=True))
        found = [_opened_again([path], [states[path]], groups, self.schema) for path, _, groups in self._parts()]
        return found or [self]

    def batches(self) -> Iterator[pa.Table]:
        """Yield all rows, in their order; raises InputError if they cannot be read."""
        for path, file, groups in self._parts():
            try:
                for batch in file.iter_batches(batch_size=self._batch(), row_groups=groups):
                    yield pa.Table.from_batches([batch]).cast(self.schema)
            except (pa.ArrowException, OSError) as error:
                raise _broken(path, error) from None

    def _batch(self) -> int:
        return max(1, CELLS // max(1, len(self.column_names)))

    def _groups_of(self, file: pq.ParquetFile) -> dict[int, Any]:
        """Return what a file says of each of its groups of rows."""
        numbers = range(file.num_row_groups) if self.groups is None else self.groups
        return {number: file.metadata.row_group(number) for number in numbers}

    def _parts(self) -> Iterator[tuple[Path, pq.ParquetFile, list[int]]]:
        for path, file in zip(self.paths, self.files, strict=True):
            groups: list[int] = []
            rows = 0
            for number, group in self._groups_of(file).items():
                if groups and rows + group.num_rows > self._batch():
                    yield path, file, groups
                    groups, rows = [], 0
                groups, rows = [*groups, number], rows + group.num_rows
            if groups:
                yield path, file, groups


def _opened_again(
    paths: Sequence[Path], states: Sequence[State], groups: Sequence[int] | None, schema: pa.Schema
) -> Stored:
    """Open files on another machine; raises InputError if they are not those that were meant."""
    for path, state in zip(paths, states, strict=True):
        if state_of(path) != state:
            raise InputError(f"{path}: changed while it was read, or a worker has another file there")
    return Stored(*paths, groups=groups, schema=schema)


def state_of(path: Path) -> State:
    """Return the state of a file; raises InputError if there is none."""
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    return found.st_size, found.st_mtime_ns


def by_part(work: Callable[[Any], Made], rows: Rows) -> list[Made]:
    """Return what `work` makes of each part of rows, in their order; the cluster of the rows does it, if they have one.

    Rows that are in memory are one part.
    """
    return _mapped(work, parts_of(rows), rows)


def by_column(work: Callable[[Any, str], Made], rows: Rows, names: Iterable[str]) -> dict[str, Made]:
    """Return what `work` makes of rows and each name; the cluster of the rows does it, if they have one."""
    names = list(names)
    return dict(zip(names, _mapped(partial(work, rows), names, rows), strict=True))


def parts_of(rows: Rows) -> Sequence[Rows]:
    """Return the parts of rows, in their order; those in memory are one."""
    return rows.parts() if isinstance(rows, Batched) else [rows]


def _mapped(work: Callable[[Any], Made], items: Sequence[Any], rows: Rows) -> list[Made]:
    cluster = rows.cluster if isinstance(rows, Batched) else None
    return cluster(work, items) if cluster else [work(item) for item in items]


def taken_rows(rows: Rows, index: pa.Array) -> pa.Table:
    """Return the rows at some places, a column after the other."""
    return pa.table(by_column(partial(_taken, index), rows, rows.column_names))


def _taken(index: pa.Array, rows: Rows, name: str) -> pa.ChunkedArray:
    return taken(rows[name], index)


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
        return taken_rows(self, index)


def read_parquet(*paths: Path, cluster: Cluster | None = None) -> pa.Table | Stored:
    """Return the rows of Parquet files as `Stored` does: in memory, unless there are many."""
    rows = Stored(*paths, cluster=cluster)
    return rows if is_large(rows.size()) else rows.whole()


def store(tables: Iterable[pa.Table], schema: pa.Schema, path: Path) -> Stored:
    """Write tables with these columns to a Parquet file, and return the rows that are stored there."""
    with pq.ParquetWriter(path, schema, compression="lz4", use_dictionary=False) as writer:
        # A table is mostly a block of a text, and far too small for a group of rows.
        for _, some in groupby(enumerate(tables), lambda pair: pair[0] // BLOCKS):
            writer.write_table(pa.concat_tables(table for _, table in some))
    return Stored(path, schema=schema)


def filtered(rows: Stored, are_kept: np.ndarray) -> Iterator[pa.Table]:
    """Yield the rows that a mask keeps."""
    done = 0
    for batch in rows.batches():
        yield batch.filter(pa.array(are_kept[done : done + batch.num_rows]))
        done += batch.num_rows


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
