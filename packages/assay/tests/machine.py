"""What tests need of the machine: a program, a package, the right to run a container."""

import os
from pathlib import Path
from typing import NoReturn

import pytest

# Set where all that the tests need is installed before: there nothing that was promised goes untested in silence.
COMPLETE = "ASSAY_TESTS_COMPLETE"
# A file that lists what the machine lacked, for whoever started the tests.
LACKING = "ASSAY_TESTS_LACKING"


def lacks(what: str) -> NoReturn:
    """Skip a test because the machine lacks something; fail it where the machine should have everything."""
    if os.environ.get(COMPLETE):
        pytest.fail(f"{what}: this test has to run here, because {COMPLETE} is set")
    if os.environ.get(LACKING):
        with Path(os.environ[LACKING]).open("a", encoding="utf-8") as file:
            file.write(f"{what}\n")
    pytest.skip(what)
