"""Outcomes that a table reports: by prediction id, or by the ids of a row and a time."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa

from assay.base.errors import InputError
from assay.base.files import writes_to
from assay.contract.spec import Contract, Id, Time
from assay.inference.ids import time_of
from assay.predictions.entry import CHECK
from assay.predictions.keys import NAME, ids_hash, log_secret
from assay.predictions.outcomes import OutcomeLog, is_outcome
from assay.predictions.read import LogCounts, Schemas, entries, hour
from assay.predictions.segments import PREDICTIONS, hour_name, hours

PREDICTION, TIME, OUTCOME = "prediction_id", "time", "outcome"
# A row with an outcome that the target can have.
Reported = dict[str, Any]


def table_contract(contract: Contract) -> Contract:
    """Return the contract of a table of outcomes of a model."""
    ids = {name: Id(kind="id") for name in (PREDICTION, *_ids(contract))}
    target = contract.target.model_copy(update={"name": OUTCOME})
    return contract.model_copy(update={"columns": {**ids, TIME: Time(kind="time", zone="UTC")}, "target": target})


def _ids(contract: Contract) -> list[str]:
    """Return the ids by which outcomes may be reported; none if a table also has another column of the name."""
    ids = contract.given_ids
    return [] if {PREDICTION, TIME, OUTCOME} & set(ids) else ids


def outcomes_of(table: pa.Table, name: str, contract: Contract) -> tuple[list[Reported], int]:
    """Return the rows of a table that have an outcome which the target can have, and the number of all others.

    Rows without an id, or without a time that could be read, are among the others. The table has the types of
    `table_contract`, and `name` says in an error where it came from. Raises InputError for a table without the columns.
    """
    ids = _ids(contract)
    wanted = [[PREDICTION, OUTCOME], *([[*ids, TIME, OUTCOME]] if ids else [])]
    # A table without rows is one of a day without outcomes.
    empty = {one for one in table.column_names if table[one].null_count == len(table) > 0}
    lacking = [[one for one in names if one not in table.column_names or one in empty] for names in wanted]
    if all(lacking):
        ways = ", or ".join(f"{', '.join(names[:-1])} and {names[-1]}" for names in wanted)
        nearest = max(range(len(wanted)), key=lambda way: len(wanted[way]) - len(lacking[way]))
        raise InputError(f"{name}: expected the columns {ways}; found no value of {lacking[nearest][0]}")
    rows = table.select(wanted[lacking.index([])]).to_pylist()
    fitting = [row for row in rows if None not in row.values() and is_outcome(row[OUTCOME], contract.target)]
    return fitting, len(rows) - len(fitting)


def record(folder: Path, outcomes: Sequence[Reported], contract: Contract) -> tuple[int, int]:
    """Write the outcomes of predictions that are in the log; return how many, and how many others there were.

    Raises InputError for outcomes by ids if the log has no secret, and if it cannot be written.
    """
    by_ids = bool(outcomes) and PREDICTION not in outcomes[0]
    known = _located(folder, outcomes, _ids(contract)) if by_ids else _known(folder, outcomes)
    with writes_to(folder), closing(OutcomeLog(folder)) as log:
        written, _ = log.write(known)
    return written, len(outcomes) - written


def _known(folder: Path, outcomes: Iterable[Reported]) -> list[Reported]:
    """Return the outcomes of predictions that are in the log."""
    made = {one[PREDICTION]: time for one in outcomes if one[PREDICTION] and (time := time_of(one[PREDICTION]))}
    wanted = set(map(hour_name, made.values()))
    known: set[str] = set()
    schemas, counts = Schemas(folder), LogCounts()
    for time, segments in hours(folder / PREDICTIONS):
        if hour_name(time) in wanted:
            for batch in hour(segments, schemas, counts, None, None):
                known |= made.keys() & batch[PREDICTION].to_pylist()
    return [one for one in outcomes if one[PREDICTION] in known]


def _located(folder: Path, outcomes: Iterable[Reported], ids: Sequence[str]) -> list[Reported]:
    """Return outcomes by prediction id: that of the last prediction for their ids up to their time, the earliest first.

    Where two are of one prediction, the later one corrects the other.
    """
    if not (folder / NAME).exists():
        raise InputError(
            f"{folder / NAME}: there is no such file, by which ids are found in the log; run this where the service "
            "writes it"
        )
    secret = log_secret(folder)
    asked = [
        (hashed, one[TIME].replace(tzinfo=UTC), one[OUTCOME])
        for one in outcomes
        if (hashed := ids_hash(secret, [one[name] for name in ids]))
    ]
    asked.sort(key=itemgetter(1))
    predicted = _predicted(folder, {hashed for hashed, _, _ in asked}, asked[-1][1]) if asked else {}
    found = []
    for hashed, time, outcome in asked:
        made = predicted.get(hashed, [])
        if place := bisect_right(made, time, key=itemgetter(0)):
            found.append({PREDICTION: made[place - 1][1], OUTCOME: outcome})
    return found


def _predicted(folder: Path, hashes: set[str], until: datetime) -> Mapping[str, list[tuple[datetime, str]]]:
    """Return the times and ids of predictions for rows, by the hash of the ids of the row, the earliest first."""
    found: defaultdict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for _, segments in hours(folder / PREDICTIONS, until=until):
        for entry in entries(segments, LogCounts(), None, None):
            if entry.arm != CHECK:
                for hashed, name in zip(entry.ids, entry.prediction_id, strict=False):
                    if hashed in hashes:
                        found[hashed].append((entry.time, name))
    for predictions in found.values():
        predictions.sort()
    return found
