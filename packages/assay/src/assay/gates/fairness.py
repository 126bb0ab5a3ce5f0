"""Fairness: rates differ between groups of sensitive columns by no more than the limits."""

from collections.abc import Callable

import numpy as np

from assay.base.outcomes import Outcome, combined
from assay.data.columns import columns
from assay.evaluation.behaviour import SMALLEST_GROUP, fairness
from assay.evaluation.metrics import Metric, ScoredRows, compare, estimate
from assay.evaluation.slices import groups, readable
from assay.gates.comparing import compare_with_limit, interval_options, non_inferiority, not_compared
from assay.gates.evidence import ModelEvidence
from assay.statistics.bootstrap import Weights

Pick = Callable[[ScoredRows], np.ndarray]


def judge(evidence: ModelEvidence) -> Outcome:
    """Compare the largest difference between groups, per rate and sensitive column, with limit and champion."""
    contract, limits = evidence.contract, evidence.params.gates.fairness
    if not contract.sensitive:
        return Outcome("fairness", "SKIP", "contract.yaml names no sensitive column")
    data = readable(columns(evidence.test, contract, contract.sensitive), contract)
    grouped = {name: groups(data[name], name, contract) for name in contract.sensitive}
    metrics = [metric for name, values in grouped.items() for metric in _gaps(name, values, contract.task)]
    if not metrics:
        return Outcome(
            "fairness", "HOLD", f"no sensitive column has two groups with at least {SMALLEST_GROUP} test rows"
        )
    ours = _numbered(evidence.candidate.test)
    found = estimate(ours, metrics, **interval_options(evidence))
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
        checks.append(Outcome(metric.name, verdict, reason, {}, {"difference": limits.difference}))
    if evidence.champion_predictions is None:
        checks.append(not_compared(evidence))
    else:
        moved = compare((ours, _numbered(evidence.champion_predictions.test)), metrics, **interval_options(evidence))
        confidence = evidence.params.gates.quality.confidence or 0.95
        for metric in metrics:
            made = non_inferiority(moved[metric.name], metric, limits.margin or 0.0, confidence)
            checks.append(Outcome(f"{metric.name}, champion", made.verdict, made.reason, made.measured, made.limit))
    outcome = combined("fairness", checks)
    outcome.measured["columns"] = fairness(evidence.candidate.test, contract, grouped)
    return outcome


def _numbered(rows: ScoredRows) -> ScoredRows:
    """Return the rows with their row numbers as scores, so that metrics on resampled parts can find the groups."""
    return ScoredRows(rows.target, np.arange(len(rows.target), dtype=np.float64), rows.decision)


def _gaps(name: str, values: np.ndarray, task: str) -> list[Metric]:
    """Return a metric for each rate: the largest difference between two groups with at least 30 rows."""
    kinds, counts = np.unique(values, return_counts=True)
    large = [values == kind for kind, count in zip(kinds, counts, strict=True) if count >= SMALLEST_GROUP]
    if len(large) < 2:
        return []
    return [Metric(f"{rate} by {name}", False, _gap(large, *parts)) for rate, parts in RATES[task].items()]


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
