"""Judging a model: metrics, curves, slices, behaviour, explanation."""
