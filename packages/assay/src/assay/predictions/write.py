"""The writer of the prediction log: a prediction is in the log before its answer leaves.

What a model answers together is one line, written with one call: to the operating system, where it survives the end of
this process, or with `fsync` to the disk.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from assay.base.files import write_once
from assay.contract.spec import Boolean, Category, Contract, Feature, Text, Time
from assay.data.columns import Columns, RequestColumns
from assay.inference.ids import DIGITS, EPOCH
from assay.inference.predictor import PredictionBatch
from assay.predictions.entry import FORMAT, MANY, Entry
from assay.predictions.keys import ids_hash, key_hash, log_secret
from assay.predictions.outcomes import OutcomeLog
from assay.predictions.segments import CONTRACTS, OUTCOMES, PREDICTIONS, Appender, believed, hour_name, retire

HOUR_MS = 3_600_000


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
        milliseconds = int(batch.names[:DIGITS], 16)
        made = entry(self._layout, batch, data)
        made.time, made.version, made.arm = datetime.fromtimestamp(milliseconds / 1000, UTC), version, arm
        made.contract, made.key = self._digest, self._hashes(keys, len(batch.scores))
        made.ids = self._ids(data)
        if made.warnings:
            made.warnings = list(map(self._layout.discreet, made.warnings))
        for name in self._layout.hashed:
            made.inputs[name] = [self._hash(value) for value in made.inputs[name]]
        # As in the ids, since the id gives the hour of the segment.
        self._segments.append(_hour(milliseconds // HOUR_MS), self._encoder.encode_lines([made]))

    def outcomes(self, outcomes: Sequence[Mapping[str, Any]], key: bytes = b"") -> tuple[int, int]:
        """Write the outcomes that the client with a key sent to the disk, as `OutcomeLog.write` does."""
        return self._outcomes.write(outcomes, key_hash(self._secret, key) if key else None)

    def _hashes(self, keys: Sequence[tuple[bytes, int]], rows: int) -> list[str | None]:
        if not any(key for key, _ in keys):
            return [None] * rows
        secret = self._secret
        return [found for key, many in keys for found in [key_hash(secret, key) if key else None] * many]

    def _ids(self, data: Columns) -> list[str | None]:
        """Return the hash of the ids of each row; empty if no row has any."""
        given = data.ids if isinstance(data, RequestColumns) else ()
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
    return hour_name(EPOCH + timedelta(hours=hours))


class Layout:
    """What is the same in all entries of a contract."""

    def __init__(self, contract: Contract) -> None:
        """Look it up."""
        self.names = list(contract.features)
        self.classes = contract.classes
        self.omitted = [name for name, column in contract.features.items() if column.log == "omit"]
        self.hashed = {name: column for name, column in contract.features.items() if column.log == "hash"}
        self.columns = {name: column for name, column in contract.features.items() if name not in self.omitted}
        self.packed = [
            name
            for name, column in self.columns.items()
            if name not in self.hashed and not isinstance(column, Category | Text)
        ]
        self.others = {name: column for name, column in self.columns.items() if name not in self.packed}
        self._hidden = [f"{name}: " for name in (*self.omitted, *self.hashed)]

    def discreet(self, warnings: list[str]) -> list[str]:
        """Return the warnings of a row without the values that the log must not hold."""
        return [self._discreet(text) for text in warnings] if self._hidden else warnings

    def _discreet(self, warning: str) -> str:
        name = next((name for name in self._hidden if warning.startswith(name)), "")
        return f"{name}outside of the training data" if name else warning


def entry(layout: Layout, batch: PredictionBatch, data: Columns) -> Entry:
    """Return the entry of predictions, without what they do not say: who asked which model, and when."""
    is_packed = len(batch.scores) >= MANY
    made = Entry(EPOCH, "", "", "", batch.ids(), [], {}, [])
    made.inputs = features(layout, data, is_packed=is_packed)
    made.prediction, made.decision = batch.named()
    if is_packed:
        # Packing a column takes a tenth of the time of its text.
        made.packed = {name: _bytes(data[name]) for name in layout.packed}
    if batch.best is not None:
        if is_packed:
            made.scores = _bytes(batch.scores)
        else:
            made.probabilities = dict(zip(layout.classes, batch.scores.T.tolist(), strict=True))
    if batch.warnings:
        made.warnings = [batch.warnings.get(row, []) for row in range(len(batch.scores))]
    return made


def features(layout: Layout, data: Columns, *, is_packed: bool = False) -> dict[str, Any]:
    """Return the features of some rows as JSON has them, column by column, without those that the log omits.

    `is_packed` leaves out those that are packed, too.
    """
    if not (isinstance(data, RequestColumns) and data.values_given):
        columns = layout.others if is_packed else layout.columns
        return {name: _listed(data[name], column) for name, column in columns.items()}
    made: dict[str, Any] = dict(zip(layout.names, data.values_given, strict=True))
    for name in (*layout.omitted, *layout.packed) if is_packed else layout.omitted:
        del made[name]
    for name, column in layout.hashed.items():
        # In one form, whether it came as 5, as 5.0 or in a table.
        made[name] = _listed(data[name], column)
    return made


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
