"""The prediction log as the monitor sees it: for each day, how many rows have each level of each bounded feature.

Nothing of a single row is kept but the ids of a few examples, so what a machine hands on are aggregates.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.contract.spec import Contract
from assay.export.reference import (
    LOSS_STEPS,
    SCORE,
    STEPS,
    Check,
    Reference,
    Scored,
    counts,
    level_counts,
    levels,
    loss_steps,
    losses,
    plain,
    score_columns,
)
from assay.project.settings import UNLIMITED, Limits

DAY = timedelta(days=1)
# How far ahead the clock of a service may be.
AHEAD = timedelta(hours=1)
EXAMPLES = 3
MICROSECONDS = 86_400_000_000
TOGETHER = 8192


@dataclass
class Window:
    """A day: its rows, and how many have each level, by check; `losses` by name, of rows whose outcome is due.

    `examples` has the ids of rows with a missing or unseen value, by the number of the feature, and of those with the
    largest losses, by the name of the loss.
    """

    start: datetime
    rows: int = 0
    due: int = 0
    known: int = 0
    counts: dict[Check, np.ndarray] = field(default_factory=dict)
    losses: dict[str, np.ndarray] = field(default_factory=dict)
    examples: dict[int | str, list[str]] = field(default_factory=dict)


@dataclass
class Watch:
    """What is judged: the rows of a version, from `since` until `until`, with outcomes that are due after `delay`.

    `now` is the time of the look; what is later has a wrong clock. `limits` are those of requests.
    """

    contract: Contract
    reference: Reference
    version: str
    since: datetime
    until: datetime
    now: datetime
    delay: timedelta = timedelta(0)
    limits: Limits = UNLIMITED


@dataclass
class Seen:
    """What a log holds: windows in their order, rows of other versions, rows from the future, and what they lack.

    `gone` counts the rows without a column that the model knows, `contracts` those of each contract, and `foreign`
    outcomes that the target cannot have.
    """

    windows: list[Window] = field(default_factory=list)
    versions: Counter[str] = field(default_factory=Counter)
    contracts: Counter[str] = field(default_factory=Counter)
    gone: Counter[str] = field(default_factory=Counter)
    future: int = 0
    latest: datetime | None = None
    foreign: int = 0


def look(batches: Iterable[pa.RecordBatch], watch: Watch) -> Seen:
    """Return what the batches of a prediction log hold, with the outcomes in `outcome` if they have such a column."""
    seen, windows = Seen(), dict[int, Window]()
    for together in _together(batches):
        table = _ours(together, watch, seen)
        if not table.num_rows:
            continue
        days = np.asarray(table["time"].cast(pa.timestamp("us")).cast(pa.int64())) // MICROSECONDS
        for day in np.unique(days).tolist():
            start = datetime.fromtimestamp(day * 86_400, UTC)
            _add(windows.setdefault(day, Window(start)), table.filter(pa.array(days == day)), watch, seen)
    seen.windows = [windows[day] for day in sorted(windows)]
    return seen


def _together(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield batches of one form as tables of about TOGETHER rows: small ones would take most of the time."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        if waiting and (batch.schema != waiting[0].schema or sum(map(len, waiting)) >= TOGETHER):
            yield pa.Table.from_batches(waiting)
            waiting = []
        waiting.append(batch)
    if waiting:
        yield pa.Table.from_batches(waiting)


def _ours(table: pa.Table, watch: Watch, seen: Seen) -> pa.Table:
    """Return the rows to judge, and count the others."""
    is_late = pc.greater(table["time"], pa.scalar(watch.now + AHEAD, table["time"].type))
    seen.future += pc.sum(is_late).as_py() or 0
    table = table.filter(pc.invert(is_late))
    limits = [pa.scalar(moment, table["time"].type) for moment in (watch.since, watch.until)]
    table = table.filter(pc.and_(pc.greater_equal(table["time"], limits[0]), pc.less(table["time"], limits[1])))
    for one in pc.value_counts(table["version"]):
        seen.versions[str(one["values"].as_py())] += one["counts"].as_py()
    return table.filter(pc.fill_null(pc.equal(table["version"], watch.version), False))


def _add(window: Window, table: pa.Table, watch: Watch, seen: Seen) -> None:
    latest = pc.max(table["time"]).as_py()
    seen.latest = latest if seen.latest is None else max(seen.latest, latest)
    window.rows += table.num_rows
    for one in pc.value_counts(table["contract"]):
        seen.contracts[str(one["values"].as_py())] += one["counts"].as_py()
    reference, contract = watch.reference, watch.contract
    columns, scored = _inputs(table, contract, seen), _scored(table, contract, seen)
    given = score_columns(scored, contract)
    for check, features in reference.checks.items():
        if not features:
            continue
        data = given if check in ("scores", "estimate") else columns
        found = level_counts(check, features, data, reference)
        window.counts[check] = window.counts[check] + found if check in window.counts else found
        if check == "values":
            for index in np.flatnonzero(found[:, STEPS]).tolist():
                if len(window.examples.get(index, [])) < EXAMPLES:
                    marked = levels(check, features[index : index + 1], data, reference)[:, 0] > 0
                    _remember(window, index, table.filter(pa.array(marked)).slice(0, EXAMPLES))
    _add_losses(window, table, scored, watch, seen)


def _add_losses(window: Window, table: pa.Table, scored: Scored, watch: Watch, seen: Seen) -> None:
    is_due = np.asarray(pc.less(table["time"], pa.scalar(watch.until - watch.delay, table["time"].type)))
    window.due += int(is_due.sum())
    if "outcome" not in table.column_names:
        return
    target, contract = _target(table["outcome"], watch.contract), watch.contract
    seen.foreign += int(np.isnan(target).sum()) - table["outcome"].null_count
    take = is_due & ~np.isnan(target) & np.isfinite(scored.scores).reshape(len(target), -1).all(axis=1)
    window.known += int(take.sum())
    if not take.any():
        return
    truth = target[take] if contract.task == "regression" else target[take].astype(np.int64)
    scale = watch.reference.losses[0].scale
    ids = table.filter(pa.array(take)).select(["prediction_id"])
    for name, values in losses(Scored(scored.scores[take], scored.decision[take]), truth, contract, scale).items():
        found = counts(loss_steps(values), LOSS_STEPS)
        window.losses[name] = window.losses[name] + found if name in window.losses else found
        worst = np.argsort(-values, kind="stable")[:EXAMPLES]
        _remember(window, name, ids.take(pa.array(worst[values[worst] > 0])))


def _remember(window: Window, what: int | str, rows: pa.Table) -> None:
    kept = window.examples.setdefault(what, [])
    kept += rows["prediction_id"].to_pylist()[: EXAMPLES - len(kept)]


def _inputs(table: pa.Table, contract: Contract, seen: Seen) -> Mapping[str, np.ndarray]:
    """Return the features of rows; a column that the log does not have is missing in all of them."""
    inputs = _fields(table["inputs"])
    made = {}
    for name, column in contract.features.items():
        made[name] = np.full(table.num_rows, np.nan)
        if column.log == "omit":
            continue
        try:
            values = inputs[name]
            # Of a hashed value only one thing is known: whether it is there.
            made[name] = plain(values, column) if column.log == "keep" else np.where(pc.is_null(values), np.nan, 0.0)
        except (KeyError, pa.ArrowException):
            # Written for another contract: without the column, or with one of another kind, whose values mean nothing.
            seen.gone[name] += table.num_rows
    return made


def _scored(table: pa.Table, contract: Contract, seen: Seen) -> Scored:
    try:
        if contract.task == "regression":
            scores = np.array(table["prediction"].cast(pa.float64()), np.float64)
            return Scored(scores, scores)
        given = _fields(table["probabilities"])
        scores = np.array([np.asarray(given[label].cast(pa.float64())) for label in contract.classes], np.float64).T
        decided = pc.coalesce(table["decision"], table["prediction"])
        index = pc.fill_null(pc.index_in(decided, value_set=pa.array(contract.classes, pa.string())), 0)
        return Scored(scores, np.asarray(index).astype(np.int64))
    except (KeyError, pa.ArrowException):
        seen.gone[SCORE] += table.num_rows
    nothing = np.full((table.num_rows, max(len(contract.classes), 1)), np.nan)
    if contract.task == "regression":
        return Scored(nothing[:, 0], nothing[:, 0])
    return Scored(nothing, np.zeros(table.num_rows, dtype=np.int64))


def _fields(values: pa.ChunkedArray) -> dict[str, pa.Array]:
    """Return the fields of structs by name; none if the values are of another kind."""
    if not pa.types.is_struct(values.type):
        return {}
    array = values.combine_chunks()
    array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
    return dict(zip([one.name for one in array.type], array.flatten(), strict=True))


def _target(outcome: pa.ChunkedArray, contract: Contract) -> np.ndarray:
    """Return outcomes as numbers, or as the index of a class; NaN where there is none, or another value."""
    try:
        if contract.task == "regression":
            return np.array(outcome.cast(pa.float64()), np.float64)
        index = pc.index_in(outcome.cast(pa.string()), value_set=pa.array(contract.classes, pa.string()))
        return np.array(index.cast(pa.float64()), np.float64)
    except pa.ArrowException:
        return np.full(len(outcome), np.nan)
