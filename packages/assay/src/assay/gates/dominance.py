"""Dominance: no label is predicted for nearly every row, overall or within a slice."""

import numpy as np
from scipy.stats import binomtest, false_discovery_control

from assay.base.outcomes import Outcome
from assay.data.columns import columns
from assay.evaluation.behaviour import dominance
from assay.evaluation.slices import declared, holds, part_columns, readable
from assay.gates.evidence import ModelEvidence

SIGNIFICANCE = 0.01


def judge(evidence: ModelEvidence) -> Outcome:
    """Compare the share of the label predicted most often with its limit, unless as many rows truly have it.

    McNemar's exact test (1947) decides whether it is predicted too often, corrected for the number of slices (Benjamini
    and Hochberg 1995).
    """
    if evidence.contract.task == "regression":
        return Outcome("dominance", "SKIP", "the target is numeric and has no labels")
    share = evidence.params.gates.dominance.share or 0.0
    rows = evidence.candidate.test
    data = readable(columns(evidence.test, evidence.contract, part_columns(evidence.contract)), evidence.contract)
    named = {" and ".join(map(str, part)): holds(part, data) for part in declared(evidence.contract, data)}
    parts = {"all rows": np.ones(len(rows.target), dtype=bool), **named}
    found = dominance(rows, evidence.contract, named)
    over = []
    for row in found:
        inside, label = parts[row["part"]], evidence.contract.classes.index(row["label"])
        said, true = rows.decision[inside] == label, rows.target[inside] == label
        wrongly, missed = int((said & ~true).sum()), int((~said & true).sum())
        row["p"] = float(binomtest(wrongly, wrongly + missed, alternative="greater").pvalue) if wrongly else 1.0
    for row, q in zip(found, false_discovery_control([row["p"] for row in found]), strict=True):
        if row["predicted_share"] > share and q <= SIGNIFICANCE:
            over.append(row)
    # If all rows exceed the limit, the slices add nothing: they differ only in the true shares.
    everywhere = bool(over) and over[0]["part"] == "all rows"
    worst = max(
        over[:1] if everywhere else over or found,
        key=lambda row: row["predicted_share"] - row["true_share"] if over else row["predicted_share"],
    )
    reason = (
        f"{worst['label']!r} is predicted for {worst['predicted_share']:.1%} of {worst['part']} ({worst['rows']} rows) "
        f"and true for {worst['true_share']:.1%} (limit {share:.0%})"
    )
    measured = {"parts": found[:50], "over": len(over)}
    return Outcome("dominance", "REJECT" if over else "PROMOTE", reason, measured, {"share": share})
