"""What the monitor says about requests: how many were refused, failed or slow. Pure: counts in, findings out."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from assay.base.words import number, percent
from assay.predictions.entry import Counted
from assay.production.finding import BETS, DAYS_A_YEAR, FEWEST, Finding, day_name, history, share_percent, standing
from assay.production.windows import Watch
from assay.project.limits import MOST_REFUSED
from assay.project.settings import Limits
from assay.statistics.sequential import detect, growth, growth_table

# Reasons that strangers can cause, who have no right to use the service; and those that count as failures.
STRANGERS, FAILURES = {"unauthorised", "method"}, {"overload", "log"}
# The largest shares of predictions that take longer than the limits of the median and the 99th percentile.
MEDIAN, SLOWEST = 0.5, 0.01
# Nobody can bet against a limit of 0.
SMALLEST = 1e-4
NAMED = 3
OF_THE_CHAMPION = "requests count for the champion, which this version was not"
# The limits of each check.
LIMITS = {"failed": ("errors",), "slow": ("median_ms", "p99_ms")}


@dataclass
class Requests:
    """The requests of a day."""

    start: datetime
    answered: int = 0
    failed: int = 0
    timed: int = 0
    unlogged: int = 0
    slow: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)

    @property
    def wrong(self) -> int:
        """How many were refused for what a client sent who may use the service."""
        return sum(count for reason, count in self.refused.items() if reason not in STRANGERS | FAILURES)

    @property
    def rows(self) -> int:
        """How many there were, without those of strangers."""
        return self.answered + self.failed + self.wrong


@dataclass(frozen=True)
class Share:
    """How many of how many requests were of a kind on each day; `words` name it, and `most` is the largest share."""

    words: str
    most: float
    days: Sequence[tuple[int, int]]

    def of(self, since: int) -> float:
        """Return the share from a day on."""
        return sum(some for some, _ in self.days[since:]) / max(self.total(since), 1)

    def total(self, since: int) -> int:
        """Return how many requests there were from a day on."""
        return sum(count for _, count in self.days[since:])


def requests_by_day(counted: Iterable[Counted], version: str) -> list[Requests]:
    """Return the requests that a version of the model got, day by day."""
    days: dict[datetime, Requests] = {}
    for one in counted:
        if one.version == version:
            start = one.time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            day = days.setdefault(start, Requests(start))
            for name in ("answered", "failed", "timed", "unlogged"):
                setattr(day, name, getattr(day, name) + getattr(one, name))
            for name in ("slow", "refused", "violations"):
                getattr(day, name).update(getattr(one, name))
    return [days[start] for start in sorted(days)]


def judge_requests(watch: Watch, days: Sequence[Requests], limit: float) -> list[Finding]:
    """Judge requests; where none were counted, as in the log of `assay score`, there is nothing to judge."""
    if not days:
        return []
    limits = watch.limits
    refused = [Share("were refused", MOST_REFUSED, [(day.wrong, day.rows) for day in days])]
    failed = [
        Share("failed", most, [(day.failed, day.rows) for day in days]) for most in [limits.errors] if most is not None
    ]
    slow = [
        Share(f"took more than {number(ms)} ms", most, [(day.slow[f"{ms:g}"], day.timed) for day in days])
        for ms, most in ((limits.median_ms, MEDIAN), (limits.p99_ms, SLOWEST))
        if ms is not None
    ]
    shares = {"refused": refused, "failed": failed, "slow": slow}
    return [_judge(check, found, days, limit, watch) for check, found in shares.items()]


def _unwatched(check: str, limits: Limits) -> str:
    """Say what a check does not watch because it has no limit."""
    unset = [name for name in LIMITS.get(check, ()) if getattr(limits, name) is None]
    named = " and ".join(f"gates.service.{name}" for name in unset)
    return f"not watched without a limit: set {named} in params.yaml, and train again" if unset else ""


def _judge(check: str, shares: Sequence[Share], days: Sequence[Requests], limit: float, watch: Watch) -> Finding:
    about = {"false_alarms_a_year": DAYS_A_YEAR / limit, **{one.words: one.most for one in shares}}
    unwatched = _unwatched(check, watch.limits)
    if not shares:
        return Finding(check, "SKIP", unwatched, {}, about)
    rows = shares[0].total(0)
    if not rows and not any(day.answered or day.failed or day.refused for day in days):
        return Finding(check, "SKIP", OF_THE_CHAMPION, {}, about)
    measured: dict[str, Any] = {"requests": rows, **{one.words: one.of(0) for one in shares}}
    if rows < FEWEST:
        return Finding(check, "HOLD", f"{rows:,} requests are too few to tell; {FEWEST} are needed", measured, about)
    bounds = np.array([min(max(one.most, SMALLEST), 1.0) for one in shares])
    table = growth_table(np.array([0.0, 1.0]), bounds, BETS)
    counts = (
        np.array([[one.days[day][1] - one.days[day][0], one.days[day][0]] for one in shares])
        for day in range(len(days))
    )
    course = detect((growth(table, one) for one in counts), limit)
    stands = standing(course, days, watch.until)
    since = stands[1] if stands else 0
    reason = "; ".join(
        f"{share_percent(one.of(since))} of {one.total(since):,} requests {one.words}, at most {percent(one.most)}"
        for one in shares
    )
    if check == "refused":
        reason += _why(days[since:])
    reason += f"; {unwatched}" * bool(unwatched)
    measured |= history(course, days)
    if stands:
        day = day_name(days[since].start)
        return Finding(check, "ALARM", f"since {day}: {reason}", measured | {"since": day}, about)
    return Finding(check, "WELL", reason, measured, about)


def _why(days: Sequence[Requests]) -> str:
    """Say why requests were refused, and which columns broke the contract."""
    reasons, columns = Counter[str](), Counter[str]()
    for day in days:
        reasons.update({reason: count for reason, count in day.refused.items() if reason not in FAILURES})
        columns.update(day.violations)
    said = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common(NAMED))
    named = ", ".join(f"{name or 'unknown ones'} {count:,}" for name, count in columns.most_common(NAMED))
    return f" (reasons: {said})" * bool(said) + f" (columns: {named})" * bool(named)
