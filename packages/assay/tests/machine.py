"""What tests need of the machine: a program, a package, the right to run a container."""

import os
from typing import NoReturn

import pytest

# Set where all that the tests need is installed before: there nothing that was promised goes untested in silence.
COMPLETE = "ASSAY_TESTS_COMPLETE"


def lacks(what: str) -> NoReturn:
    """Skip a test because the machine lacks something; fail it where the machine should have everything."""
    if os.environ.get(COMPLETE):
        pytest.fail(f"{what}: this test has to run here, because {COMPLETE} is set")
    pytest.skip(what)
