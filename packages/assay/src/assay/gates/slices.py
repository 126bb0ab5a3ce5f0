"""Slices: no slice gets worse behind a stable average, and none falls below its floor."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pyarrow as pa
from scipy.stats import false_discovery_control
from scipy.stats import t as student

from assay.base.config import did_you_mean
from assay.base.outcomes import Outcome, combined
from assay.base.rounding import significant
from assay.contract.spec import Contract
from assay.data.columns import columns
from assay.data.sample import sampled
from assay.evaluation.metrics import ScoredRows, estimate, metrics_for, take_rows
from assay.evaluation.slices import SEARCHED_ROWS, Slice, declared, discover, holds, part_columns, readable
from assay.gates.comparing import compare_with_limit, interval_options, not_compared, with_interval
from assay.gates.evidence import ModelEvidence, ModelPredictions
from assay.gates.findings import SLICES_LISTED, SliceFloor, SliceLoss, Slices
from assay.statistics.losses import row_losses

FEWEST_UNITS = 5
FEWEST_RESAMPLES_USED = 0.05
Parts = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Increase:
    """The mean increase in loss on a slice, its standard error and degrees of freedom, and the loss before."""

    rows: int
    before: float
    mean: float
    error: float
    freedom: int

    def p_above(self, margin: float) -> float:
        """Return the p-value of a one-sided t-test for an increase above a margin."""
        if self.error == 0:
            return float(self.mean <= margin)
        return float(student.sf((self.mean - margin) / self.error, self.freedom))

    def interval(self, level: float) -> tuple[float, float]:
        """Return the interval that misses the increase with this probability on each side."""
        half = float(student.isf(level, self.freedom)) * self.error
        return self.mean - half, self.mean + half


def judge(evidence: ModelEvidence) -> Outcome:
    """Compare the loss on each slice with the champion's, and the deciding metric on slices with their floors."""
    names = part_columns(evidence.contract)
    parts = readable(columns(evidence.test, evidence.contract, names), evidence.contract)
    stated = declared(evidence.contract, parts)
    compared = _against_champion(evidence, names, parts, stated)
    floors = _floors(evidence, {_name(part): holds(part, parts) for part in stated})
    if not floors:
        return compared
    # The checks by slice are measured as one table, next to the comparison with the champion.
    stated_floors = [one.measured for one in floors if one.measured]
    measured = (compared.measured or asdict(Slices(0, 0, 0, []))) | {"floors": stated_floors}
    return replace(combined("slices", [compared, *floors]), measured=measured)


def _against_champion(
    evidence: ModelEvidence, names: Sequence[str], parts: dict[str, np.ndarray], stated: Sequence[Slice]
) -> Outcome:
    """Compare the loss on each slice with the champion's.

    Slices are declared in the contract, or discovered on the validation rows where the candidate loses most; all are
    judged on the test rows. A slice is worse if a one-sided t-test shows that its mean loss rose by more than the
    margin, corrected for the number of slices (Benjamini and Hochberg 1995).
    """
    theirs = evidence.champion_predictions
    if theirs is None:
        outcome = not_compared(evidence)
        return Outcome("slices", outcome.verdict, outcome.reason)
    limits = evidence.params.gates.slices
    some = sampled(evidence.validation.num_rows, SEARCHED_ROWS, evidence.params.seed)
    suspects = discover(
        readable(columns(evidence.validation.take(pa.array(some)), evidence.contract, names), evidence.contract),
        np.maximum(_loss_added(evidence.candidate, theirs, "validation"), 0.0)[some],
        min_rows=round((limits.min_rows or 0) * len(some) / evidence.test.num_rows),
    )
    added = _loss_added(evidence.candidate, theirs, "test")
    before = row_losses(theirs.test.target, theirs.test.scores)
    margin = (limits.margin or 0.0) * float(before.mean())
    units = np.arange(len(added)) if evidence.units is None else evidence.units
    found: dict[str, Increase] = {}
    small = 0
    for part in [*stated, *suspects]:
        inside = holds(part, parts)
        if inside.sum() < (limits.min_rows or 0) or len(np.unique(units[inside])) < FEWEST_UNITS:
            small += 1
        else:
            found[_name(part)] = _increase(added[inside], before[inside], units[inside])
    if not found:
        return Outcome("slices", "SKIP", f"no slice has at least {limits.min_rows} test rows")
    rows = _judged(found, margin, limits.false_discovery_rate or 0.0)
    worse = sum(row.worse for row in rows)
    details = Slices(len(rows), small, worse, rows[:SLICES_LISTED])
    limit = {"margin": significant(margin), "false_discovery_rate": limits.false_discovery_rate}
    return Outcome("slices", "REJECT" if worse else "PROMOTE", _reason(rows, worse, margin), asdict(details), limit)


def _judged(found: Mapping[str, Increase], margin: float, rate: float) -> list[SliceLoss]:
    """Return the slices with corrected p-values and intervals, those that got worse first.

    The intervals are corrected for the selection of the slices that got worse (Benjamini and Yekutieli 2005, false
    coverage rate). So a slice is worse if its interval lies above the margin, and only then.
    """
    p = [one.p_above(margin) for one in found.values()]
    q = false_discovery_control(p)
    worse = q <= rate
    level = min(0.5, max(1, int(worse.sum())) * rate / len(found))
    rows = []
    for number, (name, one) in enumerate(found.items()):
        low, high = one.interval(level) if level else (-np.inf, np.inf)
        figures = {
            "champion": one.before,
            "candidate": one.before + one.mean,
            "difference": one.mean,
            "low": low,
            "high": high,
            "p": p[number],
            "q": q[number],
        }
        rounded = {key: significant(value) for key, value in figures.items()}
        rows.append(SliceLoss(slice=name, rows=one.rows, worse=bool(worse[number]), **rounded))
    return sorted(rows, key=lambda row: (not row.worse, -row.difference, row.slice))


def _floors(evidence: ModelEvidence, stated: Parts) -> list[Outcome]:
    """Compare the deciding metric on slices with their floors, with intervals corrected for their number."""
    limits, name = evidence.params.gates.slices, evidence.params.gates.quality.metric
    metric = next((one for one in metrics_for(evidence.contract) if one.name == name), None)
    if not limits.floors or metric is None:
        # The gate `quality` judges a metric that is not known.
        return []
    test, options = evidence.candidate.test, interval_options(evidence)
    options["confidence"] = 1 - (1 - options["confidence"]) / len(limits.floors)
    outcomes = []
    for slice_, floor in limits.floors.items():
        inside = stated.get(slice_)
        if inside is None:
            reason = (
                f"gates.slices.floors: {slice_!r} is no declared slice of the test rows{did_you_mean(slice_, stated)}"
            )
            outcomes.append(Outcome(slice_, "HOLD", reason))
            continue
        rows = take_rows(test, np.flatnonzero(inside))
        units = None if options["units"] is None else options["units"][inside]
        if few := _too_few(rows, units, evidence.contract, limits.min_rows or 0):
            reason = f"{slice_} has {few}, too few to compare {name} with its floor of {floor:g}"
            outcomes.append(Outcome(slice_, "HOLD", reason, limit={slice_: floor}))
            continue
        found = estimate(rows, [metric], **options | {"units": units})[metric.name]
        verdict, said = compare_with_limit(found, floor, higher_is_better=metric.higher_is_better)
        reason = f"{slice_}: {name} is {with_interval(found)}, {said} its floor of {floor:g}"
        shown = {name: significant(getattr(found, name)) for name in ("value", "low", "high")}
        measured = asdict(SliceFloor(slice_, len(rows.target), metric.name, floor=floor, **shown))
        outcomes.append(Outcome(slice_, verdict, reason, measured, {slice_: floor}))
    return outcomes


def _too_few(rows: ScoredRows, units: np.ndarray | None, contract: Contract, min_rows: int) -> str:
    """Return in words how few rows, classes or independent units there are, or "" if they suffice for an interval."""
    said = f"{len(rows.target)} test rows"
    if contract.classes and len(np.unique(rows.target)) < 2:
        return f"{said} of one class"
    if units is not None and (number := len(np.unique(units))) < FEWEST_UNITS:
        return f"{said} of {number} independent unit{'s' if number != 1 else ''}"
    if contract.classes:
        own = np.arange(len(rows.target)) if units is None else units
        having = [len(np.unique(own[rows.target == label])) for label in np.unique(rows.target)]
        # A resample has all classes with about this chance, and one without is drawn again.
        if np.prod(1 - np.exp(-np.array(having))) < FEWEST_RESAMPLES_USED:
            return f"{said} with hardly any of some classes"
    return said if len(rows.target) < min_rows else ""


def _name(part: Slice) -> str:
    return " and ".join(map(str, part))


def _reason(rows: Sequence[SliceLoss], worse: int, margin: float) -> str:
    top = rows[0]
    moved = (
        f"{top.slice}, {top.rows} rows: loss {top.champion:.4g} to {top.candidate:.4g} "
        f"(difference {top.difference:+.4f}, {top.low:+.4f} to {top.high:+.4f}, margin {margin:.2g})"
    )
    if worse:
        return f"{worse} of {len(rows)} slices got worse; the worst is {moved}"
    return f"none of {len(rows)} slices got worse; the largest increase is in {moved}"


def _loss_added(mine: ModelPredictions, theirs: ModelPredictions, rows: str) -> np.ndarray:
    ours, other = getattr(mine, rows), getattr(theirs, rows)
    return np.asarray(row_losses(ours.target, ours.scores) - row_losses(other.target, other.scores))


def _increase(added: np.ndarray, before: np.ndarray, units: np.ndarray) -> Increase:
    """Return the mean increase in loss on a slice; rows of one unit are not independent, so units are summed."""
    _, unit = np.unique(units, return_inverse=True)
    sums = np.bincount(unit, added)
    sizes = np.bincount(unit)
    mean = float(added.mean())
    # The residuals of a ratio of sums: Cochran 1977, Sampling Techniques, 6.
    off = sums - mean * sizes
    # Equal increases differ by rounding only.
    spread = 0.0 if np.ptp(added) == 0 else float((off**2).sum())
    error = float(np.sqrt(spread * len(sums) / max(len(sums) - 1, 1))) / len(added)
    return Increase(len(added), float(before.mean()), mean, error, len(sums) - 1)
