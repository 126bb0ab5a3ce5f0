"""The files of the log: segments of whole lines, one for each hour and process, which only ever grow.

A segment of predictions holds what was answered in its hour, and a segment of outcomes the outcomes of these
predictions, whenever they came.
"""

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import NoReturn

PREDICTIONS, OUTCOMES, CONTRACTS = "predictions", "outcomes", "contracts"
ENDING = ".jsonl"
HOUR = "%Y-%m-%dT%H"


def hour_name(time: datetime) -> str:
    """Return the hour of a time, as segments are named: 2026-11-29T18."""
    return time.astimezone(UTC).strftime(HOUR)


def hour_of(segment: Path) -> datetime | None:
    """Return the hour of a segment; None for another file."""
    if segment.suffix != ENDING or segment.name.startswith("."):
        return None
    try:
        return datetime.strptime(segment.name.partition(".")[0], HOUR).replace(tzinfo=UTC)
    except ValueError:
        return None


def hours(
    folder: Path, since: datetime | None = None, until: datetime | None = None
) -> Iterator[tuple[datetime, list[Path]]]:
    """Yield the hours that have segments, in their order, and the segments of each."""
    found = sorted((hour, path) for path in folder.glob(f"*{ENDING}") if (hour := hour_of(path)))
    for hour, segments in groupby(found, key=lambda one: one[0]):
        if (since is None or hour + timedelta(hours=1) > since) and (until is None or hour < until):
            yield hour, [path for _, path in segments]


def retire(folder: Path, before: datetime) -> list[Path]:
    """Delete the segments of hours that ended before a time; return them."""
    old = [path for hour, paths in hours(folder, until=before - timedelta(hours=1)) for path in paths]
    for path in old:
        path.unlink(missing_ok=True)
    return old


class Appender:
    """Appends whole lines to the segments of this process: after a failure there is no part of them."""

    def __init__(self, folder: Path, *, fsync: bool, opened: Callable[[], None] = lambda: None) -> None:
        """Write to a folder; `opened` is called when a segment begins."""
        self._folder, self._fsync, self._opened = folder, fsync, opened
        self._process = os.urandom(4).hex()
        self._hour = ""
        self._file: int | None = None
        # Requests are answered in several threads.
        self._lock = threading.Lock()

    def append(self, hour: str, lines: bytes) -> None:
        """Append lines to the segment of an hour; raises OSError if they could not be written."""
        with self._lock:
            file = self._file
            if hour != self._hour or file is None:
                file = self._open(hour)
            while not self._append(file, lines):
                file = self._open(hour)

    def _append(self, file: int, lines: bytes) -> bool:
        """Append lines; return False if another process has replaced the segment."""
        # `assay forget` replaces segments, and holds this lock meanwhile.
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            state = os.fstat(file)
            if not state.st_nlink:
                return False
            try:
                if os.write(file, lines) < len(lines):
                    _disk_is_full()
                if self._fsync:
                    os.fdatasync(file)
            except OSError:
                self._undo(file, state.st_size)
                raise
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
        return True

    def _undo(self, file: int, size: int) -> None:
        try:
            os.ftruncate(file, size)
        except OSError:
            # What follows part of a line would be lost with it.
            self._process, self._hour = os.urandom(4).hex(), ""

    def _open(self, hour: str) -> int:
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{hour}.{self._process}{ENDING}"
        file = self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        if self._fsync:
            _sync_folder(self._folder)
        self._hour = hour
        self._opened()
        return file

    def close(self) -> None:
        """Close the segment."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def _disk_is_full() -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file as lasting as its content."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
