"""Forgetting a client: its rows leave the log and its outcomes, segment by segment, and a receipt says so.

A segment is replaced as a whole. A run that is killed half-way leaves the other segments as they were, and the next run
does the rest. Outcomes go first, since only the predictions say which outcomes are meant.
"""

import mmap
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from assay.base.errors import InputError
from assay.base.files import lock_alone, replacing, write_json
from assay.predictions.collected import COLLECTED, WORK, alone, learnt
from assay.predictions.entry import Entry
from assay.predictions.keys import NAME, key_hash, log_secret
from assay.predictions.segments import OPEN, OUTCOMES, PREDICTIONS, hours, seal

RECEIPTS = "receipts"
# What the service writes to a segment while it is sealed is in a new one too: the next pass finds it there.
PASSES = 3
FORMAT = 1
# What a receipt cannot say.
UNKNOWN = (
    f"Whether rows of the client are in the data: there is no {COLLECTED} here. Where it is, it names the rows of a "
    "client by `key`."
)
COPIED = "Whether somebody copied rows of the log by other means than `assay feedback collect`."


@dataclass
class Forgotten:
    """What left the log: rows, outcomes, segments that were rewritten, and lines that nobody could read."""

    predictions: int = 0
    outcomes: int = 0
    segments: int = 0
    unreadable: int = 0
    versions: set[str] = field(default_factory=set)
    # Versions of the data that hold rows of the client.
    learnt: list[dict[str, Any]] = field(default_factory=list)
    since: datetime | None = None
    until: datetime | None = None


def forget(folder: Path, key: bytes) -> tuple[Forgotten, Path]:
    """Remove the rows of a client and their outcomes from a log; return what left it, and the path of the receipt.

    Raises InputError if the folder is no log with keys, another process is doing this, or a segment cannot be written.
    """
    if not (folder / NAME).exists():
        raise InputError(f"{folder}: this is no prediction log, or none whose clients sent a key; name it with --log")
    hashed = key_hash(log_secret(folder), key)
    done: set[Path] = set()
    lock = folder / "forget.lock"
    lock.touch()
    # Without this folder nothing was ever collected here.
    no_collection = alone() if WORK.exists() else nullcontext()
    with no_collection, lock_alone(lock, f"{folder}: another `assay forget` is running; wait for it"):
        # First: an error of it must not come between a removal and its receipt.
        known = learnt(hashed)
        gone = Forgotten(learnt=known or [])
        for _ in range(PASSES):
            if not _pass(folder, hashed, done, gone):
                break
        _remove_sent(folder, hashed, gone)
        receipt = _write_receipt(folder, hashed, gone, COPIED if known is not None else UNKNOWN)
    return gone, receipt


def _pass(folder: Path, hashed: str, done: set[Path], gone: Forgotten) -> bool:
    """Remove the rows of a client from the segments that are not done; say whether there were any."""
    outcomes = dict(hours(folder / OUTCOMES))
    is_found = False
    for hour, segments in hours(folder / PREDICTIONS):
        new = [path for path in segments if path not in done]
        done.update(new)
        ids = {path: found for path in new if (found := _ids(path, hashed)) is not None}
        wanted = {one.encode() for found in ids.values() for one in found}
        for path in outcomes.get(hour, []) if wanted else []:
            if any(_outcome_of(line) in wanted for line in _lines(path)):
                _rewrite(path, lambda path, wanted=wanted: _without_outcomes(path, wanted, gone), gone)  # type: ignore[misc]
        for path in ids:
            _rewrite(path, lambda path: _without_rows(path, hashed, gone), gone)
        is_found = is_found or bool(ids)
    return is_found


def _remove_sent(folder: Path, hashed: str, gone: Forgotten) -> None:
    """Remove the outcomes that a client sent of predictions for others, or of predictions that are too old."""
    sent = f'"key":"{hashed}"'

    def others(path: Path) -> Iterator[bytes]:
        for part, is_meant in _parts(path, sent):
            gone.outcomes += is_meant
            if not is_meant:
                yield part

    for _, segments in hours(folder / OUTCOMES):
        for path in segments:
            if any(is_meant for _, is_meant in _parts(path, sent)):
                _rewrite(path, others, gone)


def _parts(path: Path, text: str) -> Iterator[tuple[bytes, bool]]:
    """Yield all of a file, in parts: the lines that hold a text, and what is between them; True marks the former.

    It takes a fraction of the time of a loop over the lines.
    """
    # It may have been retired meanwhile.
    with suppress(FileNotFoundError), path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            done = 0
            while (at := content.find(text.encode(), done)) >= 0:
                start, end = content.rfind(b"\n", done, at) + 1, content.find(b"\n", at) + 1
                yield content[done : start or done], False
                yield content[start or done : end or len(content)], True
                done = end or len(content)
            yield content[done:], False


def _ids(path: Path, hashed: str) -> list[str] | None:
    """Return the ids of the rows of a client; None if the file does not mention the client."""
    found: list[str] | None = None
    for part, is_meant in _parts(path, hashed):
        if is_meant:
            found = found or []
            with suppress(msgspec.MsgspecError):
                entry = msgspec.json.decode(part, type=Entry)
                found += [one for one, key in zip(entry.prediction_id, entry.key, strict=False) if key == hashed]
    return found


def _lines(path: Path) -> Iterator[bytes]:
    with suppress(FileNotFoundError), path.open("rb", buffering=2**20) as file:
        yield from file


def _outcome_of(line: bytes) -> bytes:
    """Return the id of the prediction that an outcome belongs to."""
    return line.partition(b'"prediction_id":"')[2].partition(b'"')[0]


def _rewrite(path: Path, changed: Callable[[Path], Iterable[bytes]], gone: Forgotten) -> None:
    """Replace a segment."""
    try:
        # From now on the service writes elsewhere too, so everything that counts is in what is read here.
        seal(path)
        state = path.stat()
    except FileNotFoundError:
        # It has been retired meanwhile.
        return
    with replacing(path) as temporary, temporary.open("wb", buffering=2**20) as made:
        made.writelines(changed(path))
        made.flush()
        os.fsync(made.fileno())
        temporary.chmod(OPEN)
        with suppress(OSError):
            # The user who runs this may be another one than the service, which has to read it.
            os.chown(temporary, state.st_uid, state.st_gid)
    gone.segments += 1


def _without_outcomes(path: Path, ids: set[bytes], gone: Forgotten) -> Iterator[bytes]:
    for line in _lines(path):
        if _outcome_of(line) in ids:
            gone.outcomes += 1
        else:
            yield line


def _without_rows(path: Path, hashed: str, gone: Forgotten) -> Iterator[bytes]:
    for part, is_meant in _parts(path, hashed):
        yield _without(part, hashed, gone) if is_meant else part


def _without(line: bytes, hashed: str, gone: Forgotten) -> bytes:
    try:
        entry = msgspec.json.decode(line, type=Entry)
        stays = [key != hashed for key in entry.key]
        kept = _selected(entry, stays)
    except (msgspec.MsgspecError, ValueError, IndexError):
        # What breaks off may still be about the client.
        gone.unreadable += 1
        return b""
    gone.predictions += stays.count(False)
    if not all(stays):
        gone.versions.add(entry.version)
        gone.since = min(gone.since or entry.time, entry.time)
        gone.until = max(gone.until or entry.time, entry.time)
    return msgspec.json.encode(kept) + b"\n" if any(stays) else b""


def _selected(entry: Entry, stays: list[bool]) -> Entry:
    """Return an entry with some of its rows."""

    def some(values: list[Any]) -> list[Any]:
        return [value for value, stay in zip(values, stays, strict=True) if stay]

    def packed(values: bytes) -> bytes:
        return np.frombuffer(values, np.uint8).reshape(len(stays), -1)[stays].tobytes() if values else b""

    changes: dict[str, Any] = {name: some(getattr(entry, name)) for name in ("prediction_id", "key", "prediction")}
    changes |= {name: some(values) for name in ("decision", "warnings", "ids") if (values := getattr(entry, name))}
    changes |= {
        name: {of: some(values) for of, values in getattr(entry, name).items()} for name in ("inputs", "probabilities")
    }
    changes |= {"packed": {of: packed(values) for of, values in entry.packed.items()}, "scores": packed(entry.scores)}
    return msgspec.structs.replace(entry, **changes)


def _write_receipt(folder: Path, hashed: str, gone: Forgotten, not_known: str) -> Path:
    now = datetime.now(UTC)
    path = folder / RECEIPTS / f"{now:%Y-%m-%dT%H%M%S.%f}.json"
    write_json(
        path,
        {
            "format": FORMAT,
            "time": now.isoformat(),
            "key": hashed,
            "predictions": gone.predictions,
            "outcomes": gone.outcomes,
            "segments": gone.segments,
            "unreadable_lines": gone.unreadable,
            "since": gone.since and gone.since.isoformat(),
            "until": gone.until and gone.until.isoformat(),
            "answered_by": sorted(gone.versions),
            "learnt_from_them": gone.learnt,
            "not_known": not_known,
        },
    )
    return path
