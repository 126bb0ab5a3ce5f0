"""Projects to build and load."""

from scenario.conftest import commands, finished, first_run, shared, short_run, template

__all__ = ["commands", "finished", "first_run", "shared", "short_run", "template"]
