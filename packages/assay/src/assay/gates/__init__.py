"""The gates: each checks one property of the candidate and returns an outcome."""
