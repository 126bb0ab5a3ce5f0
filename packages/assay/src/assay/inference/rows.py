"""From the body of a request to rows, and from rows to columns."""

import sys
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np

from assay.contract.cleaning import markers_of
from assay.contract.request import moment, request_model
from assay.contract.spec import Boolean, Category, Contract, Feature, Integer, Number, Text, Time
from assay.data.columns import MANY, Columns, RequestColumns, length

if TYPE_CHECKING:
    from pydantic import BaseModel

# `Columns`, `RequestColumns` and `length` are re-exported for the service.
__all__ = ["Columns", "RequestColumns", "RowReader", "Values", "finite_limits", "length"]

LARGEST = sys.float_info.max

Values = tuple[Any, ...]


def finite_limits(column: Number | Integer | Boolean) -> tuple[float, float]:
    """Return the lowest and the highest finite number that a column allows, also if its range is open."""
    match column:
        case Integer():
            return column.limits
        case Number():
            low, high = column.range or (-LARGEST, LARGEST)
            return max(low, -LARGEST), min(high, LARGEST)
        case Boolean():
            return 0, 1


class RowReader:
    """Reads the rows of requests by a contract."""

    def __init__(self, contract: Contract, max_rows: int) -> None:
        """Look up everything that is known before the first request."""
        self.contract = contract
        self.max_rows = max_rows
        self._decoder = _decoder(contract, max_rows)
        kinds = list(contract.features.items())
        self._later = [
            (index, reader)
            for index, (_, kind) in enumerate(kinds)
            if (reader := _later(kind, contract.missing_markers))
        ]
        self._indices = [index for index, (_, kind) in enumerate(kinds) if isinstance(kind, Number | Integer | Boolean)]
        self._features = len(kinds)
        # The values of a row are those of its features, then its ids.
        self._kept = slice(len(kinds) + len(contract.given_ids))
        self._names = [kinds[index][0] for index in self._indices]
        self._others = [
            (name, index, "datetime64[us]" if isinstance(kind, Time) else "object")
            for index, (name, kind) in enumerate(kinds)
            if index not in self._indices
        ]

    @cached_property
    def _model(self) -> "type[BaseModel]":
        # Built when first needed, so that the service starts quickly.
        return request_model(self.contract, self.max_rows)

    def read(self, body: bytes) -> list[Values]:
        """Return the values of the rows of a body: of features in the order of columns, then of ids.

        Raises pydantic's ValidationError for a body that breaks the contract.
        """
        return self.read_fast(body) or self.validate(body)

    def validate(self, body: bytes) -> list[Values]:
        """Clean and read with the request model, whose errors say what is wrong."""
        request: Any = self._model.model_validate_json(body)
        # The fields of a row have the order of the contract; columns that are not used come last, after ids.
        return [tuple(row.__dict__.values())[self._kept] for row in request.rows]

    def read_fast(self, body: bytes) -> list[Values] | None:
        """Read in a fifth of the time of `validate`; None for a body that needs the request model."""
        if self._decoder is None:
            return None
        try:
            kept = self._kept
            rows = [msgspec.structs.astuple(row)[kept] for row in self._decoder.decode(body).rows]
            return [self._finish(row) for row in rows] if self._later else rows
        except (msgspec.MsgspecError, ValueError):
            return None

    def columns(self, rows: list[Values]) -> RequestColumns:
        """Return rows as columns."""
        columns = list(zip(*rows, strict=True))
        values = [columns[index] for index in self._indices]
        # None becomes NaN. With few rows all columns are converted at once, since a call costs more than its work; with
        # many rows one by one, since numpy reads a nested sequence twice.
        numbers = np.array(values, np.float64) if len(rows) < MANY else [np.array(one, np.float64) for one in values]
        data = RequestColumns(
            zip(self._names, numbers, strict=True),
            columns[: self._features],
            columns[self._features :],
            numbers if isinstance(numbers, np.ndarray) else None,
        )
        for name, index, kind in self._others:
            data[name] = np.array(columns[index], dtype=kind)
        return data

    def _finish(self, row: Values) -> Values:
        values = list(row)
        for index, read in self._later:
            if values[index] is not None:
                values[index] = read(values[index])
        return tuple(values)


def _decoder(contract: Contract, max_rows: int) -> msgspec.json.Decoder[Any] | None:
    """Return a decoder of `{"rows": [{...}, ...]}` that, with `_later`, accepts only what the request model accepts.

    None if a column name has a quotation mark, a backslash or a control character, which msgspec does not allow.
    """
    # A column may have any name, but a field may not.
    names = {f"c{number}": name for number, name in enumerate([*contract.features, *contract.unused])}
    if not all(name.isprintable() and '"' not in name and "\\" not in name for name in names.values()):
        return None
    row = msgspec.defstruct(
        "Row",
        [_row_field(field, contract.features.get(name)) for field, name in names.items()],
        rename=names,
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,
    )
    rows = Annotated[list[row], msgspec.Meta(min_length=1, max_length=max_rows)]  # type: ignore[valid-type]
    return msgspec.json.Decoder(msgspec.defstruct("Request", [("rows", rows)], forbid_unknown_fields=True))


def _row_field(field: str, column: Feature | None) -> tuple[str, Any] | tuple[str, Any, None]:
    """Return the field of a column; a column that is not a feature may have any value, or none."""
    if column is None:
        return field, Any, None
    return (field, _type(column), None) if column.missing == "allow" else (field, _type(column))


def _type(column: Feature) -> Any:
    kind: Any
    match column:
        case Number():
            low, high = finite_limits(column)
            kind = Annotated[float, msgspec.Meta(ge=low, le=high)]
        case Integer():
            low, high = column.limits
            kind = Annotated[int, msgspec.Meta(ge=low, le=high)]
        case Boolean():
            kind = bool
        case Category():
            kind = Literal[column.values]
        case Text():
            kind = Annotated[str, msgspec.Meta(max_length=column.max_length)]
        case Time():
            kind = str
    return kind | None if column.missing == "allow" else kind


def _later(column: Feature, everywhere: tuple[str, ...]) -> Callable[[str], Any] | None:
    """Return a function that finishes reading a text; it raises ValueError where the request model has to decide."""
    if isinstance(column, Time):
        return moment(column)
    if not isinstance(column, Text):
        return None
    markers = markers_of(column, everywhere)

    def text(value: str) -> str:
        if value in markers:
            raise ValueError(f"{value!r} means a missing value")
        return value

    return text
