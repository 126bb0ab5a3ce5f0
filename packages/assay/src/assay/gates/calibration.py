"""Calibration: a probability of 0.8 comes true in eight of ten cases; an interval of 90 % holds nine of ten numbers."""

import numpy as np
from scipy.stats import spearmanr

from assay.base.outcomes import Outcome, combined
from assay.base.rounding import significant
from assay.evaluation.metrics import CLASSES, Metric, Rows, compare, estimate
from assay.gates.comparing import against, beyond, interval_options, rounded, uncompared
from assay.gates.evidence import Answers, ModelEvidence
from assay.statistics.bootstrap import Weights

NOMINAL = 0.9
BRIER, ERROR, LOSS = (
    next(metric for metric in CLASSES if metric.name == name) for name in ("brier", "calibration_error", "log_loss")
)
# Probabilities that moved by more than this were changed on purpose.
MOVED = 0.05


def judge(evidence: ModelEvidence) -> Outcome:
    """Hold calibration error and Brier score, or the coverage of intervals, to a limit and to the champion's."""
    is_regression = evidence.contract.task == "regression"
    mine = _rows(evidence.candidate, is_regression)
    metrics = [MISSED] if is_regression else [BRIER, ERROR]
    sure = _limit(mine, evidence, metrics[-1])
    if evidence.champion_answers is None:
        return combined("calibration", [sure, uncompared(evidence)])
    theirs = _rows(evidence.champion_answers, is_regression)
    found = compare((mine, theirs), metrics, **interval_options(evidence))
    margin = evidence.params.gates.calibration.margin or 0.0
    confidence = evidence.params.gates.quality.confidence or 0.95
    # Of few rows these two differ by chance alone, whatever the model: only what is conclusively worse counts.
    error = metrics[-1]
    said = against(found[error.name], error, margin, confidence)
    worse = found[error.name].low > margin
    checks = [Outcome(error.name, "REJECT" if worse else "PROMOTE", said.reason, said.measured, said.limit)]
    if not is_regression:
        checks = [against(found[BRIER.name], BRIER, margin, confidence), *checks, _remapped(mine, theirs, evidence)]
    return combined("calibration", [*checks, sure])


def _limit(mine: Rows, evidence: ModelEvidence, metric: Metric) -> Outcome:
    limit = evidence.params.gates.calibration.error or 0.0
    found = estimate(mine, [metric], **interval_options(evidence))[metric.name]
    verdict, said = beyond(found, limit, higher_is_better=False)
    what = (
        "calibration error"
        if metric is ERROR
        else f"share of numbers outside their {NOMINAL:.0%} interval, beyond what is due,"
    )
    # An error is above zero by chance alone, so that its upper end is no sign of a bad model.
    verdict = "PROMOTE" if found.value <= limit else verdict
    reason = f"{what} is {found.value:.4f} ({found.low:.4f} to {found.high:.4f}), {said} the limit of {limit:g}"
    return Outcome("limit", verdict, reason, {metric.name: rounded(found)}, {"error": limit})


def _remapped(mine: Rows, theirs: Rows, evidence: ModelEvidence) -> Outcome:
    """Ask for proof where all rows keep their order and only the probabilities are others."""
    moved = float(np.abs(mine.scores - theirs.scores).max())
    measured = {"moved": significant(moved)}
    if moved <= MOVED or not _same_order(mine.scores, theirs.scores):
        return Outcome("order", "PROMOTE", f"probabilities differ by up to {moved:.3f}", measured)
    found = compare((mine, theirs), [BRIER, LOSS], **interval_options(evidence))
    if all(difference.high < 0 for difference in found.values()):
        return Outcome("order", "PROMOTE", "the rows keep their order, and the probabilities became better", measured)
    brier = found[BRIER.name]
    reason = (
        f"the rows keep their order while probabilities move by up to {moved:.2f}, and nothing shows that it is better "
        f"(brier {brier.value:+.4f}, {brier.low:+.4f} to {brier.high:+.4f})"
    )
    return Outcome("order", "HOLD", reason, measured)


def _same_order(mine: np.ndarray, theirs: np.ndarray) -> bool:
    if mine.shape[1] > 2 or np.ptp(mine[:, 1]) == 0 or np.ptp(theirs[:, 1]) == 0:
        return False
    return bool(spearmanr(mine[:, 1], theirs[:, 1]).statistic > 1 - 1e-6)


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
