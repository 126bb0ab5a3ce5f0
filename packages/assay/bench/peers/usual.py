"""A BentoML service written the usual way: a joblib pipeline, and a frame for each request."""

from typing import Any

import bentoml
import joblib
import pandas as pd


@bentoml.service
class Usual:
    """Answers by the pipeline."""

    def __init__(self) -> None:
        """Load it."""
        self.pipeline = joblib.load("pipeline.joblib")

    @bentoml.api
    def predict(self, rows: list[dict[str, Any]]) -> list[list[float]]:
        """Return probabilities."""
        return self.pipeline.predict_proba(pd.DataFrame(rows).fillna(value=float("nan"))).tolist()
