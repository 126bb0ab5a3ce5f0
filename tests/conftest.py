"""What all tests share: how Hypothesis tries rows, and the service.

`make test` first brings the model up to date, so that the tests have one.
"""

from collections.abc import Iterator

import httpx
import pytest
from assay.testing import service as serve
from hypothesis import settings

# The same rows on every machine; a failure is shrunk to the smallest row.
settings.register_profile("project", max_examples=50, deadline=None, derandomize=True, database=None)
settings.load_profile("project")


@pytest.fixture(scope="session")
def service() -> Iterator[httpx.Client]:
    """A client of the service, built and started as in production."""
    with serve() as client:
        yield client
