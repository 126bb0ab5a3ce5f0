"""The gates: each holds the candidate to one thing, and returns an outcome."""

# Every gate, in the order of the report. A verdict without one of them is not whole.
GATES = (
    *("contract", "lock", "limits", "leakage", "reproducibility", "quality", "slices"),
    *("calibration", "robustness", "dominance", "fairness", "expectations", "parity", "service"),
)
