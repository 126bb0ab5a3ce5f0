"""Counts of requests beside the predictions: what the service answered, refused and failed to answer.

They hold nothing that a client sent, and a process writes a line a minute at most: so nobody can fill the disk with
requests that are refused. What was counted in the last minute is lost if the process is killed.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from assay.predictions.entry import Counted
from assay.predictions.segments import REQUESTS, Appender, believed, hour_name, hours, retire

if TYPE_CHECKING:
    # The service writes counts, without pyarrow.
    from assay.predictions.read import LogCounts

# A path, a status, and the version of the model that predicted: empty if none did.
Kind = tuple[str, int, str]
# The endpoints whose requests count, and the answers whose latency does.
ENDPOINTS, TIMED = {"/predict", "/explain", "/feedback"}, ("/predict", 200)
# What else is counted.
UNLOGGED = "dropped"
EVENTS = {"refused", "violations", "unknown", UNLOGGED}
# From which status on a request is refused, and from which on it failed.
REFUSED, FAILED = 400, 500


class RequestLog:
    """Adds up requests by the version of the model, and writes the sums to a folder."""

    def __init__(self, folder: Path, version: str, limits: Sequence[float], days: int) -> None:
        """Write nothing yet; `limits` are milliseconds above which a prediction is slow.

        `version` is that of the model in use: requests that no model answered count under it.
        """
        self._folder, self._version, self._days = folder / REQUESTS, version, days
        self._limits = {f"{limit:g}": limit / 1000 for limit in limits}
        self._segments = Appender(self._folder, fsync=False, opened=self._begin)
        self._least = min(self._limits.values(), default=float("inf"))
        self._encoder = msgspec.json.Encoder()
        self._requests: dict[Kind, int] = {}
        self._slow: dict[tuple[str, str], int] = {}
        self._events: dict[tuple[str, ...], int] = {}

    def add(self, requests: Mapping[Kind, list[float]], events: Mapping[tuple[str, ...], int]) -> None:
        """Add the seconds of requests, and other events as Prometheus counts them.

        It is called once a turn of the event loop, so it does as little as possible.
        """
        for key, seconds in requests.items():
            self._requests[key] = self._requests.get(key, 0) + len(seconds)
            if max(seconds) > self._least and key[:2] == TIMED:
                for name, limit in self._limits.items():
                    slow = key[2], name
                    self._slow[slow] = self._slow.get(slow, 0) + sum(one > limit for one in seconds)
        for event, number in events.items():
            if event[0] in EVENTS:
                self._events[event] = self._events.get(event, 0) + number

    def write(self) -> None:
        """Write what was counted; raises OSError if that is impossible, and keeps it for the next time."""
        now = datetime.now(UTC)
        versions = {self._version, *(version for *_, version in self._requests), *self._labelled(UNLOGGED)} - {""}
        lines = [self._counted(now, version) for version in sorted(versions)]
        if lines := [line for line in lines if line != Counted(now, line.version)]:
            self._segments.append(hour_name(now), self._encoder.encode_lines(lines))
        self._requests, self._slow, self._events = {}, {}, {}

    def _counted(self, now: datetime, version: str) -> Counted:
        """Return the sums of a version."""
        versions = {version, ""} if version == self._version else {version}
        asked = {key: number for key, number in self._requests.items() if key[0] in ENDPOINTS and key[2] in versions}
        line = Counted(
            now,
            version,
            answered=sum(number for (_, status, _), number in asked.items() if status < REFUSED),
            failed=sum(number for (_, status, _), number in asked.items() if status >= FAILED),
            unlogged=self._labelled(UNLOGGED).get(version, 0),
            timed=sum(number for key, number in asked.items() if key[:2] == TIMED),
            slow={limit: number for (by, limit), number in self._slow.items() if by in versions and number},
        )
        if version == self._version:
            line.refused, line.violations, line.unknown = map(self._labelled, ("refused", "violations", "unknown"))
        return line

    def _labelled(self, name: str) -> dict[str, int]:
        return {event[1]: number for event, number in self._events.items() if event[0] == name and number}

    def _begin(self) -> None:
        now = believed(self._folder, datetime.now(UTC), self._days)
        retire(self._folder, now - timedelta(days=self._days))

    def close(self) -> None:
        """Close the file."""
        self._segments.close()


def counted(folder: Path, counts: "LogCounts", since: datetime, until: datetime) -> Iterator[Counted]:
    """Yield the counts of a log from some time on and before another one."""
    from assay.predictions.read import lines

    decoder = msgspec.json.Decoder(Counted)
    for _, segments in hours(folder / REQUESTS, since, until):
        seen: set[bytes] = set()
        for segment in segments:
            for line, one in lines(segment, lambda line: (line, decoder.decode(line)), counts):
                if line in seen:
                    counts.doubled += 1
                elif since <= one.time < until:
                    seen.add(line)
                    yield one
