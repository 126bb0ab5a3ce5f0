"""The shapes of requests and answers, for the OpenAPI page and for BentoML's clients."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field, create_model

from assay.contract.spec import Contract

# So many rows are explained at once.
MOST_EXPLAINED = 10


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=(), defer_build=True)


class Nothing(_Shape):
    """A request that says nothing."""


class Prediction(_Shape):
    """What the model answers to a row: what is likeliest, and what to decide in view of what errors cost."""

    prediction: str | float = Field(description="the likeliest class, or the number")
    probabilities: dict[str, float] = Field(default={}, description="of each class")
    decision: str = Field(default="", description="the class to act on: the positive one at or above the threshold")
    prediction_id: str = Field(description="what to report the outcome under")
    warnings: list[str] = Field(default=[], description="values outside of all that the model was trained on")


class Predictions(_Shape):
    """The answers to rows, in their order."""

    predictions: list[Prediction]
    model_version: str


class Contribution(_Shape):
    """By how much a column moved the score."""

    column: str
    contribution: float


class Explanation(_Shape):
    """Why a score is what it is: the mean score of the background, and what each column adds to it."""

    explains: str = Field(description="the class whose probability is explained, or the target")
    score: float
    background: float = Field(description="the mean score of rows that the model was trained on")
    contributions: list[Contribution] = Field(description="they add up to the score less that of the background")


class Explanations(_Shape):
    """The explanations of rows, in their order."""

    explanations: list[Explanation]
    model_version: str


class About(_Shape):
    """What the model is."""

    model_version: str
    name: str
    task: str
    classes: list[str]
    threshold: float | None
    served: str = Field(description="onnx, or skops for the scikit-learn pipeline")
    reason: str = Field(description="why it is not served as ONNX, if so")
    row_ms: float = Field(description="what one row took when the service started, in milliseconds")
    choice: dict[str, Any]
    versions: dict[str, str]
    contract: dict[str, Any]
    contract_sha256: str
    metrics: dict[str, Any]
    card: str


def outcomes_model(contract: Contract) -> type[BaseModel]:
    """Return the model of `{"outcomes": [{"prediction_id": ..., "outcome": ...}, ...]}`, outcomes now known."""
    strict = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)
    kind: Any = Literal[contract.classes] if contract.classes else float
    name = (str, Field(min_length=1, max_length=100, description="as it was given with the prediction"))
    outcome = create_model("Outcome", __config__=strict, prediction_id=name, outcome=(kind, ...))
    outcomes = Annotated[list[outcome], Field(min_length=1, max_length=10_000), FailFast()]  # type: ignore[valid-type]
    return create_model("Outcomes", __config__=strict, outcomes=(outcomes, ...))


class Received(_Shape):
    """How many outcomes were taken down."""

    received: int


class Error(_Shape):
    """Why there is no answer."""

    error: str
    problems: list[str] = []
