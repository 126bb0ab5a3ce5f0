"""Answers to many rows as the prediction log takes them down: as tables of Arrow."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any

import numpy as np
import pyarrow as pa

from assay.contract.spec import Category, Contract, Feature
from assay.data.columns import Columns, codes, length
from assay.data.reading import arrow_type
from assay.serve.answering import Answer
from assay.serve.log import Request
from assay.serve.tables import answered

# What the rows of a table have in common, and where it stands.
SAME = {"model_version": "version", "role": "role"}
# Of more the columns are so long that memory for them is fetched from the system, and given back, each time.
TOGETHER = 4
TIME = pa.timestamp("us", tz="UTC")
# With its first array pyarrow loads pandas where that is installed: now, and not beside requests.
pa.array([])


def tables(requests: Iterable[Request], contract: Contract, names: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """Yield what was asked and told, some requests at a time; features have other `names`."""
    for together in _alike(requests):
        told, asked = [one.told for one in together], _features(together, contract)
        own: dict[str, Any] = dict(answered(told))
        if contract.classes:
            scores = np.concatenate([one.scores for one in told]).T
            own["probabilities"] = pa.StructArray.from_arrays(list(map(pa.array, scores.copy())), contract.classes)
        sizes = [len(one.scores) for one in told]
        times = np.array([one.time.replace(tzinfo=None) for one in together], dtype="datetime64[us]")
        made = {named: asked[name] for name, named in names.items()}
        made |= {name: own[name] for name in Answer.__struct_fields__ if name in own}
        made |= {name: pa.repeat(getattr(together[0], of), sum(sizes)) for name, of in SAME.items()}
        made["timestamp"] = pa.array(np.repeat(times, sizes), TIME)
        yield from pa.table(made).combine_chunks().to_batches()


def _alike(requests: Iterable[Request]) -> Iterator[list[Request]]:
    """Yield requests that have a table in common: for a table costs more than the rows of a request."""
    for _, alike in groupby(requests, lambda one: (one.version, one.role, one.table is None)):
        while together := list(islice(alike, TOGETHER)):
            yield together


def _features(requests: Sequence[Request], contract: Contract) -> Mapping[str, pa.Array | pa.ChunkedArray]:
    """Return the features that several requests ask for, all of which came as tables, or none."""
    came = [one.table for one in requests if one.table is not None]
    if not came:
        return features([one.data for one in requests], contract)
    return {name: pa.chunked_array([chunk for one in came for chunk in one[name].chunks]) for name in contract.features}


def features(data: Sequence[Columns], contract: Contract) -> dict[str, pa.Array]:
    """Return the columns of some requests, one after the other, in the types of the contract."""
    by_kind: dict[tuple[str, pa.DataType], list[str]] = {}
    for name, column in contract.features.items():
        by_kind.setdefault((column.kind, arrow_type(column)), []).append(name)
    rows = sum(map(length, data))
    made: dict[str, pa.Array] = {}
    for (_, kind), names in by_kind.items():
        # All of a kind at once: with each call other threads are let in.
        array = _array(data, [(name, contract.features[name]) for name in names], kind)
        made |= {name: array.slice(place * rows, rows) for place, name in enumerate(names)}
    return {name: made[name] for name in contract.features}


def _array(data: Sequence[Columns], alike: list[tuple[str, Feature]], kind: pa.DataType) -> pa.Array:
    """Return some columns of a kind, one after the other."""
    categories = [(name, column) for name, column in alike if isinstance(column, Category)]
    if categories:
        # The model needed the codes too.
        places = np.concatenate([codes(one, name, column) for name, column in categories for one in data])
        starts = np.cumsum([0, *(len(column.values) + 1 for _, column in categories[:-1])])
        places += np.repeat(starts, len(places) // len(categories))
        values = pa.array([value for _, column in categories for value in (*column.values, None)], kind)
        return values.take(pa.array(places.astype(np.intp)))
    numbers = np.concatenate([one[name] for name, _ in alike for one in data])
    if numbers.dtype == object:
        return pa.array(numbers.tolist(), kind)
    return pa.array(numbers, from_pandas=True).cast(kind)
