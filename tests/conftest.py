"""Shared by all tests: the settings of Hypothesis, and the service.

`make test` first brings the model up to date.
"""

from collections.abc import Iterator

import httpx
import pytest
from assay.testing import service as serve
from hypothesis import settings

# The same rows on every machine; a failing row is shrunk.
settings.register_profile("project", max_examples=50, deadline=None, derandomize=True, database=None)
settings.load_profile("project")


@pytest.fixture(scope="session")
def service() -> Iterator[httpx.Client]:
    """Yield a client of the service, built and started as in production."""
    with serve() as client:
        yield client
