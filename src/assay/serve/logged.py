"""Answers to many rows as the prediction log takes them down: as tables of Arrow."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from assay.contract.spec import Contract, Feature
from assay.data.columns import Columns
from assay.data.reading import arrow_type
from assay.serve.answering import Told
from assay.serve.tables import warned


def logged_table(
    told: Told, data: Columns, same: Mapping[str, Any], contract: Contract, names: Mapping[str, str]
) -> tuple[bytes, bytes]:
    """Return the schema and the rows, as messages of Arrow's stream format, of what was asked and told.

    Features have other `names`, and what is the `same` in each row comes last.
    """
    made: dict[str, Any] = {names[name]: _array(data[name], column) for name, column in contract.features.items()}
    made |= {"prediction": told.predictions, "prediction_id": told.ids}
    if contract.classes:
        scores = [pa.array(np.ascontiguousarray(column)) for column in told.scores.T]
        made |= {"probabilities": pa.StructArray.from_arrays(scores, contract.classes), "decision": told.decisions}
    made["warnings"] = warned(told)
    made |= {name: pa.repeat(value, len(told.ids)) for name, value in same.items()}
    batch = pa.RecordBatch.from_pydict(made)
    return batch.schema.serialize(), batch.serialize()


def _array(values: np.ndarray, column: Feature) -> pa.Array:
    kind = arrow_type(column)
    if values.dtype == object:
        return pa.array(values, kind, from_pandas=True)
    return pa.array(values, from_pandas=True).cast(kind)
