"""Fewer examples for a property of which one example takes long."""

from hypothesis import settings


def fewer(times: int) -> settings:
    """Return settings with the examples of the profile, 30 on a push and 2,000 at night, divided by `times`."""
    return settings(max_examples=max(1, settings().max_examples // times))
