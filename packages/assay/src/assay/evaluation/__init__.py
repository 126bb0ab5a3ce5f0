"""Evaluation of a model: metrics, curves, slices, behaviour, explanation."""
