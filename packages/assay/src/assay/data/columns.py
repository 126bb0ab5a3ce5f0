"""From a typed table to plain numpy columns, the input of models."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.base.errors import InputError
from assay.contract.spec import Boolean, Category, Column, Contract, Integer, Number, Time

if TYPE_CHECKING:
    # The service makes columns from rows, without pyarrow.
    import pyarrow as pa

    from assay.data.stored import Rows

Columns = Mapping[str, np.ndarray]
# Larger numbers are infinite in single precision.
LARGEST = float(np.finfo(np.float32).max)
# From this number of rows a numpy call costs less than its work, which releases the interpreter to other threads.
MANY = 500


class RequestColumns(dict[str, np.ndarray]):
    """Columns of a request, with what the log needs too: the values as they came, if they came as JSON, and the ids.

    `numbers` has the numeric columns as the rows of a matrix, where they were read as one.
    """

    def __init__(
        self,
        columns: Columns | Iterable[tuple[str, np.ndarray]],
        values: Sequence[tuple[Any, ...]] = (),
        ids: Sequence[Sequence[Any]] = (),
        numbers: np.ndarray | None = None,
    ) -> None:
        """Start without the codes of categories, which are kept once they are known; `ids` has a list per column."""
        super().__init__(columns)
        self.codes: dict[str, np.ndarray] = {}
        self.values_given = values
        self.ids = ids
        self.numbers = numbers


def codes(data: Columns, name: str, column: Category) -> np.ndarray:
    """Return the index of each row's category in the contract, as float64.

    A missing value has the index after the last category, and a value that is not in the contract has -1.
    """
    kept = data.codes if isinstance(data, RequestColumns) else {}
    found = kept.get(name)
    if found is None:
        values = data[name].tolist()
        found = kept[name] = np.array([*map(_code_of(column.values).__getitem__, values)], np.float64)
    return found


class _Codes(dict[str | None, float]):
    def __missing__(self, value: str | None) -> float:
        return -1.0


@cache
def _code_of(values: tuple[str, ...]) -> _Codes:
    """Return the index of each value of a category."""
    return _Codes({value: float(index) for index, value in enumerate((*values, None))})


def columns(table: "Rows", contract: Contract, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Return the features of a table, or the named columns, as one-dimensional arrays.

    Numbers, integers and booleans are float64 with NaN for missing; times are datetime64[us] with NaT for missing;
    categories and texts are object arrays of str, with None for missing.
    """
    return {
        name: _array(table[name], contract.columns[name]) for name in (contract.features if names is None else names)
    }


def _array(values: "pa.ChunkedArray", column: Column) -> np.ndarray:
    match column:
        case Number() | Integer() | Boolean():
            return np.array(values.cast("float64").to_numpy(), dtype=np.float64)
        case Time():
            return np.array(values.to_numpy(), dtype="datetime64[us]")
        case Category():
            # Rows share the texts of their values, which are few.
            coded = values.combine_chunks().dictionary_encode()
            known = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
            return np.asarray(known[coded.indices.fill_null(len(known) - 1).to_numpy()])
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
    """Return the rows of `data` selected by indices or a mask."""
    return {name: values[index] for name, values in data.items()}


def stacked(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Return columns of one type, or of numbers, stacked as the rows of a matrix."""
    if len(columns[0]) < MANY or columns[0].dtype.kind != "f":
        # Much faster than np.stack for a single row, the usual case in a service.
        return np.concatenate(columns).reshape(len(columns), -1)
    return joined([np.asarray(column, np.float64) for column in columns]).reshape(len(columns), -1)


def joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Concatenate arrays of one type, as `np.concatenate` does; the result is read-only.

    `np.concatenate` would release the interpreter and reacquire it for each array.
    """
    first = arrays[0]
    # The buffer protocol has no type for times.
    data = b"".join(np.ascontiguousarray(array).view(np.uint8).data for array in arrays)
    return np.frombuffer(data, first.dtype).reshape(-1, *first.shape[1:])


def single(numbers: np.ndarray) -> np.ndarray:
    """Return numbers in single precision, as the exported model computes; larger ones become the largest one."""
    return np.asarray(np.minimum(np.maximum(numbers, -LARGEST), LARGEST), dtype=np.float32)


def length(data: Columns) -> int:
    """Return the number of rows."""
    return len(next(iter(data.values())))


def amounts(numbers: np.ndarray, name: str) -> np.ndarray:
    """Return the numbers of a target; raises InputError for one beyond single precision, in which models answer."""
    largest = float(np.abs(numbers).max(initial=0))
    if largest > LARGEST:
        raise InputError(
            f"target {name!r}: {largest:.3g} is too large; models answer in single precision, up to {LARGEST:.3g}: "
            "take a larger unit, or the logarithm"
        )
    return numbers


def target(table: "Rows", contract: Contract) -> np.ndarray:
    """Return the target: float64 for regression, else the index of the label in `contract.classes`, as int64.

    Raises InputError for a number beyond single precision.
    """
    values = table[contract.target.name]
    if contract.task == "regression":
        return amounts(np.asarray(values.to_numpy(), dtype=np.float64), contract.target.name)
    coded = values.combine_chunks().dictionary_encode()
    labels = [contract.classes.index(label) for label in coded.dictionary.to_pylist()]
    return np.asarray(np.array(labels, dtype=np.int64)[coded.indices.to_numpy()])
