"""The range of the training data: outside of it a prediction is an extrapolation."""

from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from assay.contract.request import json_value
from assay.contract.spec import Category, Contract, Integer, Number, Time

if TYPE_CHECKING:
    from assay.data.stored import Rows


def training_ranges(table: "Rows", contract: Contract) -> dict[str, list[Any]]:
    """Return the lowest and highest value of each number, integer and time, and the values of each category.

    Values are as in a JSON request; an empty column has an empty list.
    """
    found: dict[str, list[Any]] = {}
    for name, column in contract.features.items():
        match column:
            case Number() | Integer() | Time():
                ends = [pc.min(table[name]).as_py(), pc.max(table[name]).as_py()]
                found[name] = [] if ends[0] is None else [json_value(end, column) for end in ends]
            case Category():
                found[name] = sorted(set(pc.unique(table[name]).to_pylist()) - {None})
    return found
