"""Projects to build and load."""

from scenario.conftest import finished, first_run, shared, template

__all__ = ["finished", "first_run", "shared", "template"]
