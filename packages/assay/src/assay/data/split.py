"""The split that never leaks: the side of a row depends only on the row, its group or its time."""

import hashlib
from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.contract.spec import Contract, Ignored
from assay.data.stored import Cluster, Rows, Stored, by_part
from assay.project.layout import SPLIT
from assay.project.params import Prepare

SIDES = ("train", "validation", "test")
# Texts that are hashed at a time, for memory.
TEXTS = 1 << 18


def assign(table: Rows, contract: Contract, shares: Prepare) -> np.ndarray:
    """Return the side of each row: 0 train, 1 validation, 2 test.

    By hash: from the id columns, or from all columns in use if there are none. By group: from the group column. By
    time: the latest rows are the test rows, those before them the validation rows; rows of the same time stay
    together, and each side has at least one time if there are three. By hash and by group a row keeps its side
    whatever rows are added, removed or reordered.
    """
    if contract.split.by == "time":
        return _by_time(table[str(contract.split.column)], shares)
    keys = row_keys(table, identity_columns(contract), shares.salt)
    unit = keys.astype(np.float64) / 2.0**64
    return np.where(unit < shares.test, 2, np.where(unit < shares.test + shares.validation, 1, 0)).astype(np.int8)


def places(sides: np.ndarray) -> dict[str, np.ndarray]:
    """Return where the rows of each side are, in their order; `sides` are those of `assign`."""
    return {name: np.flatnonzero(sides == number) for number, name in enumerate(SIDES)}


def stored(*sides: str, cluster: Cluster | None = None) -> Stored:
    """Return the rows of sides that stage prepare wrote; `cluster` reads them, if there are many."""
    return Stored(*(SPLIT / f"{side}.parquet" for side in sides), cluster=cluster)


def identity_columns(contract: Contract) -> list[str]:
    """Return the columns that identify a row for the split."""
    if contract.split.by == "group":
        return [str(contract.split.column)]
    if contract.ids:
        return contract.ids
    return [name for name, column in contract.columns.items() if not isinstance(column, Ignored) or column.identifies]


def row_keys(table: Rows, names: Sequence[str], salt: str) -> np.ndarray:
    """Return a 64-bit key for each row, from the values of the named columns and a salt.

    The order of rows and of columns does not matter. Numbers are mixed by the finaliser of splitmix64 (Steele, Lea,
    Flood 2014), strings hashed by BLAKE2b once for each distinct value.
    """
    return np.concatenate(by_part(partial(_row_keys, sorted(names), salt), table))


def _row_keys(names: Sequence[str], salt: str, table: Rows) -> np.ndarray:
    keys = np.zeros(table.num_rows, dtype=np.uint64)
    for name in names:
        keys = with_cells(keys, table, name, salt)
    return keys


def with_cells(keys: np.ndarray, table: Rows, name: str, salt: str) -> np.ndarray:
    """Return the keys of rows with one more column."""
    return _mix(keys ^ cell_keys(table, name, salt))


def cell_keys(table: Rows, name: str, salt: str) -> np.ndarray:
    """Return a 64-bit key for each value of a column: equal values, and missing ones, have equal keys."""
    return _mix(_bits(table[name]) ^ np.uint64(_digest(f"{salt}\0{name}")))


def _by_time(moments: pa.ChunkedArray, shares: Prepare) -> np.ndarray:
    times, ranks, counts = np.unique(moments.to_numpy(), return_inverse=True, return_counts=True)
    n, last = len(ranks), len(times) - 1
    wanted = [min(n - 1, round(n * (1 - share))) for share in (shares.test, shares.test + shares.validation)]
    test, validation = np.searchsorted(np.cumsum(counts), wanted, side="right").tolist()
    # With few times, a side smaller than the rows of one time would be empty.
    test = min(max(test, 2), last)
    validation = min(max(validation, 1), max(test - 1, 0))
    return np.where(ranks >= test, 2, np.where(ranks >= validation, 1, 0)).astype(np.int8)


def _bits(values: pa.ChunkedArray) -> np.ndarray:
    """Return 64 bits for each value: equal values, and missing ones, have equal bits."""
    if pa.types.is_string(values.type):
        starts = range(0, len(values), TEXTS)
        return np.concatenate([np.zeros(0, np.uint64), *(_hashed(values.slice(start, TEXTS)) for start in starts)])
    if pa.types.is_timestamp(values.type):
        return np.asarray(pc.fill_null(values.cast(pa.int64()), np.iinfo(np.int64).min)).view(np.uint64)
    # Adding zero makes -0.0 and 0.0 equal; NaN means missing and becomes one bit pattern.
    numbers = np.asarray(values.cast(pa.float64(), safe=False), dtype=np.float64) + 0.0
    bits = numbers.view(np.uint64).copy()
    bits[np.isnan(numbers)] = 0x7FF8000000000000
    return bits


def _hashed(texts: pa.ChunkedArray) -> np.ndarray:
    unique = texts.unique()
    hashed = np.array([0 if text is None else _digest(text) for text in unique.to_pylist()], dtype=np.uint64)
    return np.take(hashed, np.asarray(pc.index_in(texts.combine_chunks(), unique)))


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _mix(bits: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        bits = bits + np.uint64(0x9E3779B97F4A7C15)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: np.ndarray = bits ^ (bits >> np.uint64(31))
    return mixed
