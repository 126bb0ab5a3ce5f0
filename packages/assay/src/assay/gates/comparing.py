"""Comparisons shared by several gates: a difference with its interval, and the verdict derived from it."""

from typing import Any

from assay.base.outcomes import Outcome, Verdict
from assay.base.rounding import significant
from assay.base.words import decimal
from assay.evaluation.metrics import Metric, compare
from assay.gates.evidence import ModelEvidence
from assay.statistics.bootstrap import Estimate


def interval_options(evidence: ModelEvidence) -> dict[str, Any]:
    """Return the options of bootstrap intervals (confidence, resamples, seed, units), the same for all gates."""
    limits = evidence.params.gates.quality
    return {
        "confidence": limits.confidence or 0.95,
        "resamples": limits.resamples or 2000,
        "seed": evidence.params.seed,
        "units": evidence.units,
    }


def difference(evidence: ModelEvidence, metrics: list[Metric]) -> dict[str, Estimate]:
    """Return the difference of each metric, candidate minus champion, on the same rows."""
    if evidence.champion_predictions is None:
        raise ValueError("there is no champion to compare with")
    return compare((evidence.candidate.test, evidence.champion_predictions.test), metrics, **interval_options(evidence))


def not_compared(evidence: ModelEvidence) -> Outcome:
    """Return the outcome of a comparison that is not possible: SKIP for a first model, else HOLD with the reason."""
    obstacle = evidence.obstacle
    if obstacle is None:
        raise ValueError("the champion can be compared")
    if obstacle.verdict == "SKIP":
        reason = f"{obstacle.text}: judged only against limits, baseline and expectations"
    else:
        reason = f"cannot be compared with the champion: {obstacle.text}; needs the model owner's approval"
    return Outcome("champion", obstacle.verdict, reason)


def non_inferiority(found: Estimate, metric: Metric, margin: float, confidence: float) -> Outcome:
    """Judge a difference, candidate minus champion, by a margin (non-inferiority: Piaggio et al. 2012, CONSORT).

    PROMOTE if the interval excludes a loss above the margin; REJECT if it excludes zero and includes such a loss; HOLD
    if it is inconclusive.
    """
    measured, limit = {metric.name: rounded(found)}, {"margin": margin}
    if found.low == found.high == 0:
        return Outcome("champion", "PROMOTE", f"{_words(metric.name)} is identical to the champion's", measured, limit)
    sign = 1 if metric.higher_is_better else -1
    worst, best = sorted((sign * found.low, sign * found.high))
    verdict: Verdict = "PROMOTE" if worst >= -margin else "REJECT" if best < 0 else "HOLD"
    said = {
        "PROMOTE": "is no worse than the champion's",
        "HOLD": "is inconclusive: non-inferiority to the champion not shown",
        "REJECT": "is worse than the champion's",
    }[verdict]
    reason = (
        f"{_words(metric.name)} {said}: difference {decimal(found.value, '+')} ({confidence:.0%} interval "
        f"{decimal(found.low, '+')} to {decimal(found.high, '+')}, margin {margin:g})"
    )
    return Outcome("champion", verdict, reason, measured, limit)


def compare_with_limit(found: Estimate, limit: float, *, higher_is_better: bool) -> tuple[Verdict, str]:
    """Return the verdict of an interval on a limit, and its side in words: good PROMOTE, bad REJECT, else HOLD."""
    good, bad = ("above", "below") if higher_is_better else ("below", "above")
    low, high = (found.low, found.high) if higher_is_better else (-found.high, -found.low)
    line = limit if higher_is_better else -limit
    if low >= line:
        return "PROMOTE", good
    return ("REJECT", bad) if high < line else ("HOLD", f"not conclusively {good}")


def with_interval(found: Estimate) -> str:
    """Return an estimate and its interval as text."""
    return f"{decimal(found.value)} ({decimal(found.low)} to {decimal(found.high)})"


def rounded(found: Estimate) -> dict[str, float]:
    """Return an estimate as plain data."""
    return {"value": significant(found.value), "low": significant(found.low), "high": significant(found.high)}


def _words(name: str) -> str:
    return name.replace("_", " ")
