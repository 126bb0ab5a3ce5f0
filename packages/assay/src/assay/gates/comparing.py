"""What several gates have in common: a difference with its interval, and the verdict that follows from it."""

from typing import Any

from assay.base.outcomes import Outcome, Verdict
from assay.base.rounding import significant
from assay.evaluation.metrics import Metric, compare
from assay.gates.evidence import Evidence
from assay.statistics.bootstrap import Estimate


def how(evidence: Evidence) -> dict[str, Any]:
    """Return how surely and from how many resamples intervals are made, the same for all gates."""
    limits = evidence.params.gates.quality
    return {
        "confidence": limits.confidence or 0.95,
        "resamples": limits.resamples or 2000,
        "seed": evidence.params.seed,
        "units": evidence.units,
    }


def difference(evidence: Evidence, metrics: list[Metric]) -> dict[str, Estimate]:
    """Return how much higher the candidate's metrics are than the champion's, on the same rows."""
    if evidence.rival is None:
        raise ValueError("there is no champion to compare with")
    return compare((evidence.candidate.test, evidence.rival.test), metrics, **how(evidence))


def uncompared(evidence: Evidence) -> Outcome:
    """Return the outcome of a comparison that is not possible: SKIP for a first model, else HOLD with the reason."""
    if evidence.obstacle:
        reason = f"cannot be compared with the champion: {evidence.obstacle}; whoever owns the model has to accept it"
        return Outcome("champion", "HOLD", reason)
    return Outcome("champion", "SKIP", "no champion yet: judged against limits, baseline and expectations alone")


def against(found: Estimate, metric: Metric, margin: float, confidence: float) -> Outcome:
    """Judge a difference, candidate minus champion, by a margin (non-inferiority: Piaggio et al. 2012, CONSORT).

    PROMOTE if the interval says that it is not worse by more than the margin; REJECT if the candidate is worse for
    sure, and may be so by more than the margin; HOLD if the rows do not tell.
    """
    measured, limit = {metric.name: rounded(found)}, {"margin": margin}
    if found.low == found.high == 0:
        return Outcome("champion", "PROMOTE", f"{_words(metric.name)} is exactly the champion's", measured, limit)
    sign = 1 if metric.higher_is_better else -1
    worst, best = sorted((sign * found.low, sign * found.high))
    verdict: Verdict = "PROMOTE" if worst >= -margin else "REJECT" if best < 0 else "HOLD"
    said = {
        "PROMOTE": "no worse than the champion's",
        "HOLD": "not shown to be no worse than the champion's",
        "REJECT": "worse than the champion's",
    }[verdict]
    reason = (
        f"{_words(metric.name)} is {said}: difference {found.value:+.4f} ({confidence:.0%} interval "
        f"{found.low:+.4f} to {found.high:+.4f}, margin {margin:g})"
    )
    return Outcome("champion", verdict, reason, measured, limit)


def beyond(found: Estimate, limit: float, *, higher_is_better: bool) -> tuple[Verdict, str]:
    """Say on which side of a limit an estimate is: PROMOTE for sure on the good one, REJECT on the bad one, or HOLD."""
    good, bad = ("above", "below") if higher_is_better else ("below", "above")
    low, high = (found.low, found.high) if higher_is_better else (-found.high, -found.low)
    line = limit if higher_is_better else -limit
    if low >= line:
        return "PROMOTE", good
    return ("REJECT", bad) if high < line else ("HOLD", f"not surely {good}")


def rounded(found: Estimate) -> dict[str, float]:
    """Return an estimate as plain data."""
    return {"value": significant(found.value), "low": significant(found.low), "high": significant(found.high)}


def _words(name: str) -> str:
    return name.replace("_", " ")
