"""From the body of a request to columns."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from pydantic import BaseModel

from assay.contract.request import field_names, request_model
from assay.contract.spec import Boolean, Contract, Integer, Number, Time
from assay.data.columns import Columns

Row = dict[str, Any]


class Rows:
    """Reads the rows of requests of a contract into columns."""

    def __init__(self, contract: Contract, max_rows: int) -> None:
        """Prepare to read; all that can be known before the first request is looked up here."""
        self.model = request_model(contract, max_rows)
        fields = field_names(contract)
        kinds = contract.features
        self._numbers = [name for name, kind in kinds.items() if isinstance(kind, Number | Integer | Boolean)]
        self._take = _taker([fields[name] for name in self._numbers])
        self._others = [
            (name, fields[name], "datetime64[us]" if isinstance(kind, Time) else "object")
            for name, kind in kinds.items()
            if name not in self._numbers
        ]

    def read(self, body: bytes) -> Columns:
        """Return the rows of a body; raises pydantic's ValidationError for one that does not keep to the contract."""
        request: Any = self.model.__pydantic_validator__.validate_json(body)
        return self.columns(request.rows)

    def columns(self, rows: Sequence[BaseModel]) -> dict[str, np.ndarray]:
        """Return rows that were read in the form of `assay.data.columns.columns`."""
        found = [row.__dict__ for row in rows]
        take = self._take
        # None becomes NaN.
        numbers = np.array([take(row) for row in found], dtype=np.float64)
        data = dict(zip(self._numbers, numbers.T, strict=True))
        for name, field, kind in self._others:
            data[name] = np.array([row[field] for row in found], dtype=kind)
        return data


def _taker(fields: list[str]) -> Callable[[Row], tuple[Any, ...]]:
    if len(fields) > 1:
        return itemgetter(*fields)
    return lambda row: tuple(row[field] for field in fields)
