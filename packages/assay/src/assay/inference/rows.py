"""From the body of a request to rows, and from rows to columns."""

import sys
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np

from assay.contract.request import moment, request_model
from assay.contract.spec import Boolean, Category, Contract, Feature, Integer, Number, Text, Time
from assay.data.columns import MANY, Columns, RequestColumns, length

if TYPE_CHECKING:
    from pydantic import BaseModel

# `Columns` and `length` are all that the service needs to know of columns.
__all__ = ["Columns", "Rows", "Values", "finite_limits", "length"]

LARGEST = sys.float_info.max

Values = tuple[Any, ...]


def finite_limits(column: Number | Integer | Boolean) -> tuple[float, float]:
    """Return the lowest and the highest number that a column takes: none that is infinite, also with an open range."""
    match column:
        case Integer():
            return column.limits
        case Number():
            low, high = column.range or (-LARGEST, LARGEST)
            return max(low, -LARGEST), min(high, LARGEST)
        case Boolean():
            return 0, 1


class Rows:
    """Reads the rows of requests of a contract."""

    def __init__(self, contract: Contract, max_rows: int) -> None:
        """Prepare to read; all that can be known before the first request is looked up here."""
        self.contract = contract
        self.max_rows = max_rows
        self._decoder = _decoder(contract, max_rows)
        kinds = list(contract.features.items())
        self._later = [
            (place, reader)
            for place, (_, kind) in enumerate(kinds)
            if (reader := _later(kind, contract.missing_markers))
        ]
        self._places = [place for place, (_, kind) in enumerate(kinds) if isinstance(kind, Number | Integer | Boolean)]
        self._all = [name for name, _ in kinds]
        self._names = [kinds[place][0] for place in self._places]
        self._others = [
            (name, place, "datetime64[us]" if isinstance(kind, Time) else "object")
            for place, (name, kind) in enumerate(kinds)
            if place not in self._places
        ]

    @cached_property
    def _model(self) -> "type[BaseModel]":
        # Made for the first body that it has to judge: a service is to be ready soon.
        return request_model(self.contract, self.max_rows)

    def read(self, body: bytes) -> list[Values]:
        """Return the values of the rows of a body, in the order of columns.

        Raises pydantic's ValidationError for one that does not keep to the contract.
        """
        return self.read_quickly(body) or self.judge(body)

    def judge(self, body: bytes) -> list[Values]:
        """Return what `read` does, by the request model, which can say what is wrong."""
        request: Any = self._model.model_validate_json(body)
        # The fields of a row are those of the contract, in its order.
        return [tuple(row.__dict__.values()) for row in request.rows]

    def read_quickly(self, body: bytes) -> list[Values] | None:
        """Return what `judge` does in a fifth of the time, None for a body that only the request model can judge."""
        if self._decoder is None:
            return None
        try:
            rows = list(map(msgspec.structs.astuple, self._decoder.decode(body).rows))
            return [self._finish(row) for row in rows] if self._later else rows
        except (msgspec.MsgspecError, ValueError):
            return None

    def columns(self, rows: list[Values]) -> RequestColumns:
        """Return rows as columns."""
        columns = list(zip(*rows, strict=True))
        values = [columns[place] for place in self._places]
        # None becomes NaN. Of few rows all columns at once, for a call costs more than its work; of many rows one by
        # one, for numpy reads a nested sequence twice.
        numbers = np.array(values, np.float64) if len(rows) < MANY else [np.array(one, np.float64) for one in values]
        data = RequestColumns(zip(self._names, numbers, strict=True))
        for name, place, kind in self._others:
            data[name] = np.array(columns[place], dtype=kind)
        return data

    def values(self, data: Columns) -> list[Values]:
        """Return columns as rows, with times as texts."""
        return list(zip(*(_plain(data[name]) for name in self._all), strict=True))

    def _finish(self, row: Values) -> Values:
        values = list(row)
        for place, read in self._later:
            if values[place] is not None:
                values[place] = read(values[place])
        return tuple(values)


def _decoder(contract: Contract, max_rows: int) -> msgspec.json.Decoder[Any] | None:
    """Return what reads `{"rows": [{...}, ...]}` and takes nothing that the request model, with `_later`, does not.

    There is none for a name with a quotation mark, a backslash or a control character, which msgspec does not take.
    """
    # A column may have any name, and a field may not.
    fields = {f"c{number}": (name, kind) for number, (name, kind) in enumerate(contract.features.items())}
    if not all(name.isprintable() and '"' not in name and "\\" not in name for name in contract.features):
        return None
    row = msgspec.defstruct(
        "Row",
        [(field, _type(kind), *([None] if kind.missing == "allow" else [])) for field, (_, kind) in fields.items()],
        rename={field: name for field, (name, _) in fields.items()},
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,
    )
    rows = Annotated[list[row], msgspec.Meta(min_length=1, max_length=max_rows)]  # type: ignore[valid-type]
    return msgspec.json.Decoder(msgspec.defstruct("Request", [("rows", rows)], forbid_unknown_fields=True))


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


def _later(column: Feature, markers: tuple[str, ...]) -> Callable[[str], Any] | None:
    """Return what finishes the reading of a text, or raises ValueError where the request model has to."""
    if isinstance(column, Time):
        return moment(column)
    if not isinstance(column, Text):
        return None

    def text(value: str) -> str:
        if value in markers:
            raise ValueError(f"{value!r} stands for a missing value")
        return value

    return text


def _plain(values: np.ndarray) -> list[Any]:
    if values.dtype.kind != "M":
        return list(values.tolist())
    return [None if text == "NaT" else text for text in np.datetime_as_string(values).tolist()]
