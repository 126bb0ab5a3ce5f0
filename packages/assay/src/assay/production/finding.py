"""A finding of the monitor, and what all of its checks share: how long an alarm stands, and the course of evidence."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

import numpy as np

from assay.base.words import percent
from assay.production.windows import DAY
from assay.statistics.sequential import Alarm, Course

# SKIP is for what the project has set no limit for: it is not watched, and the rest decides.
State = Literal["SKIP", "WELL", "HOLD", "ALARM"]
SEVERITY: list[State] = ["SKIP", "WELL", "HOLD", "ALARM"]
DAYS_A_YEAR = 365
# How many bettors look at each side of a feature.
BETS = 8
# For so long after the last evidence an alarm stands.
STANDS = timedelta(days=7)
# With fewer rows there is not enough to tell.
FEWEST = 100


class Day(Protocol):
    """A day that is judged."""

    @property
    def start(self) -> datetime:
        """When it begins."""

    @property
    def rows(self) -> int:
        """How many rows, or requests, there were."""


@dataclass(frozen=True)
class Finding:
    """What a check found: its verdict, the reason in a sentence, what was measured, and the limits."""

    check: str
    verdict: State
    reason: str
    measured: dict[str, Any] = field(default_factory=dict)
    limit: dict[str, Any] = field(default_factory=dict)


def overall(findings: Sequence[Finding]) -> State:
    """Return ALARM if any check raises one, else HOLD if any holds, else WELL; HOLD if none judged anything.

    >>> overall([])
    'HOLD'
    """
    return max((one.verdict for one in findings if one.verdict != "SKIP"), key=SEVERITY.index, default="HOLD")


def standing(course: Course, windows: Sequence[Day], end: datetime) -> tuple[Alarm, int] | None:
    """Return the last alarm if it still stands at `end`, and the window in which the change seems to have begun.

    While a change lasts the alarm is raised again and again: it began where the first of these says.
    """
    if not course.alarms:
        return None
    last = first = course.alarms[-1]
    if end - windows[last.window].start > STANDS + DAY:
        return None
    for earlier in reversed(course.alarms):
        if windows[first.window].start - windows[earlier.window].start <= STANDS:
            first = earlier
    return last, first.since


def history(course: Course, windows: Sequence[Day]) -> dict[str, Any]:
    """Return the evidence after each day, as a share of what raises an alarm, at most 1; and the days of alarms."""
    shares = np.exp(np.minimum(course.evidence, 0.0))
    return {
        "evidence": [
            {"day": day_name(window.start), "rows": window.rows, "share": float(f"{share:.3g}")}
            for window, share in zip(windows, shares, strict=True)
        ],
        "alarms": [day_name(windows[alarm.window].start) for alarm in course.alarms],
    }


def share_percent(share: float) -> str:
    """Return a measured share in percent, in two digits."""
    return percent(float(f"{share:.2g}"))


def count_rows(count: int) -> str:
    """Return a number of rows."""
    return f"{count:,} {'row' if count == 1 else 'rows'}"


def day_name(moment: datetime) -> str:
    """Return the date of a time."""
    return f"{moment:%Y-%m-%d}"
