"""Outcomes come home: predictions whose outcome is due and known become rows of the data.

The rows are what outsiders sent, so they get the suspicion that a fork gets. A client brings a bounded share of a
bounded number of rows, and nothing if its outcomes disagree with the predictions far more often than those of the
others. What passes is judged by the gates, as any change of the data.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import hypergeom

from assay.base.config import read_yaml
from assay.base.errors import InputError
from assay.base.files import replacing, sha256, write_json
from assay.contract.spec import Contract, Id, Ignored
from assay.data.append import append, columns_of, notation, stored, survive
from assay.data.reading import arrow_type, read_table, typed
from assay.data.split import row_keys
from assay.inference.batch import separated
from assay.inference.ids import DIGITS
from assay.predictions.collected import (
    COPY,
    POINTER,
    WORK,
    Collection,
    Record,
    Row,
    alone,
    committed_data,
    read_record,
    write_record,
)
from assay.predictions.entry import SHADOW
from assay.predictions.outcomes import is_outcome
from assay.predictions.read import HASHED, TIME, Schema
from assay.project.params import Collect

REPORT = Path("reports/collect.json")
REPORT_FORMAT = 1
SALT = "collected"
NAMED = 50
# The newest rows that are considered, and how many times the rows of its limit a client may have among them.
MOST, SPARE = 500_000, 10
# Clients with fewer rows are tested together.
FEWEST = 10
# The outcomes of a client disagree if they are wrong so much more often than those of all others, at this significance.
DIFFERS, SIGNIFICANCE = 0.2, 0.001

NO_CONTRACT = "break the contract"
WRITTEN = "would not be read from the file as they were written"
CONTRADICT = "contradict another row with the same features"
DISTRUSTED = "correct rows, for clients whose outcomes now disagree with the predictions far more often than the others"
GONE = "correct rows that are no longer in the data"
UNFIT = "correct rows to what the target cannot be"
KNOWN = "have the features of a row that is there"
DISAGREE = "come from clients whose outcomes disagree with the predictions far more often than those of the others"
CLIENT = "are above the limit for one client"
LIMIT = "are above the limit for all"


@dataclass
class Candidates:
    """Predictions with an outcome, the oldest first: ids, hashed keys, how wrong each was, outcomes and features.

    `lost` names the features of each whose values the log does not have in a form of today's contract.
    """

    ids: list[str]
    clients: list[str | None]
    loss: np.ndarray
    outcomes: list[Any]
    features: pa.Table
    lost: list[list[str]]

    def take(self, places: np.ndarray) -> "Candidates":
        """Return those at some places."""
        return Candidates(
            [self.ids[place] for place in places],
            [self.clients[place] for place in places],
            self.loss[places],
            [self.outcomes[place] for place in places],
            self.features.take(pa.array(places)),
            [self.lost[place] for place in places],
        )


@dataclass
class Chosen:
    """The rows to add, with the candidates that they are made of, and why others are left out, by place."""

    taken: Candidates
    rows: pa.Table
    left_out: dict[str, list[str]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def require_collectable(contract: Contract) -> list[str]:
    """Return the columns that stay empty, since the log does not hold their values.

    Raises InputError if the contract needs a value that the log does not hold.
    """
    hidden = {name: column for name, column in contract.features.items() if column.log != "keep"}
    for name, column in hidden.items():
        if column.missing == "refuse" or name == contract.split.column:
            raise InputError(
                f"contract.yaml: {name} has `log: {column.log}`, so the log does not hold its values, and a row needs "
                "one: `missing: allow` would leave it empty"
            )
    split = contract.split.column
    if split is not None and split not in contract.features:
        raise InputError(
            f"contract.yaml: the split by {contract.split.by} needs {split}, which is not a feature: the log lacks it"
        )
    return list(hidden)


def candidates(
    batches: Iterable[pa.RecordBatch], contract: Contract, due: datetime, known: Mapping[str, Row], per_client: int
) -> tuple[Candidates, Candidates, int]:
    """Return the predictions from before `due` with an outcome, apart those that are `known`, and how many have none.

    Shadows answer what others were asked, and are left out. Where there are very many, the newest are taken.
    """
    kinds = {name: kind for name, kind in Schema(contract).features.items() if contract.features[name].log == "keep"}
    there = pa.array(known, pa.string())
    again: list[pa.Table] = []
    found: list[pa.Table] = []
    rows = silent = 0
    for batch in batches:
        is_due = pc.and_(pc.less(batch["time"], pa.scalar(due, TIME)), pc.not_equal(batch["arm"], SHADOW))
        table = pa.Table.from_batches([batch]).filter(is_due)
        silent += table["outcome"].null_count
        plain = _plain(table.filter(pc.is_valid(table["outcome"])), contract, kinds)
        is_known = pc.is_in(plain["prediction_id"], there)
        again.append(plain.filter(is_known))
        found.append(plain.filter(pc.invert(is_known)))
        rows += len(found[-1])
        if rows > 2 * MOST:
            found = [_newest(pa.concat_tables(found), per_client)]
            rows = len(found[0])
    if not found:
        none = Candidates(
            [], [], np.array([]), [], pa.table({name: pa.array([], kind) for name, kind in kinds.items()}), []
        )
        return none, none, silent
    fresh, old = _newest(pa.concat_tables(found), per_client), pa.concat_tables(again)
    return _candidates(fresh, list(kinds)), _candidates(old, list(kinds)), silent


def _candidates(table: pa.Table, names: list[str]) -> Candidates:
    return Candidates(
        table["prediction_id"].to_pylist(),
        table["key"].to_pylist(),
        table["loss"].to_numpy(),
        table["outcome"].to_pylist(),
        table.select([f"inputs.{name}" for name in names]).rename_columns(names),
        table["lost"].to_pylist(),
    )


def _plain(table: pa.Table, contract: Contract, kinds: Mapping[str, pa.DataType]) -> pa.Table:
    """Return predictions in the columns of the contract of today: what an earlier one lacks, or hashed, is empty.

    So is an outcome of another task.
    """
    kind = pa.string() if contract.classes else pa.float64()
    predicted, outcome = (_cast(table[name].combine_chunks(), kind) for name in ("prediction", "outcome"))
    if contract.classes:
        loss = pc.not_equal(predicted, outcome).cast(pa.float64())
    else:
        loss = pc.abs(pc.subtract(predicted, outcome))
    inputs = table["inputs"].combine_chunks()
    there = {one.name: inputs.field(one.name) for one in inputs.type if one.metadata != HASHED}
    features = {
        name: _cast(there[name], kind) if name in there else pa.nulls(len(table), kind) for name, kind in kinds.items()
    }
    lost = {
        name: np.asarray(pc.and_(pc.is_null(values), pc.is_valid(there[name]) if name in there else True))
        for name, values in features.items()
    }
    lost = {name: are_lost for name, are_lost in lost.items() if are_lost.any()}
    return pa.table(
        {
            "prediction_id": table["prediction_id"],
            "key": table["key"],
            "loss": pc.fill_null(loss, 0.0),
            "outcome": outcome,
            **{f"inputs.{name}": values for name, values in features.items()},
            "lost": pa.array(
                [[name for name in lost if lost[name][row]] for row in range(len(table))], pa.list_(pa.string())
            ),
        }
    )


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return values in another type; what it cannot hold is null."""
    try:
        return values.cast(kind)
    except pa.ArrowNotImplementedError:
        return pa.nulls(len(values), kind)
    except pa.ArrowInvalid:
        if len(values) == 1:
            return pa.nulls(1, kind)
        half = len(values) // 2
        return pa.concat_arrays([_cast(values[:half], kind), _cast(values[half:], kind)])


def _newest(table: pa.Table, per_client: int) -> pa.Table:
    """Return the newest rows once, by time: a client that sends very many does not push out the others."""
    ids = table["prediction_id"].to_numpy()
    first = np.sort(np.unique(ids, return_index=True)[1])
    # Of rows that were asked together, the ids do not sort as they were asked.
    order = np.argsort([name[:DIGITS] for name in ids[first]], kind="stable")
    table = table.take(pa.array(first[order]))
    if len(table) <= MOST:
        return table
    counted: Counter[str | None] = Counter()
    kept = np.zeros(len(table), dtype=bool)
    for place, client in zip(range(len(table) - 1, -1, -1), reversed(table["key"].to_pylist()), strict=True):
        counted[client] += 1
        kept[place] = counted[client] <= SPARE * per_client
    return table.filter(pa.array(kept)).slice(max(0, int(kept.sum()) - MOST))


def choose(
    given: Candidates,
    data: pa.Table,
    names: Sequence[str],
    contract: Contract,
    limits: "Limits",
    *,
    is_plain: bool | None,
) -> Chosen:
    """Choose the candidates that become rows; `names` are the columns of the file, and `is_plain` is its notation."""
    chosen = Chosen(given, pa.table({}))

    def keep(mask: np.ndarray, why: str) -> None:
        left = [chosen.taken.ids[place] for place in np.flatnonzero(~mask)]
        if left:
            chosen.left_out[why] = left
            chosen.taken = chosen.taken.take(np.flatnonzero(mask))
            chosen.rows = chosen.rows.filter(pa.array(mask)) if chosen.rows.num_columns else chosen.rows

    keep(_right(given, contract, chosen.reasons), NO_CONTRACT)
    chosen.rows = _rows(chosen.taken, names, contract)
    if is_plain is None:
        chosen.rows, holds = stored(contract.data, chosen.rows, contract)
        keep(holds, WRITTEN)
    else:
        keep(survive(chosen.rows, list(names), contract, is_plain=is_plain), WRITTEN)
    features = given.features.column_names
    there = row_keys(data, features, SALT)
    if len(there) - len(np.unique(there)) <= limits.duplicates * len(there):
        keep(_agreeing(chosen.rows, features, contract), CONTRADICT)
        keys = row_keys(chosen.rows, features, SALT)
        fresh = ~np.isin(keys, there)
        fresh[fresh] = _first(keys[fresh])
        keep(fresh, KNOWN)
    keep(_trusted(chosen.taken), DISAGREE)
    keep(_within(chosen.taken.clients, limits.client, limits.by_client), CLIENT)
    # The newest come last.
    keep(np.arange(len(chosen.taken.ids)) >= len(chosen.taken.ids) - limits.rows, LIMIT)
    return chosen


@dataclass(frozen=True)
class Limits:
    """How many rows may be added, how many by one client, and how many a client has added on the same data.

    `duplicates` is the share of rows with equal features that the data may have.
    """

    rows: int
    client: int
    by_client: Mapping[str | None, int]
    duplicates: float


def limits_of(rows: int, bounds: Collect, pending: Iterable[Row], duplicates: float) -> Limits:
    """Return the limits for data whose committed version has some rows, `pending` of which were collected since."""
    total = int(min(bounds.share, MOST) * rows)
    by_client = Counter(one.client for one in pending)
    return Limits(max(0, total - by_client.total()), int(bounds.client_share * total), by_client, duplicates)


def _right(given: Candidates, contract: Contract, reasons: dict[str, str]) -> np.ndarray:
    """Return a mask of the rows that keep to the contract, and add the reasons of others by their ids."""
    kinds = {name: contract.features[name] for name in given.features.column_names}
    fits = np.zeros(len(given.ids), dtype=bool)
    if given.ids:
        _, kept, refused = separated(given.features, contract.model_copy(update={"columns": kinds}), is_plain=True)
        fits[kept] = True
        # Without the values: logs and pull requests may be public.
        reasons |= {given.ids[place]: f"{column}: {why.partition(': ')[0]}" for place, column, why in refused}
    for place, outcome in enumerate(given.outcomes):
        if not is_outcome(outcome, contract.target):
            fits[place] = False
            reasons[given.ids[place]] = f"{contract.target.name}: the target cannot be this outcome"
    return fits


def _stored(outcomes: list[Any], contract: Contract) -> list[Any]:
    """Return outcomes as the data file gives them back; None for what it cannot hold."""
    name = contract.target.name
    rows, holds = stored(
        contract.data, pa.table({name: pa.array(outcomes, arrow_type(contract.target_column))}), contract
    )
    return [one if fits else None for one, fits in zip(rows[name].to_pylist(), holds.tolist(), strict=True)]


def _rows(taken: Candidates, names: Sequence[str], contract: Contract) -> pa.Table:
    """Return candidates as rows of the file: an id column holds the prediction id."""
    columns: dict[str, pa.Array | pa.ChunkedArray] = {}
    for name, column in contract.columns.items():
        if name in taken.features.column_names:
            columns[name] = taken.features[name]
        elif isinstance(column, Id):
            columns[name] = pa.array(taken.ids, pa.string())
        else:
            columns[name] = pa.nulls(len(taken.ids), arrow_type(column))
    columns[contract.target.name] = pa.array(taken.outcomes, arrow_type(contract.target_column))
    rows, _ = typed(pa.table(columns), contract, is_plain=True)
    absent = [
        name for name, column in contract.columns.items() if isinstance(column, Id | Ignored) and name not in names
    ]
    return rows.drop_columns(absent)


def _agreeing(rows: pa.Table, features: list[str], contract: Contract) -> np.ndarray:
    """Return a mask without rows whose features another row has with another outcome."""
    keys = row_keys(rows, features, SALT)
    full = row_keys(rows, [*features, contract.target.name], SALT)
    outcomes: defaultdict[int, set[int]] = defaultdict(set)
    for key, whole in zip(keys.tolist(), full.tolist(), strict=True):
        outcomes[key].add(whole)
    return np.array([len(outcomes[key]) == 1 for key in keys.tolist()], dtype=bool)


def _first(keys: np.ndarray) -> np.ndarray:
    """Return a mask of the first of equal keys."""
    mask = np.zeros(len(keys), dtype=bool)
    mask[np.unique(keys, return_index=True)[1]] = True
    return mask


def _trusted(taken: Candidates) -> np.ndarray:
    """Return a mask of the rows of clients whose outcomes agree with the predictions about as often as those of others.

    Fisher's exact test (1935), corrected for the number of clients. Clients with few rows are one. A number disagrees
    if its error is above the median. If the outcomes of all disagree, the world has changed: all are kept.
    """
    counted = Counter(taken.clients)
    groups = ["few" if counted[one] < FEWEST else f"={one}" for one in taken.clients]
    if not groups:
        return np.zeros(0, dtype=bool)
    wrong = taken.loss > (0.0 if set(np.unique(taken.loss)) <= {0.0, 1.0} else np.median(taken.loss))
    names, place = np.unique(groups, return_inverse=True)
    rows, errors = np.bincount(place), np.bincount(place, weights=wrong)
    others = len(wrong) - rows
    p = hypergeom.sf(errors - 1, len(wrong), int(wrong.sum()), rows) * len(names)
    with np.errstate(divide="ignore", invalid="ignore"):
        more = errors / rows - (wrong.sum() - errors) / others
    suspect = (others >= FEWEST) & (p <= SIGNIFICANCE) & (more >= DIFFERS)
    trusted: np.ndarray = ~suspect
    return trusted[place]


def _within(clients: Sequence[str | None], most: int, already: Mapping[str | None, int]) -> np.ndarray:
    """Return a mask of the newest rows of each client, as many as it may bring."""
    counted = Counter(already)
    mask = np.zeros(len(clients), dtype=bool)
    for place in range(len(clients) - 1, -1, -1):
        counted[clients[place]] += 1
        mask[place] = counted[clients[place]] <= most
    return mask


def collect(
    batches: Iterable[pa.RecordBatch],
    contract: Contract,
    bounds: Collect,
    due: datetime,
    *,
    duplicates: float,
) -> dict[str, Any]:
    """Add the outcomes that are due to the data file, correct those that were collected before; return what was done.

    The record is written first. A run that is killed leaves the data as they were, and the next run does all of it.
    """
    path = contract.data
    empty = require_collectable(contract)
    if read_yaml(POINTER).get("deps") if POINTER.exists() else None:
        raise InputError(f"{POINTER}: the data is imported from elsewhere; add the outcomes there")
    with alone():
        made = WORK / f"{COPY}{path.suffix}"
        record = read_record(path)
        base, known = committed_data(), record.rows()
        pending = [row for made in record.collections if made.base == base for row in made.rows]
        data, violations = read_table(path, contract)
        if violations:
            raise InputError(f"{path}: breaks contract.yaml: {violations[0]}; `assay check` lists all")
        limits = limits_of(len(data) - len(pending), bounds, pending, duplicates)
        given, again, silent = candidates(batches, contract, due, known, limits.client)
        for one in (given, again):
            one.outcomes = _stored(one.outcomes, contract)
        names = columns_of(path, contract)
        chosen = choose(given, data, names, contract, limits, is_plain=notation(path, contract))
        targets, renewed = _targets(data, contract, known, again, chosen.left_out)
        if chosen.taken.ids or targets:
            append(path, made, chosen.rows, contract, targets)
            rows = _recorded(chosen.rows, chosen.taken, contract)
            before, after = sha256(path), sha256(made)
            run = Collection(base=base, before=before, after=after, rows=rows, corrected=renewed)
            write_record(Record(collections=(*record.collections, run)))
            with replacing(path) as temporary:
                temporary.write_bytes(made.read_bytes())
            made.unlink()
    result = {
        "format": REPORT_FORMAT,
        "data": str(path),
        "due": due.isoformat(),
        "rows_before": len(data),
        "added": len(chosen.taken.ids),
        "clients": len(set(chosen.taken.clients)),
        "corrected": len(targets),
        "collected_before": len(known),
        "without_outcome": silent,
        "limit": {"rows": limits.rows, "client": limits.client},
        "empty_columns": empty,
        "lost": dict(Counter(name for names in chosen.taken.lost for name in names)),
        "left_out": {why: _left_out(ids, chosen.reasons) for why, ids in chosen.left_out.items()},
    }
    write_json(REPORT, result)
    return result


def _left_out(ids: Sequence[str], reasons: Mapping[str, str]) -> dict[str, Any]:
    named = ids[:NAMED]
    return {"rows": len(ids), "ids": named, "reasons": [reasons[one] for one in named if one in reasons]}


def _targets(
    data: pa.Table, contract: Contract, known: Mapping[str, Row], again: Candidates, left_out: dict[str, list[str]]
) -> tuple[dict[int, str | float], tuple[Row, ...]]:
    """Return the new targets of rows of the data, and the record of it; add to `left_out` what is not corrected.

    Clients get the suspicion that they got when their rows were collected.
    """
    is_trusted = dict(zip(again.ids, _trusted(again).tolist(), strict=True))
    outcomes = dict(zip(again.ids, again.outcomes, strict=True))
    corrected = {name: outcome for name, outcome in outcomes.items() if known[name].outcome != outcome}
    if not corrected:
        return {}, ()
    places = places_by_row(data, contract)
    targets: dict[int, str | float] = {}
    renewed = []
    for name, outcome in corrected.items():
        row = known[name]
        if not is_outcome(outcome, contract.target):
            left_out.setdefault(UNFIT, []).append(name)
        elif not is_trusted[name]:
            left_out.setdefault(DISTRUSTED, []).append(name)
        elif there := places[row.row, row.outcome]:
            targets[there.pop()] = outcome
            renewed.append(row.model_copy(update={"outcome": outcome}))
        else:
            left_out.setdefault(GONE, []).append(name)
    return targets, tuple(renewed)


def _recorded(rows: pa.Table, taken: Candidates, contract: Contract) -> tuple[Row, ...]:
    hashes = row_hashes(rows, contract)
    return tuple(
        Row(id=name, client=client, outcome=outcome, row=row)
        for name, client, outcome, row in zip(taken.ids, taken.clients, taken.outcomes, hashes, strict=True)
    )


def row_hashes(rows: pa.Table, contract: Contract) -> list[str]:
    """Return the hash of each row by which the record finds it again: of the features that the log holds."""
    features = [name for name, column in contract.features.items() if column.log == "keep"]
    return [f"{key:016x}" for key in row_keys(rows, features, SALT).tolist()]


def places_by_row(data: pa.Table, contract: Contract) -> defaultdict[tuple[str, Any], list[int]]:
    """Return where each row of the data is, from 0, by its hash and its target; equal rows are in several places."""
    places: defaultdict[tuple[str, Any], list[int]] = defaultdict(list)
    targets = data[contract.target.name].to_pylist()
    for place, row_and_target in enumerate(zip(row_hashes(data, contract), targets, strict=True)):
        places[row_and_target].append(place)
    return places


def told(result: Mapping[str, Any]) -> list[str]:
    """Return what was done, in lines."""
    corrected = f", {result['corrected']:,} corrected" if result["corrected"] else ""
    lines = [
        f"{result['data']}: {result['added']:,} rows added to {result['rows_before']:,}{corrected}; "
        f"{result['collected_before']:,} were collected before; outcomes due by "
        f"{result['due'][:16].replace('T', ' ')} UTC"
    ]
    for why, about in result["left_out"].items():
        example = f", such as {about['reasons'][0]}" if about["reasons"] else ""
        lines.append(f"left out: {about['rows']:,} {why}{example}")
    if result["without_outcome"]:
        lines.append(f"{result['without_outcome']:,} predictions from before then have no outcome")
    lost = [f"{name} in {rows:,} rows" for name, rows in result["lost"].items()]
    if lost:
        lines.append(f"left empty, because contract.yaml has changed since these rows were asked: {', '.join(lost)}")
    if result["empty_columns"]:
        lines.append(f"left empty, because the log does not hold them: {', '.join(result['empty_columns'])}")
    return lines
