"""What limits depend on besides the results: how much another seed changes, and how wide intervals are off."""

from typing import TYPE_CHECKING, Any, NamedTuple

from assay.contract.spec import Contract
from assay.project.params import Params
from assay.project.room import Room

if TYPE_CHECKING:
    import pyarrow as pa
    from sklearn.pipeline import Pipeline

    # A dry run needs no scikit-learn.
    from assay.modelling.store import Trained


class Noise(NamedTuple):
    """What another seed changes of the deciding metric on the test rows.

    `difference` is the largest that the paired interval of the gate `quality` holds possible, `spread` that of the two
    values.
    """

    difference: float
    spread: float


def other_seeds(params: Params, contract: Contract, room: Room) -> "list[Pipeline]":
    """Return a fit of the model with another seed on the train rows.

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
    known, answers = columns(train, contract), target(train, contract)

    def fitted(seed: int) -> "Pipeline":
        pipeline = build(read_choice(), contract, seed, calibrate=params.train.calibrate, room=room)
        return fit(pipeline, known, answers, contract, room)

    return [fitted(params.seed + more) for more in ((1,) if is_whole else (1, 2))]


def seed_noise(others: "list[Pipeline]", trained: "Trained", params: Params, contract: Contract, room: Room) -> Noise:
    """Compare two fits with different seeds on the test rows: those of `other_seeds`, or its one with stage train's."""
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
    return Noise(max(abs(found.low), abs(found.high)), max(values) - min(values))


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
