"""Fairness: rates differ between groups of sensitive columns by no more than the limits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import norm

from assay.base.outcomes import Outcome, Verdict, combined
from assay.base.rounding import significant
from assay.data.columns import columns
from assay.evaluation.behaviour import SMALLEST_GROUP, fairness
from assay.evaluation.metrics import Metric, ScoredRows, compare, estimate
from assay.evaluation.slices import groups, readable
from assay.gates.comparing import compare_with_limit, interval_options, not_compared
from assay.gates.evidence import ModelEvidence
from assay.statistics.bootstrap import Weights

MOST_LISTED = 10

Pick = Callable[[ScoredRows], np.ndarray]


def judge(evidence: ModelEvidence) -> Outcome:
    """Compare the largest difference between groups with the limit, and each group with what the champion does to it.

    A difference that is only perhaps above the limit holds a first model, and a later one if it is conclusively larger
    than the champion's. A group is compared with all other rows: its rate must not move away from theirs by more than
    the margin. Intervals are corrected for the number of groups and rates (Bonferroni). A group with too few rows to
    show that is reported, and counts only if it is conclusively worse off.
    """
    contract, limits = evidence.contract, evidence.params.gates.fairness
    if not contract.sensitive:
        return Outcome("fairness", "SKIP", "contract.yaml names no sensitive column")
    data = readable(columns(evidence.test, contract, contract.sensitive), contract)
    grouped = {name: groups(data[name], name, contract) for name in contract.sensitive}
    ours = _numbered(evidence.candidate.test)
    metrics = [metric for name, values in grouped.items() for metric in _gaps(name, values, ours, contract.task)]
    if not metrics:
        return Outcome(
            "fairness", "HOLD", f"no sensitive column has two groups with at least {SMALLEST_GROUP} test rows"
        )
    found = estimate(ours, metrics, **interval_options(evidence))
    theirs = evidence.champion_predictions
    checks = []
    for metric in metrics:
        value = found[metric.name]
        verdict, said = compare_with_limit(value, limits.difference or 0.0, higher_is_better=False)
        # A difference of rates is never negative, and above zero by chance alone.
        verdict = verdict if verdict == "REJECT" or value.value > (limits.difference or 0.0) else "PROMOTE"
        reason = (
            f"{metric.name} differ by {value.value:.3f} ({value.low:.3f} to {value.high:.3f}), {said} the limit of "
            f"{limits.difference:g}"
        )
        if verdict == "HOLD" and theirs is not None:
            pair = (ours, _numbered(theirs.test))
            more = compare(pair, [metric], **interval_options(evidence))[metric.name]
            verdict = "HOLD" if more.low > 0 else "PROMOTE"
            larger = "larger" if more.low > 0 else "not conclusively larger"
            reason += f"; {larger} than the champion's: {more.value:+.3f} ({more.low:+.3f} to {more.high:+.3f})"
        checks.append(Outcome(metric.name, verdict, reason, {}, {"difference": limits.difference}))
    checks.append(not_compared(evidence) if theirs is None else beside_champion(evidence, theirs.test, grouped))
    outcome = combined("fairness", checks)
    outcome.measured["columns"] = fairness(evidence.candidate.test, contract, grouped)
    judged = {metric.name for metric in metrics}
    all_rates = [f"{rate} by {name}" for name in grouped for rate in RATES[contract.task]]
    if few := [one for one in all_rates if one not in judged]:
        said = f"; not judged, since fewer than two groups have {SMALLEST_GROUP} rows that count: {', '.join(few)}"
        outcome = replace(outcome, reason=outcome.reason + said)
    return outcome


def beside_champion(evidence: ModelEvidence, theirs: ScoredRows, grouped: Mapping[str, np.ndarray]) -> Outcome:
    """Compare how far each group is from all other rows with how far the champion leaves it."""
    ours, margin = evidence.candidate.test, evidence.params.gates.fairness.margin or 0.0
    confidence = evidence.params.gates.quality.confidence or 0.95
    units = np.arange(len(ours.target)) if evidence.units is None else evidence.units
    found = []
    for name, values in grouped.items():
        for group in np.unique(values):
            inside = values == group
            for rate, (counted, among) in RATES[evidence.contract.task].items():
                base = among(ours)
                if min((base & inside).sum(), (base & ~inside).sum()) >= SMALLEST_GROUP:
                    hits = [np.asarray(counted(rows)[base], dtype=np.float64) for rows in (ours, theirs)]
                    found.append({"rate": rate, "group": f"{name} {group}", **_moved(hits, inside[base], units[base])})
    limit = {"margin": margin}
    changed = [one for one in found if one["error"] > 0 or one["difference"] > 0]
    if not changed:
        return Outcome("champion", "PROMOTE", "no decision about a group is different from the champion's", {}, limit)
    # Both ends of each interval, and the chance that a change that harms nobody is held, are corrected alike.
    z, power = norm.isf((1 - confidence) / 2 / len(found)), norm.isf((1 - confidence) / len(found))
    for one in changed:
        error = one.pop("error")
        one |= {"low": one["difference"] - z * error, "high": one["difference"] + z * error}
        one["told"] = bool((z + power) * error <= margin)
    worse = [one for one in changed if one["high"] > margin and one["low"] > 0]
    unsure = [one for one in changed if one["high"] > margin and one["told"] and one not in worse]
    few = [one for one in changed if not one["told"] and one not in worse]
    shown = sorted(worse or unsure or changed, key=lambda one: -one["difference"])
    top = shown[0]
    said = (
        f"{top['rate']} of {top['group']} ({top['rows']} rows) differ from those of all others by "
        f"{top['candidate']:.3f}, with the champion by {top['champion']:.3f}: difference {top['difference']:+.3f} "
        f"({confidence:.0%} interval, "
        f"corrected for {len(found)} comparisons, {top['low']:+.3f} to {top['high']:+.3f}, margin {margin:g})"
    )
    verdict: Verdict = "REJECT" if worse else "HOLD" if unsure else "PROMOTE"
    words = {
        "REJECT": "a group is worse off, which is worse than the champion's: ",
        "HOLD": "inconclusive whether a group is worse off than with the champion: ",
        "PROMOTE": "no group is shown to be worse off than with the champion; the largest difference: ",
    }
    names = sorted({one["group"] for one in few})
    listed = ", ".join(names[:MOST_LISTED]) + (", ..." if len(names) > MOST_LISTED else "")
    rest = f"; too few rows to tell within the margin: {listed}" if few else ""
    rows = [{key: significant(v) if isinstance(v, float) else v for key, v in one.items()} for one in shown]
    measured = {"compared": len(found), "too_few": names, "groups": rows[:MOST_LISTED]}
    return Outcome("champion", verdict, f"{words[verdict]}{said}{rest}", measured, limit)


def _moved(hits: Sequence[np.ndarray], inside: np.ndarray, units: np.ndarray) -> dict[str, Any]:
    """Return how far a group's rate is from that of all others, with both models, and the standard error of the change.

    Rows of one unit are not independent, so the error is that of the sums over each unit.
    """
    gaps = [rows[inside].mean() - rows[~inside].mean() for rows in hits]
    change = hits[0] - hits[1]
    off = np.where(inside, change - change[inside].mean(), change[~inside].mean() - change)
    off /= np.where(inside, inside.sum(), (~inside).sum())
    sums = np.bincount(np.unique(units, return_inverse=True)[1], off)
    return {
        "rows": int(inside.sum()),
        "candidate": float(abs(gaps[0])),
        "champion": float(abs(gaps[1])),
        "difference": float(abs(gaps[0]) - abs(gaps[1])),
        "error": float(np.sqrt((sums**2).sum() * len(sums) / max(len(sums) - 1, 1))),
    }


def _numbered(rows: ScoredRows) -> ScoredRows:
    """Return the rows with their row numbers as scores, so that metrics on resampled parts can find the groups."""
    return ScoredRows(rows.target, np.arange(len(rows.target), dtype=np.float64), rows.decision)


def _gaps(name: str, values: np.ndarray, rows: ScoredRows, task: str) -> list[Metric]:
    """Return a metric for each rate: the largest difference between two groups.

    Only groups with at least 30 rows in the denominator of the rate count.
    """
    made = []
    for rate, (counted, among) in RATES[task].items():
        base = among(rows)
        kinds, counts = np.unique(values[base], return_counts=True)
        large = [values == kind for kind, count in zip(kinds, counts, strict=True) if count >= SMALLEST_GROUP]
        if len(large) > 1:
            made.append(Metric(f"{rate} by {name}", False, _gap(large, counted, among)))
    return made


def _gap(members: list[np.ndarray], counted: Pick, among: Pick) -> Callable[[ScoredRows, Weights], np.ndarray]:
    def gap(rows: ScoredRows, weights: Weights) -> np.ndarray:
        number = rows.scores.astype(np.int64)
        base, hits = among(rows), counted(rows)
        rates = []
        for member in members:
            within = weights[:, (chosen := base & member[number])]
            with np.errstate(invalid="ignore"):
                rates.append(within @ hits[chosen] / within.sum(axis=1))
        # A group without rows in a resample has no rate.
        known = np.array(rates)
        return np.asarray(
            np.where(np.isnan(known), -np.inf, known).max(0) - np.where(np.isnan(known), np.inf, known).min(0)
        )

    return gap


def _all(rows: ScoredRows) -> np.ndarray:
    return np.ones(len(rows.target), dtype=bool)


def _right(rows: ScoredRows) -> np.ndarray:
    return np.asarray(rows.decision == rows.target)


def _chosen(rows: ScoredRows) -> np.ndarray:
    return np.asarray(rows.decision == 1)


# For each task and rate: the numerator rows and the denominator rows.
CLASSES: dict[str, tuple[Pick, Pick]] = {"accuracies": (_right, _all)}
RATES: dict[str, dict[str, tuple[Pick, Pick]]] = {
    "regression": {"mean absolute errors": (lambda rows: np.abs(rows.decision - rows.target), _all)},
    "multiclass": CLASSES,
    "binary": {
        **CLASSES,
        "selection rates": (_chosen, _all),
        "true positive rates": (_chosen, lambda rows: rows.target == 1),
        "false positive rates": (_chosen, lambda rows: rows.target == 0),
    },
}
