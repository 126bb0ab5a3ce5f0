"""What may be tuned: `params.yaml` as a frozen, typed object."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from assay.config import Frozen, read_config

PARAMS = Path("params.yaml")


class Validate(Frozen):
    """Limits of the checks of duplicates, rare classes and leakage, whose outcomes stand in reports/validate.json."""

    duplicate_share: float = Field(ge=0, le=1)
    smallest_class_share: float = Field(ge=0, le=1)
    leakage_score: float = Field(gt=0.5, le=1)
    id_like_share: float = Field(gt=0, le=1)


class Prepare(Frozen):
    """The shares of the rows that are held back; `salt` keys the hash that draws them."""

    test: float = Field(gt=0, lt=1)
    validation: float = Field(gt=0, lt=1)
    salt: str

    @model_validator(mode="after")
    def _leaves_rows_to_train_on(self) -> Self:
        if self.test + self.validation >= 1:
            raise ValueError(f"test {self.test} and validation {self.validation} leave no row to train on")
        return self


class Tune(Frozen):
    """The search over model families; without `search` the model below is taken as it stands."""

    search: bool
    trials: int = Field(ge=1)
    folds: int = Field(ge=2)
    batch: int = Field(ge=1)
    max_rows: int = Field(ge=100)


class ModelChoice(Frozen):
    """A model family of `src/model/estimators.py` and its parameters."""

    family: str
    parameters: dict[str, bool | int | float | str | None]


class Train(Frozen):
    """How the chosen model is fitted."""

    calibrate: bool


class Evaluate(Frozen):
    """How sure the metrics are said to be, and how far the learning curve goes."""

    confidence: float = Field(gt=0.5, lt=1)
    resamples: int = Field(ge=100)
    learning_curve_points: int = Field(ge=2)
    learning_curve_max_rows: int = Field(ge=100)


class Analyse(Frozen):
    """The size of slices and perturbations, and the rows that explanations are made from."""

    slice_min_rows: int = Field(ge=5)
    slice_false_discovery_rate: float = Field(gt=0, lt=1)
    noise: float = Field(gt=0, le=1)
    max_rows: int = Field(ge=50)


class Export(Frozen):
    """How far the exported model may be from the scikit-learn pipeline."""

    tolerance: float = Field(gt=0)
    parity_rows: int = Field(ge=10)


class Remote(Frozen):
    """The size in MB past which the embedded remote may not grow."""

    embedded_limit_mb: float = Field(gt=0)


class Params(Frozen):
    """All of `params.yaml`."""

    seed: int = Field(ge=0, lt=2**32)
    validate_: Validate = Field(alias="validate")
    prepare: Prepare
    tune: Tune
    model: ModelChoice
    train: Train
    evaluate: Evaluate
    analyse: Analyse
    export: Export
    remote: Remote


def load_params(path: Path = PARAMS) -> Params:
    """Read the parameters; raises InputError for an unknown key, a wrong type or an impossible value."""
    return read_config(path, Params)
