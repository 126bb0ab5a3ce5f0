"""The same random numbers for each test, whichever ran before it."""

import pytest

from init.plans import RNG

FIRST = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def _from_the_same_state() -> None:
    RNG.bit_generator.state = FIRST
