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
from assay.predictions.segments import REQUESTS, Appender, believed, belongs, hour_name, hours, retire

if TYPE_CHECKING:
    # The service writes counts, without pyarrow.
    from assay.predictions.read import LogCounts

# The endpoints whose requests count, and the answers whose latency does.
ENDPOINTS, TIMED = {"/predict", "/explain", "/feedback"}, ("/predict", 200)
# What else is counted.
LABELLED, UNLOGGED = {"refused", "violations", "unknown"}, "dropped"
# A request with a status from REFUSED on was refused, and with one from FAILED on it failed. TOO_MANY counts as failed,
# too: middleware answers it when the service is busy, and the client did nothing wrong.
REFUSED, FAILED, TOO_MANY = 400, 500, 429


class RequestLog:
    """Adds up requests, and writes the sums to a folder.

    Latency, and rows that could not be logged, count for the model that predicted. The rest counts for the model in
    use, also what a challenger answered: a share of requests is one of all requests.
    """

    def __init__(self, folder: Path, version: str, limits: Sequence[float], days: int) -> None:
        """Write nothing yet; `limits` are milliseconds above which a prediction is slow.

        `version` is that of the model in use.
        """
        self._folder, self._version, self._days = folder / REQUESTS, version, days
        self._limits = {f"{limit:g}": limit / 1000 for limit in limits}
        self._segments = Appender(self._folder, fsync=False, opened=self._begin)
        self._encoder = msgspec.json.Encoder()
        self._lines: dict[str, Counted] = {}

    def add(self, answered: Mapping[tuple[str, int, str], Sequence[float]]) -> None:
        """Add requests that were answered: by path, status and version, how many seconds each took.

        The version is that of the model that predicted, empty if none did.
        """
        for (path, status, version), seconds in answered.items():
            # What was refused is counted by its reason.
            has_failed = status >= FAILED or status == TOO_MANY
            if path not in ENDPOINTS or (status >= REFUSED and not has_failed):
                continue
            line = self._line(self._version)
            if has_failed:
                line.failed += len(seconds)
                continue
            line.answered += len(seconds)
            if (path, status) == TIMED:
                line = self._line(version)
                line.timed += len(seconds)
                for name, limit in self._limits.items():
                    if number := sum(one > limit for one in seconds):
                        line.slow[name] = line.slow.get(name, 0) + number

    def add_events(self, events: Mapping[tuple[str, ...], int]) -> None:
        """Add other events, as Prometheus counts them."""
        for event, number in events.items():
            if event[0] == UNLOGGED and number:
                self._line(event[1]).unlogged += number
            elif event[0] in LABELLED:
                counts = getattr(self._line(self._version), event[0])
                counts[event[1]] = counts.get(event[1], 0) + number

    def _line(self, version: str) -> Counted:
        """Return the sums of a version."""
        if version not in self._lines:
            self._lines[version] = Counted(datetime.now(UTC), version)
        return self._lines[version]

    def write(self) -> None:
        """Write what was counted; raises OSError if that is impossible, and keeps it for the next time."""
        now = datetime.now(UTC)
        if lines := [msgspec.structs.replace(line, time=now) for line in self._lines.values()]:
            self._segments.append(hour_name(now), self._encoder.encode_lines(lines))
        self._lines = {}

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
    for hour, segments in hours(folder / REQUESTS, since, until):
        seen: set[bytes] = set()
        for segment in segments:
            for line, one in lines(segment, lambda line: (line, decoder.decode(line)), counts):
                if line in seen:
                    counts.doubled += 1
                elif not belongs(one.time, hour):
                    counts.foreign += 1
                elif since <= one.time < until:
                    seen.add(line)
                    yield one
