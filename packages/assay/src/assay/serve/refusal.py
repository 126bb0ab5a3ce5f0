"""The refusal of a request."""

from collections.abc import Iterable


class Refused(Exception):  # noqa: N818
    """A request is refused, with the HTTP status and what is wrong with it."""

    def __init__(self, status: int, error: str, problems: Iterable[str] = (), *, reason: str) -> None:
        """Take the HTTP status, one line, the problems in detail, and the label of the metric that counts it."""
        super().__init__(error)
        self.status = status
        self.error = error
        self.problems = list(problems)
        self.reason = reason
