"""From the body of a request to rows, and from rows to columns."""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import numpy as np

from assay.contract.request import request_model
from assay.contract.spec import Boolean, Contract, Integer, Number, Time
from assay.data.columns import Columns

Values = tuple[Any, ...]


class Rows:
    """Reads the rows of requests of a contract."""

    def __init__(self, contract: Contract, max_rows: int) -> None:
        """Prepare to read; all that can be known before the first request is looked up here."""
        self.model = request_model(contract, max_rows)
        kinds = list(contract.features.items())
        numbers = [place for place, (_, kind) in enumerate(kinds) if isinstance(kind, Number | Integer | Boolean)]
        self._all = [name for name, _ in kinds]
        self._names = [kinds[place][0] for place in numbers]
        self._take = _taker(numbers, len(kinds))
        self._others = [
            (name, place, "datetime64[us]" if isinstance(kind, Time) else "object")
            for place, (name, kind) in enumerate(kinds)
            if place not in numbers
        ]

    def read(self, body: bytes) -> list[Values]:
        """Return the values of the rows of a body, in the order of columns.

        Raises pydantic's ValidationError for one that does not keep to the contract.
        """
        request: Any = self.model.__pydantic_validator__.validate_json(body)
        # The fields of a row are those of the contract, in its order.
        return [tuple(row.__dict__.values()) for row in request.rows]

    def columns(self, rows: list[Values]) -> Columns:
        """Return rows as columns."""
        take = self._take
        # None becomes NaN.
        numbers = np.array([take(row) for row in rows], dtype=np.float64)
        data = dict(zip(self._names, numbers.T, strict=True))
        for name, place, kind in self._others:
            data[name] = np.array([row[place] for row in rows], dtype=kind)
        return data

    def values(self, data: Columns) -> list[Values]:
        """Return columns as rows, with times as texts."""
        return list(zip(*(_plain(data[name]) for name in self._all), strict=True))


def _plain(values: np.ndarray) -> list[Any]:
    if values.dtype.kind != "M":
        return list(values.tolist())
    return [None if text == "NaT" else text for text in np.datetime_as_string(values).tolist()]


def _taker(places: list[int], of: int) -> Callable[[Values], Values]:
    if len(places) == of:
        return lambda row: row
    if len(places) > 1:
        return itemgetter(*places)
    return lambda row: tuple(row[place] for place in places)
