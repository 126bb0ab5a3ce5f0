"""Reproducibility: retraining gives the same model, and another seed a similar one."""

import numpy as np

from assay.base.outcomes import Outcome
from assay.base.rounding import significant
from assay.data.columns import columns
from assay.evaluation.metrics import ScoredRows, measure, metrics_for
from assay.gates.evidence import ModelEvidence
from assay.modelling.fitting import decide, scores

# Floating-point results differ between machines.
SAME = 1e-6


def judge(evidence: ModelEvidence) -> Outcome:
    """Compare the model with the retrained ones on the test rows."""
    again, limits, contract = evidence.retrained, evidence.params.gates.reproducibility, evidence.contract
    if again.failure:
        return Outcome("reproducibility", "HOLD", f"retraining failed: {again.failure}")
    metric = next((m for m in metrics_for(contract) if m.name == evidence.params.gates.quality.metric), None)
    if metric is None:
        return Outcome("reproducibility", "HOLD", "gates.quality.metric is not a known metric")
    data, truth = columns(evidence.test, contract), evidence.candidate.test.target
    found = []
    for pipeline, threshold in again.models:
        given = scores(pipeline, data, contract, evidence.model.room)
        found.append(ScoredRows(truth, given, decide(given, contract, threshold), contract.costs))
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
            f"retraining with the same seed and only the training rows gives another model (scores differ by up to "
            f"{largest:.2g}): it depends on chance, or on data that training must not see"
        )
        return Outcome("reproducibility", "HOLD", reason, measured, limit)
    others = f"with {len(values) - 1} other seeds {metric.name} differs by {spread:.4f} (limit {limits.spread:g})"
    if spread > (limits.spread or 0.0):
        return Outcome("reproducibility", "HOLD", f"the model's quality depends on the seed: {others}", measured, limit)
    return Outcome("reproducibility", "PROMOTE", f"retraining gives the same model; {others}", measured, limit)
