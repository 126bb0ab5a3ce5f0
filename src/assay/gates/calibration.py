"""Calibration: a probability of 0.8 comes true in eight of ten cases; an interval of 90 % holds nine of ten numbers."""

import numpy as np

from assay.evaluation.metrics import CLASSES, Metric, Rows, Weights, compare, estimate
from assay.gates.comparing import against, beyond, how, rounded, uncompared
from assay.gates.evidence import Answers, Evidence
from assay.outcomes import Outcome, combined

NOMINAL = 0.9
PROBABILITIES = [metric for metric in CLASSES if metric.name in ("calibration_error", "brier")]


def judge(evidence: Evidence) -> Outcome:
    """Hold calibration error and Brier score, or the coverage of intervals, to a limit and to the champion."""
    limits = evidence.params.gates.calibration
    is_regression = evidence.contract.task == "regression"
    metrics = [MISSED] if is_regression else PROBABILITIES
    mine = _rows(evidence.candidate, is_regression)
    found = estimate(mine, metrics, **how(evidence))
    error = found["coverage_missed" if is_regression else "calibration_error"]
    verdict, said = beyond(error, limits.error or 0.0, higher_is_better=False)
    what = (
        f"share of numbers outside their {NOMINAL:.0%} interval, beyond what is due,"
        if is_regression
        else "calibration error"
    )
    # An error cannot be negative, and is above zero by chance alone: only what is surely too high counts against.
    sure = Outcome(
        "limit",
        verdict if verdict == "REJECT" or error.value > (limits.error or 0.0) else "PROMOTE",
        f"{what} is {error.value:.4f} ({error.low:.4f} to {error.high:.4f}), {said} the limit of {limits.error:g}",
        {name: rounded(value) for name, value in found.items()},
        {"error": limits.error},
    )
    if evidence.rival is None:
        return combined("calibration", [sure, uncompared(evidence)])
    differences = compare((mine, _rows(evidence.rival, is_regression)), metrics, **how(evidence))
    confidence = evidence.params.gates.quality.confidence or 0.95
    beside = [against(differences[metric.name], metric, limits.margin or 0.0, confidence) for metric in metrics]
    checks = [Outcome(m.name, o.verdict, o.reason, o.measured, o.limit) for m, o in zip(metrics, beside, strict=True)]
    return combined("calibration", [*checks, sure])


def _rows(answers: Answers, is_regression: bool) -> Rows:
    """Return the test rows; of numbers with the interval's half width, from the validation rows, as the decision.

    The width is that of split conformal prediction (Lei et al. 2018).
    """
    if not is_regression:
        return answers.test
    residuals = np.sort(np.abs(answers.validation.target - answers.validation.scores))
    place = min(len(residuals) - 1, int(np.ceil(NOMINAL * (len(residuals) + 1))) - 1)
    width = np.full(len(answers.test.target), residuals[place])
    return Rows(answers.test.target, answers.test.scores, width)


def _coverage_missed(rows: Rows, weights: Weights) -> np.ndarray:
    outside = np.abs(rows.target - rows.scores) > rows.decision
    return np.asarray(np.maximum(weights @ outside / weights.sum(axis=1) - (1 - NOMINAL), 0.0))


MISSED = Metric("coverage_missed", False, _coverage_missed)
