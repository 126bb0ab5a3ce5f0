"""A request that gets no answer."""

from collections.abc import Iterable


class Refused(Exception):  # noqa: N818
    """A request that gets no answer, with the HTTP status and what is wrong with it."""

    def __init__(self, status: int, error: str, problems: Iterable[str] = (), *, reason: str) -> None:
        """Take the status, one line, what is wrong in detail, and the label under which it is counted."""
        super().__init__(error)
        self.status = status
        self.error = error
        self.problems = list(problems)
        self.reason = reason
