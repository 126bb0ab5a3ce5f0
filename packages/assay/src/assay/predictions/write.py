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
from assay.predictions.keys import key_hash, log_secret
from assay.predictions.outcomes import OutcomeLog
from assay.predictions.segments import CONTRACTS, OUTCOMES, PREDICTIONS, Appender, hour_name, retire

HOUR_MS = 3_600_000


class PredictionLog:
    """Writes predictions and outcomes to a folder."""

    def __init__(self, folder: Path, contract: Contract, digest: str, *, fsync: bool = False, days: int = 90) -> None:
        """Write nothing yet; `digest` is the hash of the contract, and segments are deleted after `days`."""
        self._folder, self._contract, self._digest, self._days = folder, contract, digest, days
        self._segments = Appender(folder / PREDICTIONS, fsync=fsync, opened=self._begin)
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
        milliseconds = int(batch.name[:DIGITS], 16)
        made = entry(self._contract, batch, data)
        made.time, made.version, made.arm = EPOCH + timedelta(milliseconds=milliseconds), version, arm
        made.contract, made.key = self._digest, self._hashes(keys, len(batch.scores))
        # As in the ids, since the id gives the hour of the segment.
        self._segments.append(_hour(milliseconds // HOUR_MS), self._encoder.encode_lines([made]))

    def outcomes(self, outcomes: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
        """Write outcomes to the disk, as `OutcomeLog.write` does."""
        return self._outcomes.write(outcomes)

    def _hashes(self, keys: Sequence[tuple[bytes, int]], rows: int) -> list[str | None]:
        if not any(key for key, _ in keys):
            return [None] * rows
        secret = self._secret
        return [found for key, many in keys for found in [key_hash(secret, key) if key else None] * many]

    @cached_property
    def _secret(self) -> bytes:
        return log_secret(self._folder)

    def _begin(self) -> None:
        """Keep the contract with the log, and delete what is too old."""
        content = {"format": FORMAT, "contract": msgspec.Raw(self._contract.model_dump_json().encode())}
        write_once(self._folder / CONTRACTS / f"{self._digest}.json", msgspec.json.encode(content))
        for name in (PREDICTIONS, OUTCOMES):
            retire(self._folder / name, datetime.now(UTC) - timedelta(days=self._days))

    def close(self) -> None:
        """Close the files."""
        self._segments.close()
        self._outcomes.close()


@lru_cache(maxsize=4)
def _hour(hours: int) -> str:
    return hour_name(EPOCH + timedelta(hours=hours))


def entry(contract: Contract, batch: PredictionBatch, data: Columns) -> Entry:
    """Return the entry of predictions, without what they do not say: who asked which model, and when."""
    number = len(batch.scores)
    is_packed = number >= MANY
    packed: dict[str, bytes] = {}
    inputs: dict[str, Any]
    if is_packed:
        # Packing a column takes a tenth of the time of its text.
        packed = {name: _bytes(data[name]) for name, kind in contract.features.items() if not _is_text(kind)}
        inputs = {name: data[name].tolist() for name, kind in contract.features.items() if _is_text(kind)}
    else:
        inputs = features(contract, data)
    made = Entry(EPOCH, "", "", "", batch.ids(), [], inputs, [], packed=packed)
    if batch.best is None or batch.decided is None:
        made.prediction = batch.scores.tolist()
    else:
        made.prediction = batch.labels[batch.best].tolist()
        made.decision = made.prediction if batch.decided is batch.best else batch.labels[batch.decided].tolist()
        if is_packed:
            made.scores = _bytes(batch.scores)
        else:
            made.probabilities = dict(zip(contract.classes, batch.scores.T.tolist(), strict=True))
    if batch.warnings:
        made.warnings = [batch.warnings.get(row, []) for row in range(number)]
    return made


def features(contract: Contract, data: Columns) -> dict[str, Any]:
    """Return the features of some rows as JSON has them, column by column."""
    if isinstance(data, RequestColumns) and data.values_given:
        return dict(zip(contract.features, data.values_given, strict=True))
    return {name: _listed(data[name], kind) for name, kind in contract.features.items()}


def _is_text(column: Feature) -> bool:
    return isinstance(column, Category | Text)


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
