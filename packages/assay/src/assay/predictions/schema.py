"""Answers to many rows as the prediction log takes them down: as tables of Arrow."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, groupby, islice
from typing import Any

import numpy as np
import pyarrow as pa

from assay.contract.spec import Category, Contract
from assay.data.columns import Columns, codes, joined
from assay.data.reading import arrow_type
from assay.inference.answers import Answer
from assay.inference.tables import prediction_ids, warned
from assay.predictions.monitor import LOG_FORMAT
from assay.predictions.write import Request

# What the rows of a table have in common, and where it stands.
SAME = {"model_version": "version", "role": "role"}
# So many requests a table at most: memory for it is needed some times over while it is made.
TOGETHER = 32
TIME = pa.timestamp("us", tz="UTC")
# A text of a known list is its place in the list, as categories of pandas are.
LISTED = pa.dictionary(pa.int32(), pa.string())
# With its first array pyarrow loads pandas where that is installed: now, and not beside requests.
pa.array([])


class Tables:
    """Makes the tables of a contract, all of one schema."""

    def __init__(self, contract: Contract, names: Mapping[str, str]) -> None:
        """Look up all that is the same for every table; features have other `names`."""
        self._contract, self._names = contract, names
        self._categories = {name: column for name, column in contract.features.items() if isinstance(column, Category)}
        self._lists = {name: pa.array(column.values, pa.string()) for name, column in self._categories.items()}
        self._labels = pa.array(contract.classes, pa.string())
        own = {"prediction": pa.float64(), "prediction_id": pa.string(), "warnings": pa.list_(pa.string())}
        if contract.classes:
            scores = pa.struct([(name, pa.float64()) for name in contract.classes])
            own |= {"prediction": LISTED, "decision": LISTED, "probabilities": scores}
        kinds = {
            names[name]: LISTED if name in self._lists else arrow_type(column)
            for name, column in contract.features.items()
        }
        kinds |= {name: own[name] for name in Answer.__struct_fields__ if name in own}
        fields = [*kinds.items(), *((name, pa.string()) for name in SAME), ("timestamp", TIME)]
        self._schema = pa.schema(fields, metadata={"format": str(LOG_FORMAT)})
        by_kind: dict[tuple[str, pa.DataType], list[str]] = {}
        for name, column in contract.features.items():
            by_kind.setdefault((column.kind, arrow_type(column)), []).append(name)
        self._by_kind = [(alike, kind) for (_, kind), alike in by_kind.items()]

    @cached_property
    def beginning(self) -> pa.Buffer:
        """What a stream of Arrow begins with, before the messages that tables are: its schema, and the lists."""
        lists = {self._names[name]: values for name, values in self._lists.items()}
        nothing = [
            pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), lists.get(field.name, self._labels))
            if field.type == LISTED
            else pa.array([], field.type)
            for field in self._schema
        ]
        sink = pa.BufferOutputStream()
        pa.ipc.new_stream(sink, self._schema).write_batch(pa.RecordBatch.from_arrays(nothing, schema=self._schema))
        return sink.getvalue()

    def of(self, requests: Iterable[Request]) -> Iterator[pa.RecordBatch]:
        """Yield what was asked and told, some requests at a time."""
        # In their order, but for those that others answered in between.
        for _, alike in groupby(sorted(requests, key=_by_whom), _by_whom):
            # A table costs more than the rows of a request.
            while together := list(islice(alike, TOGETHER)):
                yield self._table(together)

    def _table(self, requests: Sequence[Request]) -> pa.RecordBatch:
        told = [one.told for one in requests]
        scores = joined([one.scores for one in told])
        features = self.features([one.data for one in requests])
        made: dict[str, Any] = dict(zip(self._names.values(), features, strict=True))
        made |= {"prediction_id": prediction_ids(told), "warnings": warned(told)}
        if self._contract.classes:
            parts = list(map(pa.array, scores.T.copy()))
            made["probabilities"] = pa.StructArray.from_arrays(parts, self._contract.classes)
            made["prediction"] = self._listed([one.best for one in told])
            made["decision"] = self._listed([one.decided for one in told])
        else:
            made["prediction"] = pa.array(scores)
        made |= {name: pa.repeat(getattr(requests[0], of), len(scores)) for name, of in SAME.items()}
        times = np.array([one.time.replace(tzinfo=None) for one in requests], dtype="datetime64[us]")
        made["timestamp"] = pa.array(np.repeat(times, [len(one.scores) for one in told]), TIME)
        return pa.RecordBatch.from_arrays([made[name] for name in self._schema.names], schema=self._schema)

    def features(self, data: Sequence[Columns]) -> list[pa.Array]:
        """Return the columns of some requests, one after the other, in the types of the schema."""
        made: dict[str, pa.Array] = {}
        for names, kind in self._by_kind:
            # All of a kind at once: with each call other threads are let in.
            array = self._array(data, names, kind)
            rows = len(array) // len(names)
            made |= {name: array.slice(place * rows, rows) for place, name in enumerate(names)}
        return [
            pa.DictionaryArray.from_arrays(made[name], self._lists[name], safe=False)
            if name in self._lists
            else made[name]
            for name in self._contract.features
        ]

    def _array(self, data: Sequence[Columns], names: Sequence[str], kind: pa.DataType) -> pa.Array:
        """Return some columns of a kind, one after the other; of categories the places."""
        if names[0] in self._categories:
            # The model needed the codes too.
            places = joined([codes(one, name, self._categories[name]) for name in names for one in data])
            missing = places == np.repeat([len(self._lists[name]) for name in names], len(places) // len(names))
            return pa.array(places.astype(np.int32), mask=missing if missing.any() else None)
        values = [one[name] for name in names for one in data]
        if values[0].dtype == object:
            return pa.array(list(chain.from_iterable(map(np.ndarray.tolist, values))), kind)
        return _nullable(joined(values)).cast(kind)

    def _listed(self, places: Sequence[np.ndarray | None]) -> pa.DictionaryArray:
        """Return places of labels, that of several requests, as labels."""
        found = joined([one for one in places if one is not None]).astype(np.int32)
        return pa.DictionaryArray.from_arrays(pa.array(found), self._labels, safe=False)


def _by_whom(request: Request) -> tuple[str, str]:
    return request.version, request.role


def _nullable(values: np.ndarray) -> pa.Array:
    """Return numbers, or times, with null for what is NaN, or NaT."""
    if values.dtype != np.float64:
        return pa.array(values, from_pandas=True)
    # As pyarrow does, in a tenth of the time.
    bits = np.packbits(~np.isnan(values), bitorder="little")
    return pa.Array.from_buffers(pa.float64(), len(values), [pa.py_buffer(bits), pa.py_buffer(values)])
