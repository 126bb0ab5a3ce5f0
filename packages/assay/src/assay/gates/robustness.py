"""Robustness: small perturbations of the inputs change few predictions."""

import numpy as np

from assay.base.outcomes import Outcome, combined
from assay.evaluation.metrics import Metric, ScoredRows, compare, estimate
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


def judge(evidence: ModelEvidence) -> Outcome:
    """Compare the share of predictions changed by perturbations with a limit and with the champion.

    For regression it is the mean change in standard deviations of the predictions. The perturbations are those of
    `assay.evaluation.behaviour.sensitivity`.
    """
    limits = evidence.params.gates.robustness
    mine = _rows(evidence.candidate)
    found = estimate(mine, [CHANGED], **interval_options(evidence))[CHANGED.name]
    verdict, said = compare_with_limit(found, limits.changed or 0.0, higher_is_better=False)
    noise = evidence.params.analyse.noise
    what = (
        "mean change of predictions, in standard deviations,"
        if mine.scores.ndim == 1
        else "share of predictions changed"
    )
    limit = Outcome(
        "limit",
        verdict,
        f"{what} by perturbations of {noise:.0%} is {with_interval(found)}, {said} the limit of {limits.changed:g}",
        {"changed": rounded(found), "noise": noise},
        {"changed": limits.changed},
    )
    if evidence.champion_predictions is None:
        return combined("robustness", [limit, not_compared(evidence)])
    difference = compare((mine, _rows(evidence.champion_predictions)), [CHANGED], **interval_options(evidence))[
        CHANGED.name
    ]
    confidence = evidence.params.gates.quality.confidence or 0.95
    return combined("robustness", [non_inferiority(difference, CHANGED, limits.margin or 0.0, confidence), limit])


def _rows(answers: ModelPredictions) -> ScoredRows:
    """Return rows with the prediction before the perturbation as target and the one after it as decision."""
    return ScoredRows(answers.test.decision, answers.test.scores, answers.perturbed)


def _changed(rows: ScoredRows, weights: Weights) -> np.ndarray:
    if rows.scores.ndim == 1:
        moved = np.abs(rows.decision - rows.target) / (rows.target.std() or 1.0)
        return np.asarray(weights @ moved / weights.sum(axis=1))
    return np.asarray(weights @ (rows.decision != rows.target) / weights.sum(axis=1))


CHANGED = Metric("prediction_change", False, _changed)
