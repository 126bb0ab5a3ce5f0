"""False alarms and delays of the monitor on simulated years, next to the rules of other tools on the same rows.

The world has 20 normal columns, two of them correlated, and a model whose probabilities are right. The reference has
5,000 rows, a day 500; as many requests are refused, fail and are slow as the limits allow. The other rules are written
as their tools define them: Kolmogorov-Smirnov at 5 %, and corrected for all columns and days of a year; the population
stability index; Evidently 0.7 (Wasserstein distance of at least 0.1 standard deviations, in any column or in half of
them); NannyML 0.13 (Jensen-Shannon distance above the mean and three standard deviations over ten chunks of the
reference, in any column).
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pyarrow as pa
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, wasserstein_distance

from assay.base.progress import track
from assay.contract.spec import Contract
from assay.export.reference import LOSS_STEPS, Reference, Scored, loss_steps, losses, make_reference
from assay.production.monitor import judge
from assay.production.requests import MEDIAN, SLOWEST, Requests
from assay.production.windows import Watch, look
from assay.project.limits import MOST_REFUSED
from assay.project.settings import Limits

COLUMNS, REFERENCE, ROWS, DAYS = 20, 5000, 500, 365
BEFORE, AFTER = 20, 40
LOSSES = np.arange(LOSS_STEPS + 1) / LOSS_STEPS
ERRORS = 0.01
LIMITS = Limits(errors=ERRORS, median_ms=20, p99_ms=100)
START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = [f"x{number}" for number in range(COLUMNS)]
# The checks of outcomes need one column only, and with one many more years can be simulated.
CONTRACT, OF_OUTCOMES = (
    Contract.model_validate(
        {
            "name": "simulated",
            "data": "data/x.csv",
            "task": "binary",
            "target": {"name": "y", "classes": ("no", "yes"), "positive": "yes"},
            "costs": {"false_positive": 1.0, "false_negative": 4.0},
            "columns": {name: {"kind": "number"} for name in names},
        },
        strict=False,
    )
    for names in (NAMES, NAMES[:1])
)
Size = Callable[[int], float]


@dataclass(frozen=True)
class Day:
    """Columns, the probability that the model gives, and the outcomes."""

    values: np.ndarray
    positive: np.ndarray
    outcome: np.ndarray


@dataclass(frozen=True)
class Change:
    """A change: the shift of a column, a correlation, the share of flipped outcomes, given the days since it began."""

    name: str
    shift: Size = lambda _: 0.0
    correlation: Size = lambda _: 0.5
    flipped: Size = lambda _: 0.0
    rows: int = ROWS
    days: int = AFTER


def _day(rng: np.random.Generator, rows: int, change: Change, since: int) -> Day:
    changed = since >= 0
    correlation = change.correlation(since) if changed else 0.5
    values = rng.normal(size=(rows, COLUMNS))
    values[:, 1] = correlation * values[:, 0] + np.sqrt(1 - correlation**2) * values[:, 1]
    values[:, 3] += change.shift(since) if changed else 0.0
    positive = 1 / (1 + np.exp(1.5 - 1.5 * values[:, 0] - values[:, 2]))
    flips = rng.random(rows) < (change.flipped(since) if changed else 0.0)
    return Day(values, positive, ((rng.random(rows) < positive) ^ flips).astype(int))


def _scored(day: Day) -> Scored:
    scores = np.stack([1 - day.positive, day.positive], axis=1)
    return Scored(scores, (day.positive >= 0.2).astype(int))


def _table(day: Day) -> pa.Table:
    return pa.table(dict(zip(NAMES, day.values.T.copy(), strict=True)))


def _batch(day: Day, number: int) -> pa.RecordBatch:
    rows, scored = len(day.positive), _scored(day)
    times = np.datetime64("2026-01-01", "us") + np.timedelta64(number, "D")
    label = np.array(["no", "yes"])
    return pa.RecordBatch.from_pydict(
        {
            "prediction_id": pa.array([f"{number}-{row}" for row in range(rows)]),
            "time": pa.array(np.repeat(times, rows), pa.timestamp("us", tz="UTC")),
            "version": pa.array(["v"] * rows),
            "contract": pa.array(["c"] * rows),
            "inputs": pa.StructArray.from_arrays([pa.array(x) for x in day.values.T.copy()], names=NAMES),
            "prediction": pa.array(label[scored.scores.argmax(axis=1)]),
            "decision": pa.array(label[scored.decision]),
            "probabilities": pa.StructArray.from_arrays([pa.array(p) for p in scored.scores.T.copy()], ["no", "yes"]),
            "outcome": pa.array(label[day.outcome]),
        }
    )


def _requests(rng: np.random.Generator, start: datetime, rows: int) -> Requests:
    """Return the requests of a day, of which as many are refused, fail and are slow as the limits allow."""
    refused, failed, median, p99 = rng.binomial(rows, [MOST_REFUSED, ERRORS, MEDIAN, SLOWEST]).tolist()
    slow, answered = Counter({"20": median, "100": p99}), rows - refused - failed
    return Requests(start, answered, failed, timed=rows, slow=slow, refused=Counter({"contract": refused}))


def _reference(day: Day, contract: Contract) -> Reference:
    scored = _scored(day)
    return make_reference(
        contract, _table(day), scored, (scored, day.outcome), dict.fromkeys(("features", "scores", "losses"), REFERENCE)
    )


class Rules:
    """The rules of other tools; `alarms` says which of them would raise an alarm for a day."""

    def __init__(self, reference: np.ndarray) -> None:
        """Learn from the reference what each rule compares with."""
        self.reference = reference
        self.edges = np.quantile(reference, np.linspace(0, 1, 11), axis=0)[1:-1]
        self.shares = self._shares(reference)
        self.fine = [np.histogram_bin_edges(column, bins=50) for column in reference.T]
        chunks = [self._jensen_shannon(chunk) for chunk in np.array_split(reference, 10)]
        self.usual = np.mean(chunks, axis=0) + 3 * np.std(chunks, axis=0)

    def _shares(self, values: np.ndarray) -> np.ndarray:
        parts = [np.bincount(np.searchsorted(e, x), minlength=10) for e, x in zip(self.edges.T, values.T, strict=True)]
        return np.maximum(np.array(parts) / len(values), 1e-4)

    def _jensen_shannon(self, values: np.ndarray) -> np.ndarray:
        found = []
        for edges, old, new in zip(self.fine, self.reference.T, values.T, strict=True):
            found.append(jensenshannon(np.histogram(old, edges)[0] + 1e-9, np.histogram(new, edges)[0] + 1e-9, base=2))
        return np.array(found)

    def alarms(self, values: np.ndarray) -> dict[str, bool]:
        """Return which rules raise an alarm."""
        pairs = list(zip(self.reference.T, values.T, strict=True))
        p = np.array([ks_2samp(old, new, method="asymp").pvalue for old, new in pairs])
        far = np.array([wasserstein_distance(old, new) / old.std() for old, new in pairs]) >= 0.1
        shares = self._shares(values)
        stability = ((shares - self.shares) * np.log(shares / self.shares)).sum(axis=1)
        return {
            "KS, p < 0.05": bool((p < 0.05).any()),
            "KS, corrected": bool((p < 1 / (COLUMNS * DAYS)).any()),
            "PSI > 0.1": bool((stability > 0.1).any()),
            "PSI > 0.2": bool((stability > 0.2).any()),
            "Evidently, any column": bool(far.any()),
            "Evidently, half of the columns": bool(far.mean() >= 0.5),
            "NannyML, any column": bool((self._jensen_shannon(values) > self.usual).any()),
        }


def run(
    seed: int, change: Change, before: int, after: int, *, own: bool, contract: Contract = CONTRACT
) -> dict[str, list[int]]:
    """Return the days of the alarms of each check and rule, in a world that changes after `before` days.

    `own` leaves out the rules of other tools, which take most of the time.
    """
    rng = np.random.default_rng(seed)
    nothing = Change("nothing")
    base = _day(rng, REFERENCE, nothing, -1)
    rules, found = Rules(base.values), dict[str, list[int]]()
    end = START + timedelta(days=before + after)
    watch = Watch(contract, _reference(base, contract), "v", START, end, end, limits=LIMITS)

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(before + after):
            day = _day(rng, change.rows, change, number - before)
            for rule, alarm in rules.alarms(day.values).items() if not own else ():
                found.setdefault(rule, []).extend([number] * alarm)
            yield _batch(day, number)

    windows = look(batches(), watch).windows
    for one in judge(watch, windows, [_requests(rng, window.start, change.rows) for window in windows]):
        days = [(datetime.fromisoformat(day).replace(tzinfo=UTC) - START).days for day in one.measured["alarms"]]
        found[f"assay: {one.check}"] = days
    found["assay"] = sorted({day for name, days in found.items() if name.startswith("assay: ") for day in days})
    return found


def _flipped(more: float) -> float:
    """Return the share of outcomes to flip so that the Brier score rises by the share `more`."""
    positive = _day(np.random.default_rng(0), 200_000, Change("nothing"), -1).positive
    return float(more * (positive * (1 - positive)).mean() / ((1 - 2 * positive) ** 2).mean())


def _value(flipped: float) -> float:
    """Return the share of the model's value, the Brier score it saves, that is lost if outcomes are flipped."""
    positive = _day(np.random.default_rng(0), 200_000, Change("nothing"), -1).positive
    own, dummy = (positive * (1 - positive)).mean(), positive.mean() * (1 - positive.mean())
    return float(flipped * ((1 - 2 * positive) ** 2).mean() / (dummy - own))


@cache
def _loss_shares(flipped: float) -> np.ndarray:
    """Return the shares of rows that have each surprise, if a share of outcomes is flipped."""
    day = _day(np.random.default_rng(0), 200_000, Change("nothing"), -1)
    true = day.positive * (1 - flipped) + (1 - day.positive) * flipped
    scored, rows = _scored(day), len(true)
    found = [losses(scored, np.full(rows, outcome), CONTRACT, 1.0)["surprise"] for outcome in (1, 0)]
    steps = loss_steps(np.concatenate(found))[:, 0]
    return np.bincount(steps, np.concatenate([true, 1 - true]), LOSS_STEPS + 1) / rows


def _rate(shares: np.ndarray, bound: float) -> float:
    """Return how fast the best bet on a mean above a bound grows, per row whose losses have these shares.

    It is the least Kullback-Leibler divergence to a distribution whose mean is at most the bound.
    """
    found = minimize_scalar(
        lambda stake: -shares @ np.log1p(stake * (LOSSES - bound)), bounds=(0, 1 / bound), method="bounded"
    )
    return max(float(-found.fun), 0.0)


def earliest(change: Change) -> int | None:
    """Return the first day on which a detector of a higher mean surprise can find a change, None if it cannot.

    It knows the promised surprise, and the change beforehand. With at most one false alarm a year it needs a likelihood
    ratio of 365 (Lorden 1971, to the first order).
    """
    promised, evidence = float(_loss_shares(0.0) @ LOSSES), 0.0
    for day in range(change.days):
        evidence += change.rows * _rate(_loss_shares(change.flipped(day)), promised)
        if evidence >= np.log(DAYS):
            return day + 1
    return None


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=20)
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--outcome-years", type=int, default=100, help="quiet years for the checks of outcomes alone")
    parser.add_argument("--own", action="store_true", help="leave out the rules of other tools")
    asked = parser.parse_args()
    half = _flipped(0.2)
    changes = [
        Change("0.3 sd in one column", shift=lambda _: 0.3),
        Change("correlation 0.5 to -0.2", correlation=lambda _: -0.2),
        Change("loss +20 %, 500 outcomes a day", flipped=lambda _: half),
        Change("loss +20 %, 1,500 outcomes a day", flipped=lambda _: half, rows=1500, days=20),
        Change("loss +20 %, 5,000 outcomes a day", flipped=lambda _: half, rows=5000, days=12),
        Change("+1 sd over 180 days", shift=lambda day: min(day / 180, 1), days=180),
        Change("loss +40 % over 180 days", flipped=lambda day: 2 * half * min(day / 180, 1), days=180),
    ]
    quiet = [
        run(seed, Change("nothing"), DAYS, 0, own=asked.own) for seed in track(range(asked.years), asked.years, "years")
    ]
    checks = {name: sum(len(year[name]) for year in quiet) for name in quiet[0] if name.startswith("assay: ")}
    print(f"{asked.years} quiet years: {checks}; delays are looks (median, 95th percentile) over {asked.worlds} worlds")
    for rows in (5, 50, ROWS):
        years = track(range(asked.outcome_years), asked.outcome_years, f"years of {rows} outcomes a day")
        found = [run(seed, Change("nothing", rows=rows), DAYS, 0, own=True, contract=OF_OUTCOMES) for seed in years]
        sums = {name: sum(len(year[f"assay: {name}"]) for year in found) for name in ("loss", "surprise", "cost")}
        print(f"{asked.outcome_years} quiet years of {rows} outcomes a day: alarms {sums}", flush=True)
    names = [name for name in quiet[0] if not name.startswith("assay: ")]
    table = {name: [f"{np.mean([len(year[name]) for year in quiet]):.2f}"] for name in names}
    for change in changes:
        worlds = track(range(asked.worlds), asked.worlds, change.name)
        made = [run(1000 + seed, change, BEFORE, change.days, own=asked.own) for seed in worlds]
        for name in names:
            delays = [next((day - BEFORE + 1 for day in one[name] if day >= BEFORE), None) for one in made]
            table[name].append(_delays(delays))
        print(f"{change.name}: found at look {table['assay'][-1]}", flush=True)
        if change.name.startswith("loss"):
            soonest = earliest(change)
            print(f"{change.name}: a detector that knows the promised surprise needs {soonest} looks")
        if "over" in change.name and change.name.startswith("loss"):
            late = [next((day - BEFORE for day in one["assay"] if day >= BEFORE), change.days) for one in made]
            for who, day in (
                ("the monitor", int(np.median(late))),
                ("the best detector", (soonest or change.days) - 1),
            ):
                lost = [_value(change.flipped(earlier)) for earlier in range(day + 1)]
                print(
                    f"{change.name}: when found by {who}, {lost[-1]:.1%} of the model's value a day is lost, and "
                    f"{sum(lost) / DAYS:.2%} of its value a year"
                )
    header = ["rule", "alarm days a year", *(change.name for change in changes)]
    print("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    for name, cells in table.items():
        print(f"| {name} | " + " | ".join(cells) + " |")


def _delays(delays: list[int | None]) -> str:
    found = sorted(one for one in delays if one is not None)
    if len(found) < len(delays) / 2:
        return "never"
    late = [*found, *([10**6] * (len(delays) - len(found)))]
    last = late[int(np.ceil(0.95 * len(late))) - 1]
    return f"{np.median(late):.0f} ({last if last < 10**6 else 'never'})"


if __name__ == "__main__":
    main()
