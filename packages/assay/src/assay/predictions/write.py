"""The writer of the prediction log: a prediction is in the log before its answer leaves.

What a model answers together is one line, written with one call: to the operating system, where it survives the end of
this process, or with `fsync` to the disk.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from assay.base.files import write_once
from assay.contract.spec import Boolean, Category, Contract, Feature, Text, Time
from assay.data.columns import Columns, RequestColumns
from assay.inference.ids import DIGITS, EPOCH
from assay.inference.predictor import PredictionBatch, record
from assay.predictions.entry import FORMAT, MANY, Entry
from assay.predictions.keys import ids_hash, key_hash, log_secret
from assay.predictions.outcomes import OutcomeLog
from assay.predictions.segments import CONTRACTS, OUTCOMES, PREDICTIONS, Appender, believed, hour_name, retire

HOUR_MS = 3_600_000
# The clients whose hashed keys are kept in memory.
CLIENTS = 1024


class PredictionLog:
    """Writes predictions and outcomes to a folder."""

    def __init__(
        self,
        folder: Path,
        contract: Contract,
        digest: str,
        *,
        fsync: bool = False,
        days: int | None = 90,
        segments: Path | None = None,
    ) -> None:
        """Write nothing yet; `digest` is the hash of the contract, and segments are deleted after `days`.

        `segments` is where to write predictions, if not to the folder itself.
        """
        self._folder, self._contract, self._digest, self._days = folder, contract, digest, days
        self._layout = Layout(contract)
        self._segments = Appender(segments or folder / PREDICTIONS, fsync=fsync, opened=self._begin)
        self._encoder = msgspec.json.Encoder()
        self._outcomes = OutcomeLog(folder)
        # A client asks again and again, and hashing takes as long as all else for its row.
        self._key_hash = lru_cache(maxsize=CLIENTS)(lambda key: key_hash(self._secret, key))

    def predictions(
        self,
        version: str,
        arm: str,
        batch: PredictionBatch,
        data: Columns,
        *,
        keys: Sequence[tuple[bytes, int]] = (),
    ) -> None:
        """Write predictions for columns; raises OSError if that is impossible.

        `arm` is champion, shadow, or the name of a challenger. `keys` are those of the clients, each with a number of
        rows.
        """
        layout, rows = self._layout, len(batch.scores)
        is_packed = rows >= MANY
        # As in the ids, since the id gives the hour of the segment.
        milliseconds = int(batch.names[:DIGITS], 16)
        time = datetime.fromtimestamp(milliseconds / 1000, UTC)
        prediction, decision = batch.named()
        inputs = self._inputs(layout.unpacked if is_packed else layout.logged, data)
        hashes = self._hashes(keys, rows)
        made = Entry(time, version, arm, self._digest, batch.ids(), hashes, inputs, prediction, decision)
        if is_packed:
            # Packing a column takes a tenth of the time of its text.
            made.packed = {name: _bytes(data[name]) for name in layout.packed}
        if batch.best is not None:
            if is_packed:
                made.scores = _bytes(batch.scores)
            else:
                made.probabilities = batch.labelled(*batch.by_class())
        if batch.warnings:
            made.warnings = [layout.discreet(batch.warnings.get(row, [])) for row in range(rows)]
        if isinstance(data, RequestColumns) and data.ids:
            made.ids = self._ids(data.ids)
        self._segments.append(_hour(milliseconds // HOUR_MS), self._encoder.encode_lines([made]))

    def outcomes(self, outcomes: Sequence[Mapping[str, Any]], key: bytes = b"") -> tuple[int, int]:
        """Write the outcomes that the client with a key sent to the disk, as `OutcomeLog.write` does."""
        return self._outcomes.write(outcomes, key_hash(self._secret, key) if key else None)

    def _inputs(self, listed: "Listed", data: Columns) -> Any:
        values = listed.values(data)
        if listed.hashed:
            values = list(values)
            for place in listed.hashed:
                values[place] = [self._hash(value) for value in values[place]]
        return listed.record(*values)

    def _hashes(self, keys: Sequence[tuple[bytes, int]], rows: int) -> list[str | None]:
        if not keys:
            return [None] * rows
        hashed = self._key_hash
        hashes = [hashed(key) if key else None for key, _ in keys]
        if len(hashes) == rows:
            return hashes
        return list(chain.from_iterable([found] * many for found, (_, many) in zip(hashes, keys, strict=True)))

    def _ids(self, given: Sequence[Sequence[Any]]) -> list[str | None]:
        """Return the hash of the ids of each row; empty if no row has any."""
        if all(value is None for values in given for value in values):
            return []
        secret = self._secret
        return [ids_hash(secret, row) for row in zip(*given, strict=True)]

    def _hash(self, value: Any) -> str | None:
        return None if value is None or value != value else key_hash(self._secret, str(value).encode())  # noqa: PLR0124

    @cached_property
    def _secret(self) -> bytes:
        return log_secret(self._folder)

    def _begin(self) -> None:
        """Keep the contract with the log, and delete what is too old."""
        content = {"format": FORMAT, "contract": msgspec.Raw(self._contract.model_dump_json().encode())}
        write_once(self._folder / CONTRACTS / f"{self._digest}.json", msgspec.json.encode(content))
        if self._days is None:
            return
        now = believed(self._folder / PREDICTIONS, datetime.now(UTC), self._days)
        for name in (PREDICTIONS, OUTCOMES):
            retire(self._folder / name, now - timedelta(days=self._days))

    def close(self) -> None:
        """Close the files."""
        self._segments.close()
        self._outcomes.close()


@lru_cache(maxsize=4)
def _hour(hours: int) -> str:
    # In far less time than it takes to write the name.
    return hour_name(EPOCH + timedelta(hours=hours))


class Listed:
    """Columns of a contract whose values an entry lists as JSON has them."""

    def __init__(self, contract: Contract, columns: Mapping[str, Feature]) -> None:
        """Look up what is the same in all entries."""
        places = {name: place for place, name in enumerate(contract.features)}
        self._columns = [(name, column, places[name]) for name, column in columns.items()]
        # The places of those of which the log holds hashes.
        self.hashed = [place for place, (_, column, _) in enumerate(self._columns) if column.log == "hash"]
        self._are_as_given = columns.keys() == places.keys() and not self.hashed
        # From lists of values to an object by the name of the column.
        self.record = record(list(columns))

    def values(self, data: Columns) -> Sequence[Sequence[Any]]:
        """Return the values of some rows, column by column."""
        if not (isinstance(data, RequestColumns) and data.values_given):
            return [_listed(data[name], column) for name, column, _ in self._columns]
        given = data.values_given
        if self._are_as_given:
            return given
        # What is hashed has one form, whether it came as 5, as 5.0 or in a table.
        return [
            _listed(data[name], column) if column.log == "hash" else given[place]
            for name, column, place in self._columns
        ]


class Layout:
    """What is the same in all entries of a contract."""

    def __init__(self, contract: Contract) -> None:
        """Look it up."""
        columns = {name: column for name, column in contract.features.items() if column.log != "omit"}
        self.packed = [
            name for name, column in columns.items() if column.log == "keep" and not isinstance(column, Category | Text)
        ]
        self.logged = Listed(contract, columns)
        self.unpacked = Listed(contract, {name: one for name, one in columns.items() if name not in self.packed})
        self._hidden = [f"{name}: " for name, column in contract.features.items() if column.log != "keep"]

    def discreet(self, warnings: list[str]) -> list[str]:
        """Return the warnings of a row without the values that the log must not hold."""
        return [self._discreet(text) for text in warnings] if self._hidden else warnings

    def _discreet(self, warning: str) -> str:
        name = next((name for name in self._hidden if warning.startswith(name)), "")
        return f"{name}outside of the training data" if name else warning


def _bytes(values: np.ndarray) -> bytes:
    return values.astype("<M8[us]" if values.dtype.kind == "M" else "<f8", copy=False).tobytes()


def _listed(values: np.ndarray, column: Feature) -> list[Any]:
    """Return the values of a column as JSON has them."""
    match column:
        case Boolean():
            return [None if missing else bool(value) for value, missing in zip(values, np.isnan(values), strict=True)]
        case Time():
            return [None if text == "NaT" else text for text in np.datetime_as_string(values).tolist()]
        case _:
            # JSON has no NaN: msgspec writes null.
            return list(values.tolist())
