"""Leakage: no feature gives the target away, and no test row influenced the model."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from assay.base.outcomes import Outcome, combined
from assay.contract.spec import Contract
from assay.data.leakage import overlap
from assay.data.split import row_keys
from assay.gates.evidence import ModelEvidence


def judge(evidence: ModelEvidence) -> Outcome:
    """Combine the feature checks of stage validate with checks of the split and the training."""
    seen = [check for check in evidence.checks if check.gate == "leakage"]
    limits = evidence.params.validate_
    split = evidence.split
    return combined(
        "leakage",
        [
            *(seen or [Outcome("leakage", "HOLD", "reports/validate.json has no check of the features")]),
            overlap(split["train"], split["test"], evidence.contract, limits),
            intact(evidence.data, split, evidence.contract),
            _training(evidence),
        ],
    )


def intact(data: pa.Table, split: Mapping[str, pa.Table], contract: Contract) -> Outcome:
    """Check that the split contains each row once and unchanged: code that changes rows may have seen all of them."""
    names = [*contract.features, contract.target.name]
    there = np.sort(row_keys(data, names, "intact"))
    found = np.sort(np.concatenate([row_keys(part, names, "intact") for part in split.values()]))
    altered = int((~np.isin(found, there)).sum())
    lost = int((~np.isin(there, found)).sum())
    repeated = len(found) - altered - (len(there) - lost)
    measured = {"rows": len(data), "altered": altered, "lost": lost, "repeated": repeated}
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
