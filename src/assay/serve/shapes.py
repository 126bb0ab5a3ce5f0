"""The shapes of answers, for the OpenAPI page and for BentoML's client."""

from pydantic import BaseModel


class Prediction(BaseModel):
    """What the model answers to a row."""

    prediction: str | float
    probabilities: dict[str, float] | None = None
    decision: str | None = None
    prediction_id: str
    warnings: list[str] = []


class Predictions(BaseModel):
    """The answers to rows, in their order."""

    predictions: list[Prediction]
    model_version: str
