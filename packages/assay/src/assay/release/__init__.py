"""Versions, and how they get to a machine."""
