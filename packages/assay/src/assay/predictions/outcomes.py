"""Outcomes: what came true of predictions, and the join of both."""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import inf, isfinite
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from assay.inference.ids import time_of
from assay.predictions.entry import Outcome
from assay.predictions.segments import OUTCOMES, PREDICTIONS, Appender, hour_name, hours

if TYPE_CHECKING:
    # The service writes outcomes, without pyarrow.
    import pyarrow as pa

    from assay.contract.spec import Target
    from assay.predictions.read import LogCounts, Schemas

# Outcomes by prediction id and hash of the client's key, with the time at which they came.
Latest = dict[str, dict[str | None, tuple[datetime, str | float]]]
# The segments of predictions and of outcomes of an hour.
Segments = tuple[Sequence[Path], Sequence[Path]]
# By this time the clock of another machine may be ahead.
AHEAD = timedelta(hours=1)


class OutcomeLog:
    """Writes outcomes to the disk."""

    def __init__(self, folder: Path) -> None:
        """Write nothing yet."""
        self._predictions = folder / PREDICTIONS
        # There may be no other copy of an outcome: it is on the disk before it is acknowledged.
        self._segments = Appender(folder / OUTCOMES, fsync=True)
        self._encoder = msgspec.json.Encoder()

    def write(self, outcomes: Iterable[Mapping[str, Any]], key: str | None = None) -> tuple[int, int]:
        """Write outcomes by prediction id; return how many were written, and how many have an id of no prediction.

        `key` is the hash of the key of the client who sent them. Raises OSError if they cannot be written.
        """
        now = datetime.now(UTC)
        timed = [(time_of(one["prediction_id"]), one) for one in outcomes]
        # Looked up once, since a request may hold any number of such ids.
        is_ahead = any(made is not None and made > now + AHEAD for made, _ in timed)
        ahead = {hour_name(hour) for hour, _ in hours(self._predictions, now)} if is_ahead else set()
        by_hour: defaultdict[str, list[Outcome]] = defaultdict(list)
        unknown = 0
        for made, one in timed:
            # Nothing is known of the past: another machine may hold the predictions of this hour.
            if made is None or (made > now + AHEAD and hour_name(made) not in ahead):
                unknown += 1
            else:
                # In the hour of the prediction, so that both are read together.
                by_hour[hour_name(made)].append(Outcome(now, one["prediction_id"], one["outcome"], key))
        for hour, found in sorted(by_hour.items()):
            self._segments.append(hour, self._encoder.encode_lines(found))
        return sum(map(len, by_hour.values())), unknown

    def close(self) -> None:
        """Close the file."""
        self._segments.close()


def joined(
    folder: Path,
    counts: "LogCounts",
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    due: datetime | None = None,
    missing: str | bool | float | None = None,
) -> Iterator["pa.RecordBatch"]:
    """Yield the predictions of a log as `read.predictions` does, each with its latest outcome and when that came.

    Both are null where there is none; of predictions from before `due` the outcome is then `missing`. What another
    client sent than the one who asked is counted and left out, if both are known. No more than the outcomes of an hour
    of predictions are held at a time. Raises InputError if a target cannot be `missing`.
    """
    from assay.predictions.read import Schemas

    schemas = Schemas(folder)
    for segments in joined_hours(folder, since, until).values():
        yield from joined_hour(segments, schemas, counts, between=(since, until), due=due, missing=missing)


def joined_hours(
    folder: Path, since: datetime | None = None, until: datetime | None = None
) -> dict[datetime, Segments]:
    """Return the hours of a log in their order, each with its segments of predictions and of outcomes."""
    predicted = dict(hours(folder / PREDICTIONS, since, until))
    reported = dict(hours(folder / OUTCOMES, since, until))
    return {
        time: (predicted.get(time, []), reported.get(time, [])) for time in sorted(predicted.keys() | reported.keys())
    }


def joined_hour(
    segments: Segments,
    schemas: "Schemas",
    counts: "LogCounts",
    *,
    between: tuple[datetime | None, datetime | None] = (None, None),
    due: datetime | None = None,
    missing: str | bool | float | None = None,
) -> Iterator["pa.RecordBatch"]:
    """Yield what `joined` does, of the segments of an hour."""
    from assay.predictions.read import hour

    predicted, reported = segments
    latest = _latest(reported, counts, *between)
    met: set[str] = set()
    came: set[str] = set()
    for batch in hour(predicted, schemas, counts, *between):
        # It was read by this schema.
        if schema := schemas.get(batch["contract"][0].as_py()):
            target = schema.contract.target
            made = _with_outcomes(batch, target, latest, (met, came), counts)
            yield made if missing is None or due is None else _filled(made, target, came, due, missing)
    counts.outcomes += len(latest)
    counts.unknown += len(latest.keys() - met)


def _latest(segments: Sequence[Path], counts: "LogCounts", since: datetime | None, until: datetime | None) -> Latest:
    """Return the latest outcomes by prediction id and by client, the latest of them last."""
    from assay.predictions.read import lines

    latest: Latest = {}
    decoder = msgspec.json.Decoder(Outcome)
    reported = (one for segment in segments for one in lines(segment, decoder.decode, counts))
    for one in sorted(reported, key=attrgetter("time")):
        made = time_of(one.prediction_id)
        if made is None or (since and made < since) or (until and made >= until):
            continue
        by_client = latest.setdefault(one.prediction_id, {})
        if before := by_client.pop(one.key, None):
            counts.doubled += before[1] == one.outcome
            counts.corrected += before[1] != one.outcome
        by_client[one.key] = one.time, one.outcome
    return latest


def _with_outcomes(
    batch: "pa.RecordBatch",
    target: "Target",
    latest: Latest,
    seen: tuple[set[str], set[str]],
    counts: "LogCounts",
) -> "pa.RecordBatch":
    """Return a batch with its outcomes; add to `seen` which ids some outcome has, and which one that counts."""
    import pyarrow as pa

    met, came = seen
    kind = pa.string() if target.classes else pa.float64()
    values: list[str | float | None] = []
    times: list[datetime | None] = []
    for prediction_id, client in zip(batch["prediction_id"].to_pylist(), batch["key"].to_pylist(), strict=True):
        by_client = latest.get(prediction_id)
        mine = [one for key, one in by_client.items() if client is None or key in (None, client)] if by_client else []
        time, value = mine[-1] if mine else (None, None)
        if by_client and prediction_id not in met:
            met.add(prediction_id)
            counts.others += len(by_client) - len(mine)
            counts.foreign += bool(mine) and not is_outcome(value, target)
        if mine:
            came.add(prediction_id)
        fits = is_outcome(value, target)
        values.append(value if fits else None)
        times.append(time if fits else None)
    made = batch.append_column("outcome", pa.array(values, kind))
    return made.append_column("outcome_time", pa.array(times, batch.schema.field("time").type))


def _filled(
    batch: "pa.RecordBatch", target: "Target", came: Container[str], due: datetime, missing: str | bool | float
) -> "pa.RecordBatch":
    """Return a batch in which outcomes that are due, and did not come, have a value.

    What came and is none that the target can have stays null: nobody knows what it means.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    is_due = pc.less(batch["time"], pa.scalar(due, batch.schema.field("time").type))
    known_outcomes = batch["outcome"]
    value = pa.scalar(meant(missing, target), known_outcomes.type)
    at = batch.schema.get_field_index("outcome")
    is_silent = pa.array([name not in came for name in batch["prediction_id"].to_pylist()])
    filled = pc.if_else(pc.and_(is_due, is_silent), value, known_outcomes)
    return batch.set_column(at, "outcome", filled)


def meant(missing: str | bool | float, target: "Target") -> str | float:
    """Return the outcome that `outcomes.missing` names; raises InputError if the target cannot have it.

    >>> from assay.contract.spec import Target
    >>> meant(0, Target(name="ill", classes=("0", "1"))), meant(False, Target(name="ill", classes=("False", "True")))
    ('0', 'False')
    """
    from assay.base.errors import InputError

    if is_outcome(missing, target):
        return missing
    classes = target.classes
    # YAML reads 0 as a number and false as a boolean, whatever the classes are.
    same = [one for one in classes if _in_yaml(one) == (isinstance(missing, bool), missing)]
    if len(same) != 1:
        within = f" from {target.range[0]:g} to {target.range[1]:g}" if target.range else ""
        known = f"one of {', '.join(classes)}" if classes else f"a number{within}"
        quotes = "; put the class in quotes" if classes and not isinstance(missing, str) else ""
        raise InputError(f"params.yaml: outcomes.missing: expected {known}, got {missing!r}{quotes}")
    return same[0]


def _in_yaml(label: str) -> tuple[bool, float] | None:
    """Return what YAML may read instead of a label: whether it is a boolean or a number, and which one."""
    if label.lower() in ("true", "false"):
        return True, label.lower() == "true"
    try:
        return False, float(label)
    except ValueError:
        return None


def is_outcome(value: str | float | None, target: "Target") -> bool:
    """Say whether a target can have a value."""
    if target.classes:
        return value in target.classes
    low, high = target.range or (-inf, inf)
    # JSON has no other numbers.
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and low <= value <= high
