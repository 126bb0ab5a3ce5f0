"""How much of the deciding metric is chance: what another seed changes."""

from itertools import combinations
from typing import Any, NamedTuple

from assay.base.progress import track
from assay.contract.spec import Contract
from assay.project.params import Params
from assay.project.room import Room

SEEDS = 2


class Noise(NamedTuple):
    """What other seeds change of the deciding metric on the test rows.

    `difference` is the largest that the paired intervals of the gate `quality` hold possible, `spread` the range of the
    values.
    """

    difference: float
    spread: float


def seed_noise(params: Params, contract: Contract, room: Room) -> Noise:
    """Fit the model with other seeds on the train rows, and compare all of these models in pairs."""
    # Imported here: a dry run needs no scikit-learn.
    from assay.data.columns import columns, target
    from assay.evaluation.metrics import ScoredRows, compare, measure, metrics_for
    from assay.gates.evidence import dependent
    from assay.modelling.fitting import build, decide, fit, scores
    from assay.modelling.store import load_trained
    from assay.project.layout import read_choice, read_split

    train, test = read_split("train"), read_split("test")
    known, answers, asked, truth = (
        columns(train, contract),
        target(train, contract),
        columns(test, contract),
        target(test, contract),
    )
    trained = load_trained(room)

    def judged(pipeline: Any) -> ScoredRows:
        given = scores(pipeline, asked, contract, room)
        return ScoredRows(truth, given, decide(given, contract, trained.threshold), contract.costs)

    models = [judged(trained.train_only)]
    for seed in track(range(params.seed + 1, params.seed + 1 + SEEDS), SEEDS, "other seeds"):
        pipeline = build(read_choice(), contract, seed, calibrate=params.train.calibrate, room=room)
        fit(pipeline, known, answers, contract, room)
        models.append(judged(pipeline))
    how = params.gates.quality
    metric = next(one for one in metrics_for(contract) if one.name == how.metric)
    options: dict[str, Any] = {
        "confidence": how.confidence or 0.95,
        "resamples": how.resamples or 2000,
        "seed": params.seed,
        "units": dependent(test, contract),
    }
    found = [compare(pair, [metric], **options)[metric.name] for pair in combinations(models, 2)]
    values = [measure(rows, [metric])[metric.name] for rows in models]
    return Noise(max(abs(end) for one in found for end in (one.low, one.high)), max(values) - min(values))
