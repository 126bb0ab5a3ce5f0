"""From the body of a request to columns."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np

from assay.contract.request import request_model
from assay.contract.spec import Boolean, Contract, Integer, Number, Time
from assay.data.columns import Columns

Values = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """The rows of a request: as columns, and, where they came as JSON, the values of each in the order of columns."""

    data: Columns
    values: list[Values] | None = None


class Rows:
    """Reads the rows of requests of a contract into columns."""

    def __init__(self, contract: Contract, max_rows: int) -> None:
        """Prepare to read; all that can be known before the first request is looked up here."""
        self.model = request_model(contract, max_rows)
        kinds = list(contract.features.items())
        numbers = [place for place, (_, kind) in enumerate(kinds) if isinstance(kind, Number | Integer | Boolean)]
        self._names = [kinds[place][0] for place in numbers]
        self._take = _taker(numbers, len(kinds))
        self._others = [
            (name, place, "datetime64[us]" if isinstance(kind, Time) else "object")
            for place, (name, kind) in enumerate(kinds)
            if place not in numbers
        ]

    def read(self, body: bytes) -> Asked:
        """Return the rows of a body; raises pydantic's ValidationError for one that does not keep to the contract."""
        request: Any = self.model.__pydantic_validator__.validate_json(body)
        # The fields of a row are those of the contract, in its order.
        values = [tuple(row.__dict__.values()) for row in request.rows]
        take = self._take
        # None becomes NaN.
        numbers = np.array([take(row) for row in values], dtype=np.float64)
        data = dict(zip(self._names, numbers.T, strict=True))
        for name, place, kind in self._others:
            data[name] = np.array([row[place] for row in values], dtype=kind)
        return Asked(data, values)


def _taker(places: list[int], of: int) -> Callable[[Values], Values]:
    if len(places) == of:
        return lambda row: row
    if len(places) > 1:
        return itemgetter(*places)
    return lambda row: tuple(row[place] for place in places)
