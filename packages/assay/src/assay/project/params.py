"""What may be tuned: `params.yaml` as a frozen, typed object."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from assay.base.config import Frozen, read_config
from assay.project.settings import PARAMS, Export, Serve


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


class Gate(Frozen):
    """What every gate has: a switch. A limit that is not set (None) makes its gate HOLD."""

    enabled: bool = True


class ContractGate(Gate):
    """How far data may be from the version that the champion was trained on, before a person has to look.

    Shares of rows: `rewritten` in one column, `removed`. Differences of shares: `class_change`, `missing_change`. And
    `drift`, the distance between the distributions of old and new rows (Kolmogorov and Smirnov's for numbers, total
    variation for categories), when it is also significant at `significance`, corrected for looking at every column.
    """

    rewritten: float | None = Field(default=None, ge=0, le=1)
    removed: float | None = Field(default=None, ge=0, le=1)
    class_change: float | None = Field(default=None, ge=0, le=1)
    missing_change: float | None = Field(default=None, ge=0, le=1)
    drift: float | None = Field(default=None, ge=0, le=1)
    significance: float | None = Field(default=None, gt=0, lt=1)


class ReproducibilityGate(Gate):
    """Models fitted with other `seeds` may differ in the metric of the quality gate by `spread`."""

    seeds: int | None = Field(default=None, ge=0)
    spread: float | None = Field(default=None, ge=0)


class QualityGate(Gate):
    """The metric that decides, by how much it may be worse (`margin`), what it must reach (`floor`), and how surely.

    `cost_margin` is by how much a decision may be dearer, as a share of what one without a model costs.
    """

    metric: str | None = None
    margin: float | None = Field(default=None, ge=0)
    floor: float | None = None
    cost_margin: float | None = Field(default=None, ge=0)
    confidence: float | None = Field(default=None, gt=0.5, lt=1)
    resamples: int | None = Field(default=None, ge=100)


class SlicesGate(Gate):
    """The loss of no slice may rise by more than `margin` of the champion's mean loss."""

    margin: float | None = Field(default=None, ge=0)
    min_rows: int | None = Field(default=None, ge=5)
    false_discovery_rate: float | None = Field(default=None, gt=0, lt=1)


class CalibrationGate(Gate):
    """Limits of the expected calibration error (classes) or the miss of interval coverage (numbers).

    `error` is absolute, `margin` how much worse than the champion, which also holds for the Brier score.
    """

    error: float | None = Field(default=None, gt=0, le=1)
    margin: float | None = Field(default=None, ge=0)


class RobustnessGate(Gate):
    """How many answers a small change of the inputs may change: at most, and more than the champion's (`margin`)."""

    changed: float | None = Field(default=None, gt=0)
    margin: float | None = Field(default=None, ge=0)


class DominanceGate(Gate):
    """No label may be answered for more than this `share` of the rows, unless as many truly have it."""

    share: float | None = Field(default=None, gt=0.5, le=1)


class FairnessGate(Gate):
    """How far apart groups may be, in any rate: at most, and more than the champion's (`margin`)."""

    difference: float | None = Field(default=None, ge=0)
    margin: float | None = Field(default=None, ge=0)


class ExamplesGate(Gate):
    """How many examples Hypothesis tries."""

    examples: int | None = Field(default=None, ge=1)


class ServiceGate(Gate):
    """How the built Bento is loaded, and what it is held to under that load.

    `users` ask without a pause, in `rounds` of `seconds`, candidate and champion in turns. At least `requests` have to
    be answered, and of all at most the share `errors` wrongly. Against the champion, as a share more: `slower` in
    throughput, processor time and median latency, `tail` in the 95th and 99th percentile, `memory`; and `growth` times
    the size, `starts` times the start. By itself: milliseconds, bytes a request that memory grows by, MB, seconds.
    """

    users: int | None = Field(default=None, ge=1, le=1000)
    rounds: int | None = Field(default=None, ge=1, le=1000)
    seconds: float | None = Field(default=None, gt=0, le=3600)
    requests: int | None = Field(default=None, ge=1)
    confidence: float | None = Field(default=None, gt=0.5, lt=1)
    errors: float | None = Field(default=None, ge=0, lt=1)
    slower: float | None = Field(default=None, ge=0)
    tail: float | None = Field(default=None, ge=0)
    memory: float | None = Field(default=None, ge=0)
    growth: float | None = Field(default=None, ge=1)
    starts: float | None = Field(default=None, ge=1)
    median_ms: float | None = Field(default=None, gt=0)
    p99_ms: float | None = Field(default=None, gt=0)
    leak_bytes: float | None = Field(default=None, gt=0)
    memory_mb: float | None = Field(default=None, gt=0)
    size_mb: float | None = Field(default=None, gt=0)
    start_seconds: float | None = Field(default=None, gt=0)


class Gates(Frozen):
    """The gates of a change, each switched and limited."""

    contract: ContractGate = ContractGate()
    leakage: Gate = Gate()
    lock: Gate = Gate()
    reproducibility: ReproducibilityGate = ReproducibilityGate()
    quality: QualityGate = QualityGate()
    slices: SlicesGate = SlicesGate()
    calibration: CalibrationGate = CalibrationGate()
    robustness: RobustnessGate = RobustnessGate()
    dominance: DominanceGate = DominanceGate()
    fairness: FairnessGate = FairnessGate()
    expectations: ExamplesGate = ExamplesGate()
    parity: ExamplesGate = ExamplesGate()
    service: ServiceGate = ServiceGate()


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
    serve: Serve
    gates: Gates = Gates()
    remote: Remote


def load_params(path: Path = PARAMS) -> Params:
    """Read the parameters; raises InputError for an unknown key, a wrong type or an impossible value."""
    return read_config(path, Params)
