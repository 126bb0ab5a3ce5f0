"""From a typed table to plain numpy columns, the form in which models get their rows."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.contract.spec import Boolean, Category, Column, Contract, Integer, Number, Time

if TYPE_CHECKING:
    # The service makes columns from rows, and has no pyarrow.
    import pyarrow as pa

Columns = Mapping[str, np.ndarray]
# A larger number would be infinite in single precision.
LARGEST = float(np.finfo(np.float32).max)
# From so many rows on a call of numpy costs less than its work, during which other threads may have the interpreter.
MANY = 500


class RequestColumns(dict[str, np.ndarray]):
    """Columns of a request, which keep the codes of their categories: the model asks for them, and so does the log."""

    def __init__(self, columns: Columns | Iterable[tuple[str, np.ndarray]]) -> None:
        """Begin without codes."""
        super().__init__(columns)
        self.codes: dict[str, np.ndarray] = {}


def codes(data: Columns, name: str, column: Category) -> np.ndarray:
    """Return for each row the place of its category in the contract, as float64.

    It is the number of values where there is none, and -1 for one that the contract does not know.
    """
    kept = data.codes if isinstance(data, RequestColumns) else {}
    found = kept.get(name)
    if found is None:
        values = data[name].tolist()
        found = kept[name] = np.array([*map(_places(column.values).__getitem__, values)], np.float64)
    return found


class _Places(dict[str | None, float]):
    def __missing__(self, value: str | None) -> float:
        return -1.0


@cache
def _places(values: tuple[str, ...]) -> _Places:
    """Return the number that stands for each value of a category."""
    return _Places({value: float(place) for place, value in enumerate((*values, None))})


def columns(table: "pa.Table", contract: Contract, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Return the features of a table, or the named columns, as one-dimensional arrays.

    Numbers, integers and booleans are float64 with NaN for missing; times are datetime64[us] with NaT for missing;
    categories and texts are object arrays of str, with None for missing.
    """
    return {name: _array(table[name], contract.columns[name]) for name in names or contract.features}


def _array(values: "pa.ChunkedArray", column: Column) -> np.ndarray:
    match column:
        case Number() | Integer() | Boolean():
            return np.array(values.cast("float64").to_numpy(), dtype=np.float64)
        case Time():
            return np.array(values.to_numpy(), dtype="datetime64[us]")
        case _:
            return np.array(values.to_numpy(), dtype=object)


def from_rows(rows: Iterable[Mapping[str, Any]], contract: Contract) -> dict[str, np.ndarray]:
    """Return rows, each a mapping with a value or None for every feature, in the form of `columns`."""
    rows = list(rows)
    made: dict[str, np.ndarray] = {}
    for name, column in contract.features.items():
        values = [row[name] for row in rows]
        match column:
            case Number() | Integer() | Boolean():
                made[name] = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
            case Time():
                made[name] = np.array(values, dtype="datetime64[us]")
            case _:
                made[name] = np.array(values, dtype=object)
    return made


def take(data: Columns, index: np.ndarray) -> dict[str, np.ndarray]:
    """Return the rows of `data` at an index or a mask."""
    return {name: values[index] for name, values in data.items()}


def stacked(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Return columns of one type, or of numbers, as the rows of a matrix."""
    if len(columns[0]) < MANY or columns[0].dtype.kind != "f":
        # Much faster than np.stack for a single row, which is what a service mostly has.
        return np.concatenate(columns).reshape(len(columns), -1)
    return joined([np.asarray(column, np.float64) for column in columns]).reshape(len(columns), -1)


def joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Return arrays of one type, one after the other, as `np.concatenate` does, and read-only.

    That would give the interpreter away with each array, and ask for it again.
    """
    first = arrays[0]
    # A buffer has no type for times.
    data = b"".join(np.ascontiguousarray(array).view(np.uint8).data for array in arrays)
    return np.frombuffer(data, first.dtype).reshape(-1, *first.shape[1:])


def single(numbers: np.ndarray) -> np.ndarray:
    """Return numbers in single precision, with what the exported model computes: the largest one for larger ones."""
    return np.asarray(np.minimum(np.maximum(numbers, -LARGEST), LARGEST), dtype=np.float32)


def length(data: Columns) -> int:
    """Return the number of rows."""
    return len(next(iter(data.values())))


def target(table: "pa.Table", contract: Contract) -> np.ndarray:
    """Return the target: float64 for regression, else the index of the label in `contract.classes`, as int64."""
    values = table[contract.target.name]
    if contract.task == "regression":
        return np.asarray(values.to_numpy(), dtype=np.float64)
    labels = list(contract.classes)
    return np.array([labels.index(value) for value in values.to_pylist()], dtype=np.int64)
