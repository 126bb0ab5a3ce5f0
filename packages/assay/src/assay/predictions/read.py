"""The reader of the prediction log: Arrow batches, hour by hour, whatever the files have suffered."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import pyarrow as pa

from assay.base.config import typed
from assay.base.errors import InputError
from assay.base.formats import read_format
from assay.contract.spec import Contract, Feature
from assay.data.reading import arrow_type
from assay.predictions.entry import CHECK, FORMAT, Entry
from assay.predictions.segments import CONTRACTS, PREDICTIONS, belongs, hour_of, hours

# Rows per batch, except for entries that have more.
ROWS = 4096
# A longer line is no entry.
LONGEST = 256 * 1024 * 1024
TIME = pa.timestamp("us", tz="UTC")
# The metadata of an input of which the log holds hashes.
HASHED = {b"log": b"hash"}
Line = TypeVar("Line")


@dataclass
class LogCounts:
    """What a reader has met so far; predictions and outcomes are counted, of broken lines the lines."""

    entries: int = 0
    # Lines that break off, for instance because a machine lost its power.
    torn: int = 0
    # Predictions, or outcomes, that were there before.
    doubled: int = 0
    # Lines of another kind, of another hour than their file, or not of a contract that the log has.
    foreign: int = 0
    segments: int = 0
    # Predictions for smoke tests, which are left out.
    checks: int = 0
    # Of outcomes: all, those that a later one replaces, and those without a prediction.
    outcomes: int = 0
    corrected: int = 0
    unknown: int = 0
    # Outcomes that another client sent than the one who asked.
    others: int = 0


def predictions(
    folder: Path, counts: LogCounts, *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the predictions of a log, hour by hour, those of one contract per batch."""
    schemas = Schemas(folder)
    for _, segments in hours(folder / PREDICTIONS, since, until):
        yield from hour(segments, schemas, counts, since, until)


class Schemas:
    """The schemas of a log, by the hash of the contract."""

    def __init__(self, folder: Path) -> None:
        """Read nothing yet."""
        self._folder = folder / CONTRACTS
        self._known: dict[str, Schema | None] = {}

    def get(self, digest: str) -> "Schema | None":
        """Return the schema of a contract; None if the log does not have it, or it cannot be read."""
        if digest not in self._known:
            self._known[digest] = self._read(digest)
        return self._known[digest]

    def _read(self, digest: str) -> "Schema | None":
        # The hash comes from a line, which may hold anything.
        if not digest.isalnum():
            return None
        path = self._folder / f"{digest}.json"
        try:
            return Schema(typed(read_format(path, FORMAT).get("contract"), Contract, path))
        except PermissionError:
            raise
        # The name may be too long for a file.
        except (InputError, OSError):
            return None


class Schema:
    """How the entries of a contract are read."""

    def __init__(self, contract: Contract) -> None:
        """Look up what is the same for all entries."""
        self.contract = contract
        self.features = {
            name: pa.string() if column.log == "hash" else _type(column)
            for name, column in contract.features.items()
            if column.log != "omit"
        }
        self.target = pa.string() if contract.classes else pa.float64()
        fields = [
            pa.field(name, kind, metadata=HASHED if contract.features[name].log == "hash" else None)
            for name, kind in self.features.items()
        ]
        scores = pa.struct([(name, pa.float64()) for name in contract.classes]) if contract.classes else pa.null()
        self.arrow = pa.schema(
            [
                ("prediction_id", pa.string()),
                ("time", TIME),
                *((name, pa.string()) for name in ("version", "arm", "contract", "key")),
                ("inputs", pa.struct(fields)),
                ("prediction", self.target),
                ("decision", pa.string()),
                ("probabilities", scores),
                ("warnings", pa.list_(pa.string())),
            ]
        )

    def batch(self, entries: Sequence[Entry]) -> pa.RecordBatch:
        """Return entries as a batch; raises ValueError, KeyError, TypeError or an Arrow error if values are missing."""
        classes = self.contract.classes
        sizes = [len(one.prediction_id) for one in entries]
        rows = sum(sizes)

        def flat(lists: Iterable[list[Any]], kind: pa.DataType) -> pa.Array:
            return _whole(pa.array(list(chain.from_iterable(lists)), kind), rows)

        def same(values: list[Any], kind: pa.DataType) -> pa.Array:
            return pa.array(values, kind).take(pa.array(np.repeat(np.arange(len(sizes)), sizes)))

        inputs = [_whole(self._input(name, kind, entries), rows) for name, kind in self.features.items()]
        columns: dict[str, pa.Array] = {
            "prediction_id": flat((one.prediction_id for one in entries), pa.string()),
            "time": same([one.time for one in entries], TIME),
            **{name: same([getattr(one, name) for one in entries], pa.string()) for name in ("version", "arm")},
            "contract": same([one.contract for one in entries], pa.string()),
            "key": flat((one.key for one in entries), pa.string()),
            "inputs": pa.StructArray.from_arrays(inputs, fields=list(self.arrow.field("inputs").type)),
            "prediction": flat((one.prediction for one in entries), self.target),
            "decision": pa.nulls(rows, pa.string()),
            "probabilities": pa.nulls(rows),
            "warnings": flat(
                (one.warnings or [[]] * size for one, size in zip(entries, sizes, strict=True)),
                pa.list_(pa.string()),
            ),
        }
        if classes:
            columns["decision"] = flat((one.decision for one in entries), pa.string())
            parts = [_whole(part, rows) for part in self._scores(entries)]
            columns["probabilities"] = pa.StructArray.from_arrays(parts, list(classes))
        return pa.RecordBatch.from_arrays([columns[name] for name in self.arrow.names], schema=self.arrow)

    def _input(self, name: str, kind: pa.DataType, entries: Sequence[Entry]) -> pa.Array:
        if name in entries[0].packed:
            if pa.types.is_timestamp(kind):
                return pa.array(np.frombuffer(entries[0].packed[name], "<M8[us]"))
            return pa.array(np.frombuffer(entries[0].packed[name], "<f8"), from_pandas=True).cast(kind)
        values = list(chain.from_iterable(one.inputs[name] for one in entries))
        if pa.types.is_timestamp(kind):
            return pa.array([None if value is None else np.datetime64(value, "us") for value in values], kind)
        return pa.array(values, kind)

    def _scores(self, entries: Sequence[Entry]) -> list[pa.Array]:
        classes = self.contract.classes
        if entries[0].scores:
            scores = np.frombuffer(entries[0].scores, "<f8").reshape(-1, len(classes))
            return [pa.array(part) for part in scores.T.copy()]
        return [
            pa.array(list(chain.from_iterable(one.probabilities[label] for one in entries)), pa.float64())
            for label in classes
        ]


def _whole(values: pa.Array, rows: int) -> pa.Array:
    if len(values) != rows:
        raise ValueError(f"expected {rows} values, found {len(values)}")
    return values


def _type(column: Feature) -> pa.DataType:
    kind = arrow_type(column)
    # Packed numbers are all double.
    return pa.float64() if pa.types.is_integer(kind) else kind


def hour(
    segments: Sequence[Path], schemas: Schemas, counts: LogCounts, since: datetime | None, until: datetime | None
) -> Iterator[pa.RecordBatch]:
    """Yield the predictions of the segments of an hour."""
    seen: set[int] = set()
    waiting: list[Entry] = []
    many = 0
    schema: Schema | None = None
    for entry in entries(segments, counts, since, until):
        found = schemas.get(entry.contract)
        rows = len(entry.prediction_id)
        if found is None or not rows:
            counts.foreign += 1
            continue
        # A line is copied as a whole, and shadows answer under the ids of the champion.
        key = hash((entry.prediction_id[0], entry.version, entry.arm))
        if key in seen:
            counts.doubled += rows
            continue
        seen.add(key)
        if entry.arm == CHECK:
            counts.checks += rows
            continue
        is_alone = bool(entry.packed or entry.scores)
        if waiting and (found is not schema or is_alone):
            yield from _batches(schema, waiting, counts)
            waiting, many = [], 0
        schema = found
        waiting.append(entry)
        many += rows
        if is_alone or many >= ROWS:
            yield from _batches(schema, waiting, counts)
            waiting, many = [], 0
    yield from _batches(schema, waiting, counts)


def entries(
    segments: Sequence[Path], counts: LogCounts, since: datetime | None, until: datetime | None
) -> Iterator[Entry]:
    """Yield the entries of segments as they are, whatever they hold; count those of another hour than their segment."""
    decoder = msgspec.json.Decoder(Entry)
    for segment in segments:
        hour = hour_of(segment)
        for entry in lines(segment, decoder.decode, counts):
            if not belongs(entry.time, hour):
                counts.foreign += 1
            elif (since is None or entry.time >= since) and (until is None or entry.time < until):
                yield entry


def _batches(schema: Schema | None, entries: list[Entry], counts: LogCounts) -> Iterator[pa.RecordBatch]:
    """Yield entries as a batch; each for itself, without those that are not whole, if there are such."""
    if schema is None or not entries:
        return
    try:
        batch = schema.batch(entries)
    except (ValueError, TypeError, KeyError, pa.ArrowException):
        if len(entries) == 1:
            counts.foreign += 1
            return
        for one in entries:
            yield from _batches(schema, [one], counts)
        return
    counts.entries += len(batch)
    yield batch


def lines(segment: Path, decode: Callable[[bytes], Line], counts: LogCounts) -> Iterator[Line]:
    """Yield what the lines of a segment hold; count those that are cut or hold something else."""
    counts.segments += 1
    try:
        file = segment.open("rb")
    except FileNotFoundError:
        # It has been retired meanwhile.
        return
    with file:
        while line := file.readline(LONGEST):
            if line.isspace():
                continue
            try:
                found = decode(line)
            except (msgspec.MsgspecError, ValueError):
                # Each line begins with its time.
                is_cut = line.startswith(b'{"time":') and not line.endswith(b"}\n")
                counts.torn += is_cut
                counts.foreign += not is_cut
            else:
                yield found
