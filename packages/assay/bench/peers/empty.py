"""BentoML at its default settings, with an endpoint that does nothing."""

from typing import Any

import bentoml


@bentoml.service
class Empty:
    """Answers nothing."""

    @bentoml.api
    def predict(self, rows: list[dict[str, Any]]) -> list[list[float]]:  # noqa: ARG002
        """Return nothing."""
        return [[0.0, 1.0]]
