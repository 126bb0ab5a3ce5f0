"""Stand-in until the gate is there."""

from assay.gates.evidence import Evidence
from assay.outcomes import Outcome


def judge(evidence: Evidence) -> Outcome:
    """Hold."""
    return Outcome("parity", "SKIP", "not there yet")
