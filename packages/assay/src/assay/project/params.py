"""The parameters: `params.yaml` as a frozen, typed object."""

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from assay.base.config import Frozen, read_config
from assay.base.errors import InputError
from assay.project.settings import PARAMS, Export, Outcomes, Serve

# The value of a parameter.
Value = bool | int | float | str | None


class Validate(Frozen):
    """Limits of the checks of duplicates, rare classes and leakage, whose outcomes are in reports/validate.json."""

    duplicate_share: float = Field(
        ge=0,
        le=1,
        description=(
            "Largest share of rows that repeat the features of another row, and of test rows that repeat a training "
            "row."
        ),
    )
    smallest_class_share: float = Field(
        ge=0, le=1, description="Smallest share of rows that the rarest class must have."
    )
    leakage_score: float = Field(
        gt=0.5, le=1, description="A feature that alone explains this share of the target gives it away; 1 is a copy."
    )
    id_like_share: float = Field(
        gt=0,
        le=1,
        description="A category, text or whole number with at least this share of distinct values looks like an id.",
    )


class Prepare(Frozen):
    """The shares of validation and test rows; `salt` keys the hash that draws them."""

    test: float = Field(gt=0, lt=1, description="Share of the rows in the test set.")
    validation: float = Field(gt=0, lt=1, description="Share of the rows in the validation set.")
    salt: str = Field(description="Key of the hash that splits the rows; change it for another split.")

    @model_validator(mode="after")
    def _leaves_rows_to_train_on(self) -> Self:
        if self.test + self.validation >= 1:
            raise ValueError(f"test {self.test} and validation {self.validation} leave no rows to train on")
        return self


class Tune(Frozen):
    """The search over model families; without `search` the model below is used as it is."""

    search: bool = Field(description="Whether the pipeline searches for a model; otherwise it takes `model` as it is.")
    method: Literal["race", "grid"] = Field(
        default="race",
        description=(
            "How a search chooses what it tries: `race` lets the model families compete, each with parameters that did "
            "well so far; `grid` tries each combination of `grid`."
        ),
    )
    grid: dict[str, dict[str, Annotated[list[Value], Field(min_length=1)]]] = Field(
        default={},
        description=(
            "What `method: grid` tries: for model families the values of their parameters, of which each combination "
            "is a trial: {linear: {C: [0.1, 1, 10]}}."
        ),
    )
    trials: int = Field(
        ge=1,
        description=(
            "Most configurations that a search tries, shared by the model families until one is significantly worse "
            "than others. A search ends earlier when more hardly help."
        ),
    )
    seconds: float | None = Field(
        default=None,
        gt=0,
        description=(
            "Most seconds that a search takes, besides what is running; null is no limit. With it, the model that is "
            "found depends on how fast the machine is."
        ),
    )
    folds: int = Field(
        ge=2,
        description=(
            "Cross-validation folds for each trial; they keep groups together and times in order, as the split does."
        ),
    )
    batch: int = Field(
        ge=1, description="Trials proposed at a time. It affects the result; the number of processors does not."
    )
    max_rows: int = Field(ge=100, description="Most rows that a search uses.")

    @model_validator(mode="after")
    def _has_a_grid_if_it_needs_one(self) -> Self:
        if self.method == "grid" and not self.grid:
            raise ValueError("`method: grid` needs `grid`, such as {linear: {C: [0.1, 1, 10]}}")
        return self


PARAMETERS = "Parameters of the family's estimator, and `log_target` and `select_features`, for all but `log_boosting`."


class Member(Frozen):
    """One of the models whose predictions are averaged."""

    family: str = Field(description="A model family.")
    parameters: dict[str, Value] = Field(description=PARAMETERS)
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False, description="Its weight, relative to the others.")


# The family that averages the predictions of others.
MEAN = "mean"


class ModelChoice(Frozen):
    """A model family of `src/model/estimators.py` and its parameters."""

    family: str = Field(
        description="A model family: one of Assay's, one from `src/model/estimators.py`, or `mean` of several models."
    )
    parameters: dict[str, Value] = Field(description=PARAMETERS)
    members: tuple[Member, ...] = Field(
        default=(), description="The models of the family `mean`, whose predictions are averaged."
    )

    @model_validator(mode="after")
    def _has_members_if_it_is_a_mean(self) -> Self:
        if (self.family == MEAN) != bool(self.members):
            raise ValueError("members are needed for the family `mean`, and only for it")
        if any(one.family == MEAN for one in self.members):
            raise ValueError("a member is a single model: there is no mean of means")
        if self.members and self.parameters:
            raise ValueError("the family `mean` has no parameters of its own; its members have")
        return self

    @property
    def singles(self) -> list["ModelChoice"]:
        """The members as choices of their own."""
        return [ModelChoice(family=one.family, parameters=one.parameters) for one in self.members]

    @property
    def is_weighted(self) -> bool:
        """Whether some members count more than others."""
        return len({one.weight for one in self.members}) > 1

    @property
    def words(self) -> str:
        """The family and the parameters, for people."""
        if self.members:
            words = [one.words for one in self.singles]
            if self.is_weighted:
                words = [f"{one.weight:g} {said}" for one, said in zip(self.members, words, strict=True)]
            return f"mean of {', '.join(words)}"
        return f"{self.family} (" + (", ".join(f"{n} {v}" for n, v in self.parameters.items()) or "defaults") + ")"


class Train(Frozen):
    """How the chosen model is fitted."""

    calibrate: bool = Field(
        description=(
            "Whether to calibrate probabilities with Platt's method, on out-of-fold scores. These folds do not keep "
            "groups together."
        ),
    )
    refit: bool = Field(
        default=True,
        description=(
            "Whether the model that is served is fitted again on train and validation rows, with boosting rounds in "
            "proportion. The threshold, intervals and validation metrics still come from the fit on train rows alone."
        ),
    )

    max_memory: int | None = Field(
        default=None,
        ge=1,
        description=(
            "Megabytes of memory that fitting may take, by an estimate from the columns; if all rows take more, it "
            "takes those that a hash draws. null is no limit: what is free on a machine must not decide which model "
            "it makes."
        ),
    )

    workers: int | None = Field(
        default=None,
        ge=1,
        description=(
            "Workers of the cluster in `engine` that fit a model of the family `lightgbm` together, each with a part "
            "of the rows, if they take 256 MB and more; null fits it on this machine. Another number of workers makes "
            "a slightly different model."
        ),
    )

    @model_validator(mode="after")
    def _takes_all_rows_on_a_cluster(self) -> Self:
        if self.workers and self.max_memory:
            raise ValueError("with `workers` a fit takes all rows: remove `max_memory`")
        return self

    @property
    def sides(self) -> tuple[str, ...]:
        """The sides of the split that the served model is fitted on."""
        return ("train", "validation") if self.refit else ("train",)


class Evaluate(Frozen):
    """The intervals of the metrics and the learning curve."""

    confidence: float = Field(gt=0.5, lt=1, description="Confidence level of the bootstrap intervals.")
    resamples: int = Field(ge=100, description="Number of bootstrap resamples.")
    learning_curve_points: int = Field(
        ge=2, description="Number of training sizes on the learning curve; each is half of the next."
    )
    learning_curve_max_rows: int = Field(ge=100, description="Largest training size on the learning curve.")


class Analyse(Frozen):
    """The size of slices and perturbations, and the rows that explanations are made from."""

    slice_min_rows: int = Field(ge=5, description="Fewest rows that a slice needs to be judged.")
    slice_false_discovery_rate: float = Field(
        gt=0, lt=1, description="False discovery rate among the slices reported as worse."
    )
    noise: float = Field(gt=0, le=1, description="Size of the perturbations of numbers, in interquartile ranges.")
    max_rows: int = Field(ge=50, description="Most rows for sensitivity and explanations.")


class GateSettings(Frozen):
    """The switch that every gate has. A limit that is not set (None) makes its gate HOLD."""

    enabled: bool = Field(default=True, description="Whether this gate judges; `false` makes its outcome SKIP.")


class ContractGate(GateSettings):
    """How far data may differ from the champion's training data before a person must look.

    Shares of rows: `rewritten` in one column, `removed`. Differences of shares: `class_change`, `missing_change`. The
    distance between the distributions of old and new rows: `drift` (Kolmogorov-Smirnov for numbers, total variation for
    categories), if it is also significant at level `significance`, corrected for the number of columns.
    """

    rewritten: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Largest share of the champion's rows in which one column may have another value.",
    )
    removed: float | None = Field(
        default=None, ge=0, le=1, description="Largest share of the champion's rows that may be gone."
    )
    class_change: float | None = Field(default=None, ge=0, le=1, description="Largest change in the share of a class.")
    missing_change: float | None = Field(
        default=None, ge=0, le=1, description="Largest change in the share of missing values of a column."
    )
    drift: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description=(
            "Largest distance between the distributions of old and new rows: Kolmogorov-Smirnov for numbers, total "
            "variation for categories. With a split by time, the distance beyond that between earlier windows of as "
            "many rows."
        ),
    )
    significance: float | None = Field(
        default=None, gt=0, lt=1, description="Significance level for drift, corrected for testing every column."
    )


class ReproducibilityGate(GateSettings):
    """Models fitted with other `seeds` may differ in the metric of the quality gate by `spread`."""

    seeds: int | None = Field(default=None, ge=0, description="Number of other seeds to train with.")
    spread: float | None = Field(
        default=None, ge=0, description="Largest difference in the deciding metric between seeds."
    )


class QualityGate(GateSettings):
    """The deciding metric, its non-inferiority `margin`, its `floor`, and the confidence of the intervals.

    `cost_margin` is the allowed increase in cost per decision, as a share of the cost without a model.
    """

    metric: str | None = Field(default=None, description="The metric that decides.")
    margin: float | None = Field(
        default=None, ge=0, description="How much worse than the champion the metric may be (non-inferiority margin)."
    )
    floor: float | None = Field(
        default=None, description="The value that the metric must reach, whatever the champion does."
    )
    cost_margin: float | None = Field(
        default=None,
        ge=0,
        description="How much more a decision may cost than the champion's, as a share of the cost without a model.",
    )
    confidence: float | None = Field(
        default=None, gt=0.5, lt=1, description="Confidence level of the intervals of all gates but `service`."
    )
    resamples: int | None = Field(
        default=None, ge=100, description="Number of bootstrap resamples for the intervals of all gates but `service`."
    )


class SlicesGate(GateSettings):
    """The loss of no slice may rise by more than `margin` of the champion's mean loss; some slices have floors."""

    margin: float | None = Field(
        default=None, ge=0, description="Largest rise of a slice's mean loss, as a share of the champion's mean loss."
    )
    min_rows: int | None = Field(default=None, ge=5, description="Fewest rows that a slice needs to be judged.")
    false_discovery_rate: float | None = Field(
        default=None, gt=0, lt=1, description="False discovery rate among the slices called worse."
    )
    floors: dict[str, float] = Field(
        default={},
        description=(
            "Floors of gates.quality.metric on slices that the contract declares, also for a first model, by the name "
            "of the slice in the report: {ward is west: 0.8}."
        ),
    )


class CalibrationGate(GateSettings):
    """Limits of the expected calibration error (classes) or the shortfall of interval coverage (regression).

    `error` is absolute; `margin` is relative to the champion, and applies to the Brier score too.
    """

    error: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description=(
            "Largest calibration error; for regression, the largest share of rows outside their interval beyond the "
            "expected share."
        ),
    )
    margin: float | None = Field(
        default=None, ge=0, description="How much worse than the champion it may be; also holds for the Brier score."
    )


class RobustnessGate(GateSettings):
    """The share of predictions that perturbations may change: at most, and above the champion's (`margin`)."""

    changed: float | None = Field(
        default=None, gt=0, description="Largest share of predictions that perturbations of the inputs may change."
    )
    margin: float | None = Field(default=None, ge=0, description="How much more than the champion's that share may be.")


class DominanceGate(GateSettings):
    """No label may be predicted for more than this `share` of the rows, unless as many truly have it."""

    share: float | None = Field(
        default=None,
        gt=0.5,
        le=1,
        description="Largest share of rows that may get the same label, unless as many truly have it.",
    )


class FairnessGate(GateSettings):
    """The difference between groups in any rate: at most, and from all others above the champion's (`margin`)."""

    difference: float | None = Field(default=None, ge=0, description="Largest difference of a rate between two groups.")
    margin: float | None = Field(
        default=None, ge=0, description="How much farther from all others than with the champion a group's rate may be."
    )


class ExamplesGate(GateSettings):
    """How many examples Hypothesis tries."""

    examples: int | None = Field(default=None, ge=1, description="Number of examples that Hypothesis tries.")


class ServiceGate(GateSettings):
    """The load on the built Bento, and its limits under that load.

    `users` send requests without a pause, in `rounds` of `seconds`, alternating between candidate and champion. At
    least `requests` must be completed, with at most the share `errors` wrong. Relative to the champion: `slower` for
    throughput, CPU time and median latency, `tail` for the 95th and 99th percentile, and `memory`, all as an additional
    share; `growth` and `starts` as factors of size and start time. Absolute: milliseconds, bytes of memory growth per
    request, MB, seconds.
    """

    users: int | None = Field(default=None, ge=1, le=1000, description="Clients that send requests at the same time.")
    rounds: int | None = Field(
        default=None, ge=1, le=1000, description="Rounds of load for each of candidate and champion."
    )
    seconds: float | None = Field(default=None, gt=0, le=3600, description="Length of a round, in seconds.")
    requests: int | None = Field(default=None, ge=1, description="Fewest answers needed to judge.")
    confidence: float | None = Field(
        default=None, gt=0.5, lt=1, description="Confidence level of the intervals of this gate."
    )
    errors: float | None = Field(default=None, ge=0, lt=1, description="Largest share of wrong or missing answers.")
    slower: float | None = Field(
        default=None,
        ge=0,
        description=(
            "How much worse than the champion's throughput, processor time per request and median latency may be, as "
            "a share."
        ),
    )
    tail: float | None = Field(
        default=None,
        ge=0,
        description="How much worse than the champion's the 95th and 99th percentile of latency may be, as a share.",
    )
    memory: float | None = Field(
        default=None, ge=0, description="How much more memory than the champion the service may use, as a share."
    )
    growth: float | None = Field(
        default=None, ge=1, description="How many times as large as the champion's Bento and model may be."
    )
    starts: float | None = Field(
        default=None, ge=1, description="How many times as long as the champion's a start may take."
    )
    median_ms: float | None = Field(default=None, gt=0, description="Largest median latency, in ms.")
    p99_ms: float | None = Field(default=None, gt=0, description="Largest 99th percentile of latency, in ms.")
    leak_bytes: float | None = Field(
        default=None, gt=0, description="Most bytes by which memory may grow with each request."
    )
    memory_mb: float | None = Field(default=None, gt=0, description="Most memory of the service, in MB.")
    size_mb: float | None = Field(default=None, gt=0, description="Largest size of the Bento, in MB.")
    start_seconds: float | None = Field(default=None, gt=0, description="Longest start, in seconds.")


class Gates(Frozen):
    """The gates of a change with their switches and limits."""

    contract: ContractGate = Field(
        default=ContractGate(), description="The data keeps to contract.yaml and is like the champion's data."
    )
    leakage: GateSettings = Field(
        default=GateSettings(), description="No feature gives the target away, and the split does not leak."
    )
    lock: GateSettings = Field(
        default=GateSettings(), description="dvc.lock belongs to this code, data and these parameters."
    )
    reproducibility: ReproducibilityGate = Field(
        default=ReproducibilityGate(), description="Training again gives the same model."
    )
    quality: QualityGate = Field(
        default=QualityGate(), description="The deciding metric is not worse than the champion's."
    )
    slices: SlicesGate = Field(default=SlicesGate(), description="No slice gets worse while the average improves.")
    calibration: CalibrationGate = Field(
        default=CalibrationGate(), description="Probabilities and intervals mean what they say."
    )
    robustness: RobustnessGate = Field(
        default=RobustnessGate(), description="Perturbations of the inputs change few predictions."
    )
    dominance: DominanceGate = Field(default=DominanceGate(), description="No label is predicted for nearly all rows.")
    fairness: FairnessGate = Field(
        default=FairnessGate(), description="Rates do not differ too much between groups of sensitive columns."
    )
    expectations: ExamplesGate = Field(
        default=ExamplesGate(), description="The model does what src/model/expectations.py expects."
    )
    parity: ExamplesGate = Field(
        default=ExamplesGate(), description="The served model answers as the scikit-learn pipeline does."
    )
    service: ServiceGate = Field(
        default=ServiceGate(), description="The service holds up under load, compared with the champion's."
    )


class Collect(Frozen):
    """How many rows `assay feedback collect` may add to the committed data."""

    share: float = Field(
        default=0.2,
        gt=0,
        allow_inf_nan=True,
        description="Most rows to add, as a share of the rows that the committed data has; `.inf` for any number.",
    )
    client_share: float = Field(
        default=0.25,
        gt=0,
        le=1,
        description="Most rows of one client, as a share of the rows that may be added. Rows without a key are those "
        "of one client.",
    )


class Remote(Frozen):
    """The size limit of the embedded remote in MB."""

    embedded_limit_mb: float = Field(gt=0, description="Largest size of the embedded DVC remote, in MB.")


class Engine(Frozen):
    """Where the stages read large data and predict the rows of the split; the results are the same."""

    kind: Literal["local", "dask"] = Field(
        default="local",
        description=(
            "Where the stages read Parquet files of 256 MB and more, and predict the rows of such a side of the "
            "split: `local` is this machine, `dask` the workers of a Dask cluster. The results are the same. With "
            "`ASSAY_ENGINE=local` in the environment it is this machine, whatever is set here."
        ),
    )
    address: str | None = Field(
        default=None,
        pattern="^(tcp|tls)://.+:[0-9]+$",
        description="The address of the cluster's scheduler: `tcp://HOST:8786`, or `tls://`. Only with `kind: dask`.",
    )

    @model_validator(mode="after")
    def _has_an_address_if_it_needs_one(self) -> Self:
        if (self.kind == "dask") != (self.address is not None):
            raise ValueError("an address, such as tcp://127.0.0.1:8786, is needed for `kind: dask`, and only for it")
        return self


class Params(Frozen):
    """All of `params.yaml`."""

    seed: int = Field(
        ge=0, lt=2**32, description="Seed of everything random: the same seed, data and code give the same bytes."
    )
    validate_: Validate = Field(alias="validate", description="Limits of the data checks.")
    prepare: Prepare = Field(description="The split into train, validation and test.")
    tune: Tune = Field(description="The search for a model.")
    model: ModelChoice = Field(description="The model to train.")
    train: Train = Field(description="How the model is fitted.")
    evaluate: Evaluate = Field(description="Intervals and the learning curve.")
    analyse: Analyse = Field(description="Slices, sensitivity and explanations.")
    export: Export = Field(description="Export to ONNX.")
    serve: Serve = Field(description="The service.")
    outcomes: Outcomes = Field(default=Outcomes(), description="When outcomes are due, and what it means if none came.")
    collect: Collect = Field(
        default=Collect(), description="How many rows `assay feedback collect` may add to the data."
    )
    gates: Gates = Field(
        default=Gates(),
        description="What a change is judged by. A missing limit makes its gate HOLD; `enabled: false` makes it SKIP.",
    )
    remote: Remote = Field(description="The DVC remote.")
    engine: Engine = Field(
        default=Engine(),
        description="Where the stages read large data; a change of it makes no stage but `validate` run again.",
    )

    @model_validator(mode="after")
    def _has_a_cluster_if_it_needs_one(self) -> Self:
        if self.train.workers and not self.engine.address:
            raise ValueError("`train.workers` needs a cluster: engine: {kind: dask, address: ...}")
        return self


def load_params(path: Path = PARAMS) -> Params:
    """Read the parameters; with ASSAY_ENGINE=local in the environment they name no cluster.

    Raises InputError for an unknown key, a wrong type or an impossible value.
    """
    params = read_config(path, Params)
    if (engine := os.environ.get("ASSAY_ENGINE")) is None:
        return params
    if engine != "local":
        raise InputError(f"ASSAY_ENGINE: expected local, found {engine!r}")
    here = params.train.model_copy(update={"workers": None})
    return params.model_copy(update={"engine": Engine(), "train": here})
