"""The shapes of requests and answers, for the OpenAPI page and for BentoML's clients."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field, create_model

from assay.contract.spec import Contract

# The most rows that are explained per request.
MOST_EXPLAINED = 10


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=(), defer_build=True)


class Nothing(_Shape):
    """An empty request."""


class Prediction(_Shape):
    """The prediction for a row: the most probable class, and the decision given the costs of errors."""

    prediction: str | float = Field(description="the most probable class, or the predicted number")
    probabilities: dict[str, float] = Field(default={}, description="the probability of each class")
    decision: str = Field(default="", description="the class to act on: the positive class at or above the threshold")
    prediction_id: str = Field(description="report the outcome with this id")
    warnings: list[str] = Field(default=[], description="values outside the training range")


class Predictions(_Shape):
    """The predictions for rows, in their order."""

    predictions: list[Prediction]
    model_version: str


class Contribution(_Shape):
    """How much a column moved the score."""

    column: str
    contribution: float


class Explanation(_Shape):
    """What makes up a score: the mean score of the background rows, and what each column adds to it."""

    explains: str = Field(description="the class whose probability is explained, or the target")
    score: float
    background: float = Field(description="the mean score of some training rows")
    contributions: list[Contribution] = Field(description="they add up to the score minus the background")


class Explanations(_Shape):
    """The explanations of rows, in their order."""

    explanations: list[Explanation]
    model_version: str


class About(_Shape):
    """The model: version, contract, metrics and card."""

    model_version: str
    name: str
    task: str
    classes: list[str]
    threshold: float | None
    served: str = Field(description="the served form: onnx, or skops for the scikit-learn pipeline")
    reason: str = Field(description="why the model is not served as ONNX; empty if it is")
    row_ms: float = Field(description="milliseconds per row, measured at the start")
    choice: dict[str, Any]
    versions: dict[str, str]
    contract: dict[str, Any]
    contract_sha256: str
    metrics: dict[str, Any]
    card: str


def outcomes_model(contract: Contract) -> type[BaseModel]:
    """Return the model of `{"outcomes": [{"prediction_id": ..., "outcome": ...}, ...]}`, reported outcomes."""
    strict = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)
    low, high = contract.target.range or (None, None)
    kind: Any = Literal[contract.classes] if contract.classes else Annotated[float, Field(ge=low, le=high)]
    name = (str, Field(min_length=1, max_length=100, description="the id from the prediction"))
    outcome = create_model("Outcome", __config__=strict, prediction_id=name, outcome=(kind, ...))
    outcomes = Annotated[list[outcome], Field(min_length=1, max_length=10_000), FailFast()]  # type: ignore[valid-type]
    return create_model("Outcomes", __config__=strict, outcomes=(outcomes, ...))


class Received(_Shape):
    """How many outcomes were recorded, and how many were not, for no prediction can have their id."""

    received: int
    unknown: int = 0


class Error(_Shape):
    """Why the request was refused."""

    error: str
    problems: list[str] = []
