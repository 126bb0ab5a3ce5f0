"""What the gates will find of a first model besides its metrics; their limits depend on it."""

from typing import TYPE_CHECKING, Any, NamedTuple

from assay.contract.spec import Contract
from assay.project.params import Params
from assay.project.room import Room
from assay.statistics.bootstrap import Estimate

if TYPE_CHECKING:
    import pyarrow as pa
    from sklearn.pipeline import Pipeline

    # A dry run needs no scikit-learn.
    from assay.modelling.store import Trained

# The share of the train rows in each of the other fits.
KEPT = 0.95


class GateNumbers(NamedTuple):
    """What gates will find on the test rows.

    Of the deciding metric, what another fit changes: `difference` is the largest that the paired interval of the gate
    `quality` holds possible, `spread` that of the two values. `missed` is the upper end of the excess share of values
    outside their interval (`calibration`; 0 for classes), `changed` what perturbations change (`robustness`).
    """

    difference: float = 0.0
    spread: float = 0.0
    missed: float = 0.0
    changed: Estimate = Estimate(0.0, 0.0, 0.0)


def gate_numbers(
    others: "list[Pipeline]", trained: "Trained", params: Params, contract: Contract, room: Room
) -> GateNumbers:
    """Return what gates will find of a model; `others` are its `other_fits`."""
    about = trained, params, contract, room
    return GateNumbers(*fit_noise(others, *about), missed_coverage(*about), change_by_perturbations(*about))


def other_fits(params: Params, contract: Contract, room: Room) -> "list[Pipeline]":
    """Return a fit of the model with another seed on 19 of 20 train rows: as much as a harmless change may alter.

    If a fit on these takes longer than two on the rows of a search, then two on such rows.
    """
    # Imported here: a dry run needs no scikit-learn.
    from assay.data.columns import columns, target
    from assay.data.sample import sample
    from assay.modelling.fitting import build, fit
    from assay.project.layout import read_choice, read_split

    whole = read_split("train")
    is_whole = whole.num_rows <= 2 * params.tune.max_rows
    train = whole if is_whole else sample(whole, params.tune.max_rows, params.seed)

    def fitted(seed: int) -> "Pipeline":
        rows = sample(train, round(KEPT * train.num_rows), seed)
        pipeline = build(read_choice(), contract, seed, calibrate=params.train.calibrate, room=room)
        return fit(pipeline, columns(rows, contract), target(rows, contract), contract, room)

    return [fitted(params.seed + more) for more in ((1,) if is_whole else (1, 2))]


def fit_noise(
    others: "list[Pipeline]", trained: "Trained", params: Params, contract: Contract, room: Room
) -> tuple[float, float]:
    """Return `difference` and `spread` of `GateNumbers`.

    It compares two fits on the test rows: those of `other_fits`, or its one with stage train's.
    """
    # Imported here: a dry run needs no scikit-learn.
    from assay.data.columns import columns, target
    from assay.evaluation.metrics import ScoredRows, compare, measure, metrics_for
    from assay.modelling.fitting import decide, scores
    from assay.project.layout import read_split

    test = read_split("test")
    asked, truth = columns(test, contract), target(test, contract)

    def judged(pipeline: Any) -> ScoredRows:
        given = scores(pipeline, asked, contract, room)
        return ScoredRows(truth, given, decide(given, contract, trained.threshold), contract.costs)

    models = others if len(others) > 1 else [trained.train_only, *others]
    first, second = map(judged, models)
    metric = next(one for one in metrics_for(contract) if one.name == params.gates.quality.metric)
    found = compare((first, second), [metric], **_interval_options(params, test, contract))[metric.name]
    values = [measure(rows, [metric])[metric.name] for rows in (first, second)]
    return (max(abs(found.low), abs(found.high)), max(values) - min(values))


def _interval_options(params: Params, test: "pa.Table", contract: Contract) -> dict[str, Any]:
    """Return the options of intervals on the test rows, as the gates take them."""
    from assay.gates.evidence import dependent

    how = params.gates.quality
    return {
        "confidence": how.confidence or 0.95,
        "resamples": how.resamples or 2000,
        "seed": params.seed,
        "units": dependent(test, contract),
    }


def missed_coverage(trained: "Trained", params: Params, contract: Contract, room: Room) -> float:
    """Return the upper end of the share of test values outside their interval that the gate `calibration` will find.

    0 for classes, which have no intervals.
    """
    if contract.task != "regression":
        return 0.0
    # Imported here: a dry run needs no scikit-learn.
    from assay.data.columns import columns, target
    from assay.evaluation.metrics import ScoredRows, estimate
    from assay.gates.calibration import MISSED, with_intervals
    from assay.modelling.fitting import scores
    from assay.project.layout import read_split

    test, validation = read_split("test"), read_split("validation")

    def judged(pipeline: Any, rows: Any) -> ScoredRows:
        given = scores(pipeline, columns(rows, contract), contract, room)
        return ScoredRows(target(rows, contract), given, given)

    rows = with_intervals(judged(trained.pipeline, test), judged(trained.train_only, validation))
    return estimate(rows, [MISSED], **_interval_options(params, test, contract))[MISSED.name].high


def change_by_perturbations(trained: "Trained", params: Params, contract: Contract, room: Room) -> Estimate:
    """Return what the gate `robustness` will find: by how much perturbations of the test rows change predictions."""
    # Imported here: a dry run needs no scikit-learn.
    from assay.data.columns import columns
    from assay.evaluation.metrics import ScoredRows, estimate
    from assay.gates.evidence import perturbed_rows
    from assay.gates.robustness import CHANGED
    from assay.modelling.fitting import decide, scores
    from assay.project.layout import read_split

    test = read_split("test")
    moved = perturbed_rows(test, contract, None, noise=params.analyse.noise, seed=params.seed)
    before, after = (scores(trained.pipeline, columns(rows, contract), contract, room) for rows in (test, moved))
    first, second = (decide(given, contract, trained.threshold) for given in (before, after))
    rows = ScoredRows(first, before, second)
    return estimate(rows, [CHANGED], **_interval_options(params, test, contract))[CHANGED.name]
