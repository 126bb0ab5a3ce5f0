"""The files of the log: segments of whole lines, one for each hour and process, which only ever grow.

A segment of predictions holds what was answered in its hour, and a segment of outcomes the outcomes of these
predictions, whenever they came. A segment of requests holds what was counted in its hour.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import NoReturn

PREDICTIONS, OUTCOMES, CONTRACTS, REQUESTS = "predictions", "outcomes", "contracts", "requests"
ENDING = ".jsonl"
HOUR = "%Y-%m-%dT%H"
OPEN, SEALED = 0o640, 0o440


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


def belongs(time: datetime, hour: datetime | None) -> bool:
    """Say whether what has a time is from the hour of its segment: else it was copied there, and would count twice."""
    return hour is not None and timedelta() <= time - hour < timedelta(hours=1)


def hours(
    folder: Path, since: datetime | None = None, until: datetime | None = None
) -> Iterator[tuple[datetime, list[Path]]]:
    """Yield the hours that have segments, in their order, and the segments of each."""
    first = since and since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    try:
        # `glob` finds nothing in a folder that may not be read.
        paths = list(folder.iterdir())
    except FileNotFoundError:
        return
    # A pipe would never end.
    found = sorted((hour, path) for path in paths if (hour := hour_of(path)) and path.is_file())
    for hour, segments in groupby(found, key=lambda one: one[0]):
        if (first is None or hour >= first) and (until is None or hour < until):
            yield hour, [path for _, path in segments]


def believed(folder: Path, now: datetime, days: int) -> datetime:
    """Return the time from which the age of segments counts: now, or after a silence of some days the time before it.

    A clock that is years ahead looks like such a silence. It is believed once there are segments that are a day old.
    """
    latest = hour_name(now - timedelta(days=1))
    names = sorted((path.name for path in folder.glob(f"*{ENDING}")), reverse=True)
    before = next((hour for name in names if name < latest and (hour := hour_of(Path(name)))), now)
    return before if now - before > timedelta(days=days) else now


def retire(folder: Path, before: datetime) -> None:
    """Delete the segments of hours that ended before a time."""
    first = hour_name(before)
    for path in folder.glob(f"*{ENDING}"):
        # Comparing names takes a tenth of the time of reading them.
        if path.name < first and hour_of(path):
            path.unlink(missing_ok=True)


class Appender:
    """Appends whole lines to the segments of this process: after a failure there is no part of them."""

    def __init__(self, folder: Path, *, fsync: bool, opened: Callable[[], None] = lambda: None) -> None:
        """Write to a folder; `opened` is called when a segment begins."""
        self._folder, self._fsync, self._opened = folder, fsync, opened
        self._process = _new_name()
        self._hour = ""
        self._file: int | None = None
        # The length of the segment by what this process wrote.
        self._end = 0
        # Requests are answered in several threads.
        self._lock = threading.Lock()

    def append(self, hour: str, lines: bytes) -> None:
        """Append lines to the segment of an hour; raises OSError if they could not be written."""
        with self._lock:
            file = self._file
            if hour != self._hour or file is None:
                file = self._open(hour)
            self._write(file, lines)
            # It is longer if it was sealed. The process that did may have read it before these lines came: lines that
            # are in two segments count once.
            while os.lseek(file, 0, os.SEEK_CUR) != self._end:
                self._process = _new_name()
                file = self._open(hour)
                self._write(file, lines)

    def _write(self, file: int, lines: bytes) -> None:
        written = os.write(file, lines)
        try:
            if written < len(lines):
                _disk_is_full()
            if self._fsync:
                os.fdatasync(file)
        except OSError:
            self._undo(file)
            raise
        self._end += written

    def _undo(self, file: int) -> None:
        try:
            os.ftruncate(file, self._end)
            # By its length it is not sealed any more.
            is_usable = not is_sealed(os.fstat(file))
        except OSError:
            # What follows part of a line would be lost with it.
            is_usable = False
        if not is_usable:
            self._process, self._hour = _new_name(), ""

    def _open(self, hour: str) -> int:
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        # First: a segment without what this leaves beside it could not be read.
        self._opened()
        try:
            file = self._file = self._create(hour)
        except PermissionError:
            # It was sealed, or rewritten by another user, since it was closed.
            self._process = _new_name()
            file = self._file = self._create(hour)
        if self._fsync:
            _sync_folder(self._folder)
        self._hour = hour
        return file

    def _create(self, hour: str) -> int:
        path = self._folder / f"{hour}.{self._process}{ENDING}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, OPEN)
        state = os.fstat(file)
        if is_sealed(state):
            os.close(file)
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        self._end = state.st_size
        return file

    def close(self) -> None:
        """Close the segment."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def seal(segment: Path) -> None:
    """Let no process append to a segment any more: what is written to it from now on is also written elsewhere.

    Its mode says so to who opens it, and an empty line to who has it open: after each write that process looks whether
    the segment is longer than what it wrote, which takes a tenth of the time of asking for the mode.
    """
    # It may be sealed but for the line, if the process that did so was killed.
    segment.chmod(OPEN)
    with segment.open("ab", buffering=0) as file:
        os.fchmod(file.fileno(), SEALED)
        file.write(b"\n")


def is_sealed(state: os.stat_result) -> bool:
    """Say whether a segment is sealed."""
    return not state.st_mode & 0o200


def _new_name() -> str:
    return os.urandom(4).hex()


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
