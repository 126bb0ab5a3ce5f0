"""A copy of the prediction log in a database, with outcomes: for those who ask in SQL.

It is made from the log and not by the service, so a slow or broken database delays no answer and loses no prediction.
An hour is copied in one transaction, in place of its rows from before, if its segments have changed: outcomes that came
late, corrections, and clients who were forgotten reach the copy too.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy
from sqlalchemy import JSON, Column, DateTime, Double, MetaData, String, Table, Text

from assay.base.errors import InputError
from assay.base.files import lock_alone, write_once, writes_to
from assay.base.progress import Rate
from assay.base.words import public
from assay.data.outputs import connected
from assay.predictions.outcomes import Segments, joined, joined_hour, joined_hours
from assay.predictions.read import LogCounts, Schemas
from assay.predictions.segments import hour_name

# A file of the log with the name that its rows have in a database.
NAME = "name"


@dataclass
class Exported:
    """How many hours were copied, with how many rows, and how many were there already."""

    hours: int = 0
    rows: int = 0
    unchanged: int = 0


def export(folder: Path, address: str, name: str) -> Exported:
    """Copy the hours of a log that have changed to a table of a database; return what was done.

    Beside the table there is another one, with `_hours` after its name, that says what was copied. Raises InputError if
    the database cannot be written, or another process is doing this.
    """
    if not name:
        raise InputError("--table: it is empty; name the table to copy the log to")
    url = _url(address)
    shown = f"{public(url.render_as_string())}#{name}"
    done = Exported()
    with _alone(folder) as log:
        is_number = _is_number(folder)
        if is_number is None:
            return done
        tables = _tables(name, is_number)
        # Once for all hours: a folder of years holds many files.
        segments = {hour: found for hour, found in joined_hours(folder).items() if found[0]}
        states = {hour: _state(found) for hour, found in segments.items()}
        with connected(shown, url) as connection:
            tables[0].metadata.create_all(connection)
            known = _known(connection, log, tables[1])
        changed = [hour for hour, state in states.items() if known.get(hour_name(hour)) != state]
        done.unchanged = len(states) - len(changed)
        schemas = Schemas(folder)
        rate = Rate("hours", len(changed))
        for hour in changed:
            batches = joined_hour(segments[hour], schemas, LogCounts())
            with connected(shown, url) as connection:
                done.rows += _copy(batches, log, (hour_name(hour), states[hour]), connection, tables)
            done.hours += 1
            rate.at(done.hours)
    return done


def _url(address: str) -> sqlalchemy.URL:
    try:
        return sqlalchemy.make_url(address)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise InputError(
            "not an address of a database: expected sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"
        ) from None


@contextmanager
def _alone(folder: Path) -> Iterator[str]:
    """Yield the name of a log, while no other process copies it."""
    path = folder / NAME
    with writes_to(path):
        write_once(path, os.urandom(8).hex().encode())
    with lock_alone(path, f"{folder}: another `assay log export` is running; wait for it"):
        yield path.read_text(encoding="utf-8")


def _state(segments: Segments) -> str:
    """Return what the segments of an hour look like: another text once one of them has changed."""
    return json.dumps([_looks(path) for paths in segments for path in paths])


def _looks(path: Path) -> list[Any]:
    try:
        found = path.stat()
    except FileNotFoundError:
        # It has been retired meanwhile.
        return []
    return [path.parent.name, path.name, found.st_size, found.st_mtime_ns]


def _is_number(folder: Path) -> bool | None:
    """Say whether the predictions of a log are numbers; None without any."""
    first = next(joined(folder, LogCounts()), None)
    return None if first is None else pa.types.is_floating(first.schema.field("prediction").type)


def _tables(name: str, is_number: bool) -> tuple[Table, Table]:
    """Return the table of predictions, and that of the hours which were copied."""
    value = Double if is_number else Text
    metadata = MetaData()
    rows = Table(
        name,
        metadata,
        Column("prediction_id", String(64), primary_key=True),
        Column("version", String(64), primary_key=True),
        Column("arm", String(200), primary_key=True),
        Column("log", String(16)),
        Column("hour", String(13), index=True),
        Column("time", DateTime(timezone=True)),
        Column("contract", String(64)),
        Column("key", String(64)),
        Column("inputs", JSON),
        Column("prediction", value),
        Column("decision", Text),
        Column("probabilities", JSON),
        Column("warnings", JSON),
        Column("outcome", value),
        Column("outcome_time", DateTime(timezone=True)),
    )
    done = Table(
        f"{name}_hours",
        metadata,
        Column("log", String(16), primary_key=True),
        Column("hour", String(13), primary_key=True),
        Column("segments", Text),
    )
    return rows, done


def _known(connection: sqlalchemy.Connection, log: str, copied: Table) -> dict[str, str]:
    """Return what the segments of the hours looked like that were copied."""
    found = connection.execute(sqlalchemy.select(copied.c.hour, copied.c.segments).where(copied.c.log == log))
    return {row.hour: row.segments for row in found}


def _copy(
    batches: Iterable[pa.RecordBatch],
    log: str,
    hour: tuple[str, str],
    connection: sqlalchemy.Connection,
    tables: tuple[Table, Table],
) -> int:
    """Copy an hour, given by its name and state, in place of what was there of it; return the number of rows."""
    name, state = hour
    count = 0
    for table in tables:
        connection.execute(table.delete().where(table.c.log == log, table.c.hour == name))
    for batch in batches:
        connection.execute(tables[0].insert(), [_row(row, log, name) for row in batch.to_pylist()])
        count += len(batch)
    connection.execute(tables[1].insert(), {"log": log, "hour": name, "segments": state})
    return count


def _row(row: dict[str, Any], log: str, hour: str) -> dict[str, Any]:
    return {
        **row,
        "inputs": {_plain(name): _plain(one) for name, one in row["inputs"].items()},
        "log": log,
        "hour": hour,
    }


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case str():
            # PostgreSQL reads no JSON with a zero byte.
            return value.replace("\0", "\ufffd")
    return value
