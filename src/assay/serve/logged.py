"""Answers to many rows as the prediction log takes them down: as tables of Arrow."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from assay.contract.spec import Contract
from assay.data.columns import Columns, length, stacked
from assay.data.reading import arrow_type
from assay.serve.answering import Answer, Told
from assay.serve.tables import answered


def features(data: Columns, contract: Contract) -> pa.Table:
    """Return columns as a table with the types of the contract."""
    by_kind: dict[pa.DataType, list[str]] = {}
    for name, column in contract.features.items():
        by_kind.setdefault(arrow_type(column), []).append(name)
    rows = length(data)
    made: dict[str, pa.Array] = {}
    for kind, names in by_kind.items():
        # All of a kind at once: a call costs more than its work, and lets other threads in.
        values = stacked([data[name] for name in names]).ravel()
        is_object = values.dtype == object
        array = pa.array(values.tolist(), kind) if is_object else pa.array(values, from_pandas=True).cast(kind)
        made |= {name: array.slice(place * rows, rows) for place, name in enumerate(names)}
    return pa.table({name: made[name] for name in contract.features})


def logged(
    told: Told, asked: pa.Table, names: Mapping[str, str], classes: Sequence[str], same: Mapping[str, Any]
) -> tuple[pa.Buffer, pa.Buffer]:
    """Return the schema and the rows, as messages of Arrow's stream format, of what was asked and told.

    Features have other `names`, and what is the `same` in each row comes last.
    """
    own = dict(answered(told))
    if classes:
        scores = [pa.array(np.ascontiguousarray(column)) for column in told.scores.T]
        own["probabilities"] = pa.StructArray.from_arrays(scores, classes)
    made = {named: asked[name] for name, named in names.items()}
    made |= {name: own[name] for name in Answer.__struct_fields__ if name in own}
    made |= {name: pa.repeat(value, len(told.ids)) for name, value in same.items()}
    (batch,) = pa.table(made).combine_chunks().to_batches()
    return batch.schema.serialize(), batch.serialize()
