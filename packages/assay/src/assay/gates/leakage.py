"""Leakage: no feature gives the target away, and no test row influenced the model."""

from collections.abc import Mapping, Sequence

import numpy as np

from assay.base.outcomes import Outcome, combined
from assay.base.rounding import significant
from assay.base.words import decimal
from assay.contract.spec import Contract
from assay.data.leakage import overlap
from assay.data.split import row_keys
from assay.data.stored import Joined, Rows
from assay.evaluation.metrics import estimate, metrics_for
from assay.gates.comparing import difference, interval_options
from assay.gates.evidence import ModelEvidence

# Share of what the champion misses of a perfect metric that one added column may bring before somebody looks.
TOO_GOOD = 0.5


def judge(evidence: ModelEvidence) -> Outcome:
    """Combine the feature checks of stage validate with checks of the split and the training."""
    seen = [check for check in evidence.checks if check.gate == "leakage"]
    limits = evidence.params.validate_
    split = evidence.split
    return combined(
        "leakage",
        [
            *(seen or [Outcome("leakage", "HOLD", "reports/validate.json has no check of the features")]),
            overlap(
                Joined(*(split[side] for side in evidence.params.train.sides)), split["test"], evidence.contract, limits
            ),
            intact(evidence.data, split, evidence.contract),
            _training(evidence),
            *_gain_of_one(evidence, seen),
        ],
    )


def _gain_of_one(evidence: ModelEvidence, seen: Sequence[Outcome]) -> list[Outcome]:
    """Hold a gain that looks too good: an added column, more telling than any other, halves what was missing.

    Missing is the distance of the deciding metric from its best value, 1 or 0. No outcome without an added column or
    without a champion to compare with.
    """
    champion, metrics = evidence.champion, {metric.name: metric for metric in metrics_for(evidence.contract)}
    metric = metrics.get(evidence.params.gates.quality.metric or "")
    scores = {name: score for check in seen for name, score in check.measured.get("scores", {}).items()}
    if champion is None or evidence.champion_predictions is None or metric is None:
        return []
    added = [name for name in scores if name not in champion.contract.features]
    if not added:
        return []
    best = max(added, key=lambda name: scores[name])
    others = {name: score for name, score in scores.items() if name != best} or {"none": 0.0}
    second = max(others, key=lambda name: others[name])
    now = estimate(evidence.candidate.test, [metric], **interval_options(evidence))[metric.name].value
    moved = difference(evidence, [metric])[metric.name]
    sign, top = (1, 1.0) if metric.higher_is_better else (-1, 0.0)
    missing = abs(top - (now - moved.value))
    is_gain = min(sign * moved.low, sign * moved.high) > 0 and sign * moved.value >= TOO_GOOD * missing
    found = (
        f"{metric.name} goes from {decimal(now - moved.value)} to {decimal(now)} with the added column {best}, which "
        f"alone explains {scores[best]:.3f} of the target; {second} explains {others[second]:.3f}"
    )
    measured = {"column": best, "score": scores[best], "gain": significant(moved.value)}
    if is_gain and scores[best] > others[second]:
        reason = f"too good to be true until somebody says when it is known: {found}"
        return [Outcome("gain of one column", "HOLD", reason, measured)]
    return [Outcome("gain of one column", "PROMOTE", f"no added column brings too much alone: {found}", measured)]


def intact(data: Rows, split: Mapping[str, Rows], contract: Contract) -> Outcome:
    """Check that the split contains each row once and unchanged: code that changes rows may have seen all of them."""
    names = [*contract.features, contract.target.name]
    there = np.sort(row_keys(data, names, "intact"))
    found = np.sort(np.concatenate([row_keys(part, names, "intact") for part in split.values()]))
    altered = int((~np.isin(found, there)).sum())
    lost = int((~np.isin(there, found)).sum())
    repeated = len(found) - altered - (len(there) - lost)
    measured = {"rows": data.num_rows, "altered": altered, "lost": lost, "repeated": repeated}
    if not altered and not lost and not repeated:
        return Outcome(
            "split", "PROMOTE", f"the split contains each of the {len(there)} rows once, unchanged", measured
        )
    reason = (
        f"the split does not match the data: {altered} rows changed, {lost} missing, {max(repeated, 0)} repeated; "
        "stage prepare may leak information into training"
    )
    return Outcome("split", "HOLD", reason, measured)


def _training(evidence: ModelEvidence) -> Outcome:
    failure = evidence.retrained.failure
    if failure:
        reason = f"training needs more than the training and validation rows; with only these it fails: {failure!r}"
        return Outcome("training", "HOLD", reason)
    return Outcome("training", "PROMOTE", "training needs only the training and validation rows")
