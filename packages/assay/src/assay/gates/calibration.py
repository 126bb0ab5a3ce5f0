"""Calibration: of rows with probability 0.8, eight of ten are positive; a 90 % interval covers nine of ten values."""

import numpy as np
from scipy.stats import spearmanr

from assay.base.outcomes import Outcome, combined
from assay.base.rounding import significant
from assay.evaluation.metrics import CLASSES, Metric, ScoredRows, compare, estimate
from assay.gates.comparing import (
    compare_with_limit,
    interval_options,
    non_inferiority,
    not_compared,
    rounded,
    with_interval,
)
from assay.gates.evidence import ModelEvidence, ModelPredictions
from assay.statistics.bootstrap import Weights

NOMINAL = 0.9
BRIER, ERROR, LOSS = (
    next(metric for metric in CLASSES if metric.name == name) for name in ("brier", "calibration_error", "log_loss")
)
# A larger change of probabilities is deliberate.
MOVED = 0.05


def judge(evidence: ModelEvidence) -> Outcome:
    """Compare calibration error and Brier score, or interval coverage, with a limit and with the champion."""
    is_regression = evidence.contract.task == "regression"
    mine = _rows(evidence.candidate, is_regression)
    metrics = [MISSED] if is_regression else [BRIER, ERROR]
    limit = _limit(mine, evidence, metrics[-1])
    if evidence.champion_predictions is None:
        return combined("calibration", [limit, not_compared(evidence)])
    theirs = _rows(evidence.champion_predictions, is_regression)
    found = compare((mine, theirs), metrics, **interval_options(evidence))
    margin = evidence.params.gates.calibration.margin or 0.0
    confidence = evidence.params.gates.quality.confidence or 0.95
    # With few rows this metric differs by chance for any two models: only a conclusive loss counts.
    error = metrics[-1]
    said = non_inferiority(found[error.name], error, margin, confidence)
    worse = found[error.name].low > margin
    checks = [Outcome(error.name, "REJECT" if worse else "PROMOTE", said.reason, said.measured, said.limit)]
    if not is_regression:
        checks = [
            non_inferiority(found[BRIER.name], BRIER, margin, confidence),
            *checks,
            _remapped(mine, theirs, evidence),
        ]
    return combined("calibration", [*checks, limit])


def _limit(mine: ScoredRows, evidence: ModelEvidence, metric: Metric) -> Outcome:
    limit = evidence.params.gates.calibration.error or 0.0
    found = estimate(mine, [metric], **interval_options(evidence))[metric.name]
    verdict, said = compare_with_limit(found, limit, higher_is_better=False)
    what = "calibration error" if metric is ERROR else f"excess share of values outside their {NOMINAL:.0%} interval"
    # The error is above zero by chance alone, so its upper limit does not indicate a bad model.
    verdict = "PROMOTE" if found.value <= limit else verdict
    reason = f"{what} is {with_interval(found)}, {said} the limit of {limit:g}"
    return Outcome("limit", verdict, reason, {metric.name: rounded(found)}, {"error": limit})


def _remapped(mine: ScoredRows, theirs: ScoredRows, evidence: ModelEvidence) -> Outcome:
    """Require a shown improvement if the ranking is unchanged and only the probabilities differ."""
    moved = float(np.abs(mine.scores - theirs.scores).max())
    measured = {"moved": significant(moved)}
    if moved <= MOVED or not _same_order(mine.scores, theirs.scores):
        return Outcome("order", "PROMOTE", f"probabilities differ from the champion's by up to {moved:.3f}", measured)
    found = compare((mine, theirs), [BRIER, LOSS], **interval_options(evidence))
    if all(difference.high < 0 for difference in found.values()):
        return Outcome(
            "order", "PROMOTE", "the ranking of the rows is unchanged, and the probabilities improved", measured
        )
    brier = found[BRIER.name]
    reason = (
        f"the ranking of the rows is unchanged, but probabilities move by up to {moved:.2f} without shown improvement "
        f"(brier {brier.value:+.4f}, {brier.low:+.4f} to {brier.high:+.4f})"
    )
    return Outcome("order", "HOLD", reason, measured)


def _same_order(mine: np.ndarray, theirs: np.ndarray) -> bool:
    if mine.shape[1] > 2 or np.ptp(mine[:, 1]) == 0 or np.ptp(theirs[:, 1]) == 0:
        return False
    return bool(spearmanr(mine[:, 1], theirs[:, 1]).statistic > 1 - 1e-6)


def _rows(answers: ModelPredictions, is_regression: bool) -> ScoredRows:
    """Return the test rows, for regression with intervals."""
    return with_intervals(answers.test, answers.validation) if is_regression else answers.test


def with_intervals(test: ScoredRows, validation: ScoredRows) -> ScoredRows:
    """Return the test rows of a regression; the decision is the half width of the interval.

    The half width comes from the validation rows by split conformal prediction (Lei et al. 2018).
    """
    residuals = np.sort(np.abs(validation.target - validation.scores))
    place = min(len(residuals) - 1, int(np.ceil(NOMINAL * (len(residuals) + 1))) - 1)
    return ScoredRows(test.target, test.scores, np.full(len(test.target), residuals[place]))


def _coverage_missed(rows: ScoredRows, weights: Weights) -> np.ndarray:
    outside = np.abs(rows.target - rows.scores) > rows.decision
    return np.asarray(np.maximum(weights @ outside / weights.sum(axis=1) - (1 - NOMINAL), 0.0))


MISSED = Metric("coverage_missed", False, _coverage_missed)
