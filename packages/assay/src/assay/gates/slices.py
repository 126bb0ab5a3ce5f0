"""Slices: no slice gets worse behind a stable average."""

from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.stats import false_discovery_control, ttest_1samp

from assay.base.outcomes import Outcome
from assay.base.rounding import significant
from assay.data.columns import columns
from assay.evaluation.slices import declared, discover, holds, part_columns, readable
from assay.gates.comparing import not_compared
from assay.gates.evidence import ModelEvidence, ModelPredictions
from assay.gates.findings import SLICES_LISTED, SliceLoss, Slices
from assay.statistics.losses import row_losses

FEWEST_UNITS = 5


def judge(evidence: ModelEvidence) -> Outcome:
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
    names = part_columns(evidence.contract)
    parts = readable(columns(evidence.test, evidence.contract, names), evidence.contract)
    suspects = discover(
        readable(columns(evidence.validation, evidence.contract, names), evidence.contract),
        np.maximum(_loss_added(evidence.candidate, theirs, "validation"), 0.0),
        min_rows=round((limits.min_rows or 0) * evidence.validation.num_rows / evidence.test.num_rows),
    )
    added = _loss_added(evidence.candidate, theirs, "test")
    before = row_losses(theirs.test.target, theirs.test.scores)
    margin = (limits.margin or 0.0) * float(before.mean())
    units = np.arange(len(added)) if evidence.units is None else evidence.units
    found: dict[str, dict[str, Any]] = {}
    small = 0
    for part in [*declared(evidence.contract, parts), *suspects]:
        inside = holds(part, parts)
        if inside.sum() < (limits.min_rows or 0):
            small += 1
        else:
            name = " and ".join(map(str, part))
            found[name] = {"slice": name, **_compared(added[inside], before[inside], units[inside], margin)}
    rows = list(found.values())
    if not rows:
        return Outcome("slices", "SKIP", f"no slice has at least {limits.min_rows} test rows")
    for row, q in zip(rows, false_discovery_control([row["p"] for row in rows]), strict=True):
        row |= {"q": significant(q), "worse": bool(q <= (limits.false_discovery_rate or 0.0))}
    rows.sort(key=lambda row: (not row["worse"], -row["difference"], row["slice"]))
    worse = [row for row in rows if row["worse"]]
    details = Slices(len(rows), small, len(worse), [SliceLoss(**row) for row in rows[:SLICES_LISTED]])
    limit = {"margin": significant(margin), "false_discovery_rate": limits.false_discovery_rate}
    return Outcome(
        "slices", "REJECT" if worse else "PROMOTE", _reason(rows, len(worse), margin), asdict(details), limit
    )


def _reason(rows: list[dict[str, Any]], worse: int, margin: float) -> str:
    top = rows[0]
    moved = (
        f"{top['slice']}, {top['rows']} rows: loss {top['champion']:.4g} to {top['candidate']:.4g} "
        f"(difference {top['difference']:+.4f}, {top['low']:+.4f} to {top['high']:+.4f}, margin {margin:.2g})"
    )
    if worse:
        return f"{worse} of {len(rows)} slices got worse; the worst is {moved}"
    return f"none of {len(rows)} slices got worse; the largest increase is in {moved}"


def _loss_added(mine: ModelPredictions, theirs: ModelPredictions, rows: str) -> np.ndarray:
    ours, other = getattr(mine, rows), getattr(theirs, rows)
    return np.asarray(row_losses(ours.target, ours.scores) - row_losses(other.target, other.scores))


def _compared(added: np.ndarray, before: np.ndarray, units: np.ndarray, margin: float) -> dict[str, Any]:
    """Return the mean increase in loss on a slice, its 95 % interval and the p-value for a rise above the margin.

    Rows of one unit are not independent, so the test uses the sum over each unit.
    """
    _, unit = np.unique(units, return_inverse=True)
    sums = np.bincount(unit, added)
    sizes = np.bincount(unit)
    mean = float(added.mean())
    # The residuals of a ratio of sums: Cochran 1977, Sampling Techniques, 6.
    off = sums - mean * sizes
    error = float(np.sqrt((off**2).sum() * len(sums) / max(len(sums) - 1, 1))) / len(added)
    over = sums - margin * sizes
    constant = np.ptp(over) == 0
    p = float(over[0] <= 0) if constant else float(ttest_1samp(over, 0.0, alternative="greater").pvalue)
    return {
        "rows": len(added),
        "champion": significant(before.mean()),
        "candidate": significant(before.mean() + mean),
        "difference": significant(mean),
        "low": significant(mean - 1.96 * error),
        "high": significant(mean + 1.96 * error),
        "p": significant(p if len(sums) >= FEWEST_UNITS else 1.0),
    }
