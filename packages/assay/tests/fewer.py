"""Fewer examples for a property of which one example takes long."""

from hypothesis import settings


def fewer(times: int) -> settings:
    """Return settings with so many times fewer examples than the profile: of 30 on a push, and of 2,000 at night."""
    return settings(max_examples=max(1, settings().max_examples // times))
