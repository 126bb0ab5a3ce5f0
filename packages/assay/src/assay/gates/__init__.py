"""The gates: each holds the candidate to one thing, and returns an outcome."""
