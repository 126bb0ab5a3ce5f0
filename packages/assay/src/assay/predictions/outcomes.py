"""Outcomes: what came true of predictions, and the join of both."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from assay.inference.ids import time_of
from assay.predictions.entry import Outcome
from assay.predictions.segments import OUTCOMES, Appender, hour_name

# By this time the clock of the machine that made a prediction may be ahead.
AHEAD = timedelta(hours=1)


class OutcomeLog:
    """Writes outcomes to the disk."""

    def __init__(self, folder: Path) -> None:
        """Write nothing yet."""
        # There may be no other copy of an outcome: it is on the disk before it is acknowledged.
        self._segments = Appender(folder / OUTCOMES, fsync=True)
        self._encoder = msgspec.json.Encoder()

    def write(self, outcomes: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
        """Write outcomes by prediction id; return how many were written, and how many have an id of no prediction.

        Raises OSError if they cannot be written.
        """
        now = datetime.now(UTC)
        by_hour: defaultdict[str, list[Outcome]] = defaultdict(list)
        unknown = 0
        for one in outcomes:
            made = time_of(one["prediction_id"])
            if made is None or made > now + AHEAD:
                unknown += 1
            else:
                # In the hour of the prediction, so that both are read together.
                by_hour[hour_name(made)].append(Outcome(now, one["prediction_id"], one["outcome"]))
        for hour, found in sorted(by_hour.items()):
            self._segments.append(hour, self._encoder.encode_lines(found))
        return sum(map(len, by_hour.values())), unknown

    def close(self) -> None:
        """Close the file."""
        self._segments.close()
