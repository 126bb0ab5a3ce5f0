"""Robustness: a small change of the inputs changes few answers."""

import numpy as np

from assay.base.outcomes import Outcome, combined
from assay.evaluation.metrics import Metric, Rows, compare, estimate
from assay.gates.comparing import against, beyond, interval_options, rounded, uncompared
from assay.gates.evidence import Answers, ModelEvidence
from assay.statistics.bootstrap import Weights


def judge(evidence: ModelEvidence) -> Outcome:
    """Hold the share of answers that a small change changes to a limit and to the champion.

    For numbers it is the mean change, in standard deviations of the answers. See
    `assay.evaluation.behaviour.sensitivity` for what a small change is.
    """
    limits = evidence.params.gates.robustness
    mine = _rows(evidence.candidate)
    found = estimate(mine, [CHANGED], **interval_options(evidence))[CHANGED.name]
    verdict, said = beyond(found, limits.changed or 0.0, higher_is_better=False)
    noise = evidence.params.analyse.noise
    what = (
        "mean change of the answers, in their standard deviations,"
        if mine.scores.ndim == 1
        else "share of answers changed"
    )
    sure = Outcome(
        "limit",
        verdict,
        f"{what} by changes of {noise:.0%} is {found.value:.4f} ({found.low:.4f} to {found.high:.4f}), {said} the "
        f"limit of {limits.changed:g}",
        {"changed": rounded(found), "noise": noise},
        {"changed": limits.changed},
    )
    if evidence.champion_answers is None:
        return combined("robustness", [sure, uncompared(evidence)])
    difference = compare((mine, _rows(evidence.champion_answers)), [CHANGED], **interval_options(evidence))[
        CHANGED.name
    ]
    confidence = evidence.params.gates.quality.confidence or 0.95
    return combined("robustness", [against(difference, CHANGED, limits.margin or 0.0, confidence), sure])


def _rows(answers: Answers) -> Rows:
    """Return what was answered before as the target, and what is answered after the change as the decision."""
    return Rows(answers.test.decision, answers.test.scores, answers.perturbed)


def _changed(rows: Rows, weights: Weights) -> np.ndarray:
    if rows.scores.ndim == 1:
        moved = np.abs(rows.decision - rows.target) / (rows.target.std() or 1.0)
        return np.asarray(weights @ moved / weights.sum(axis=1))
    return np.asarray(weights @ (rows.decision != rows.target) / weights.sum(axis=1))


CHANGED = Metric("answers_changed", False, _changed)
