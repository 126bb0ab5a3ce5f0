"""Reproducibility: training again gives the same model, and another seed much the same."""

import numpy as np

from assay.base.outcomes import Outcome
from assay.base.rounding import significant
from assay.data.columns import columns
from assay.evaluation.metrics import Rows, measure, metrics_for
from assay.gates.evidence import ModelEvidence
from assay.modelling.fitting import decide, scores

# Machines differ in the last digits.
SAME = 1e-6


def judge(evidence: ModelEvidence) -> Outcome:
    """Compare the model with those that came out of training again, on the test rows."""
    again, limits, contract = evidence.retrained, evidence.params.gates.reproducibility, evidence.contract
    if again.failure:
        return Outcome("reproducibility", "HOLD", f"training again failed: {again.failure}")
    metric = next((m for m in metrics_for(contract) if m.name == evidence.params.gates.quality.metric), None)
    if metric is None:
        return Outcome("reproducibility", "HOLD", "gates.quality.metric names no metric to compare by")
    data, truth = columns(evidence.test, contract), evidence.candidate.test.target
    found = []
    for pipeline, threshold in again.models:
        given = scores(pipeline, data, contract, evidence.model.room)
        found.append(Rows(truth, given, decide(given, contract, threshold), contract.costs))
    scale = 1.0 if contract.task != "regression" else float(truth.std()) or 1.0
    largest = float(np.abs(found[0].scores - evidence.candidate.test.scores).max()) / scale
    values = [measure(rows, [metric])[metric.name] for rows in [evidence.candidate.test, *found[1:]]]
    spread = max(values) - min(values)
    measured = {
        "largest_difference": significant(largest),
        metric.name: [significant(value) for value in values],
        "spread": significant(spread),
    }
    limit = {"spread": limits.spread, "seeds": limits.seeds, "difference": SAME}
    if largest > SAME:
        reason = (
            f"training again, with the same seed and the training rows alone, gives another model (scores differ by up "
            f"to {largest:.2g}): it depends on chance, or on data that training should not see"
        )
        return Outcome("reproducibility", "HOLD", reason, measured, limit)
    others = f"with {len(values) - 1} other seeds {metric.name} differs by {spread:.4f} (limit {limits.spread:g})"
    if spread > (limits.spread or 0.0):
        return Outcome("reproducibility", "HOLD", f"how good the model is depends on chance: {others}", measured, limit)
    return Outcome("reproducibility", "PROMOTE", f"training again gives the same model; {others}", measured, limit)
