"""FastAPI, a joblib pipeline, and a frame for each request."""

from typing import Any

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
pipeline = joblib.load("pipeline.joblib")


class Request(BaseModel):
    """Rows."""

    rows: list[dict[str, Any]]


@app.post("/predict")
def predict(request: Request) -> list[list[float]]:
    """Return probabilities."""
    return pipeline.predict_proba(pd.DataFrame(request.rows).fillna(value=float("nan"))).tolist()
