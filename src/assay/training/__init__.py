"""Searching, fitting and storing a model."""
