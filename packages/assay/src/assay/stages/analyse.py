"""Look behind the average: slices, perturbations, label dominance, groups, and feature importance."""

from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.pipeline import Pipeline

from assay.base.files import write_json
from assay.base.progress import say
from assay.contract.spec import load_contract
from assay.data.columns import Columns, columns, length, target
from assay.data.engine import cluster_at
from assay.data.sample import sample
from assay.data.split import stored
from assay.data.stored import Stored
from assay.evaluation.behaviour import dominance, fairness, sensitivity
from assay.evaluation.explain import permutation_importance, shap_importance, shapes
from assay.evaluation.metrics import ScoredRows
from assay.evaluation.slices import (
    SEARCHED_ROWS,
    compare_with_rest,
    declared,
    discover,
    groups,
    holds,
    part_columns,
    readable,
)
from assay.modelling.fitting import decide, scores
from assay.modelling.scoring import scores_of_rows
from assay.modelling.store import load_trained
from assay.project.layout import ANALYSIS
from assay.project.params import load_params
from assay.project.room import load_room
from assay.statistics.losses import row_losses

# SHAP values take as long as a thousand predictions.
SHAP_ROWS = 500


def main() -> None:
    """Write the analysis of the model on the test rows."""
    params, contract, room = load_params(), load_contract(), load_room()
    how = params.analyse
    trained = load_trained(room)
    pipeline, threshold = trained.pipeline, trained.threshold
    test, validation = (stored(side, cluster=cluster_at(params.engine.address)) for side in ("test", "validation"))

    def judged(model: Pipeline, table: pa.Table | Stored) -> ScoredRows:
        given = scores_of_rows(model, table, contract, room)
        return ScoredRows(target(table, contract), given, decide(given, contract, threshold), contract.costs)

    rows = judged(pipeline, test)
    # Slices are searched on the validation rows and judged on the test rows: judged on the rows of the search, a slice
    # would always be bad. So it would not, if the model had seen the rows of the search.
    looked_at = sample(validation, SEARCHED_ROWS, params.seed)
    suspected = judged(trained.train_only, looked_at)
    suspects = discover(
        readable(columns(looked_at, contract, part_columns(contract)), contract),
        row_losses(suspected.target, suspected.scores),
        min_rows=round(how.slice_min_rows * looked_at.num_rows / test.num_rows),
    )
    used = {part.column for part in contract.slices} | {part.column for several in suspects for part in several}
    used |= set(contract.sensitive)
    parts = readable(columns(test, contract, sorted(used)), contract) if used else {}
    named = declared(contract, parts)
    limits: dict[str, Any] = {"min_rows": how.slice_min_rows, "false_discovery_rate": how.slice_false_discovery_rate}
    losses = row_losses(rows.target, rows.scores)
    some_rows = sample(test, how.max_rows, params.seed)
    some, some_target = columns(some_rows, contract), target(some_rows, contract)

    def losses_of(data: Columns) -> np.ndarray:
        truth = np.resize(some_target, length(data))
        return row_losses(truth, scores(pipeline, data, contract, room))

    def answers(data: Columns) -> np.ndarray:
        return decide(scores(pipeline, data, contract, room), contract, threshold)

    found: dict[str, Any] = {
        "slices": {
            "declared": compare_with_rest(named, parts, losses, **limits),
            "discovered": compare_with_rest(suspects, parts, losses, **limits),
        },
        "sensitivity": sensitivity(some, contract, answers, noise=how.noise, seed=params.seed),
        "dominance": []
        if contract.task == "regression"
        else dominance(rows, contract, {" and ".join(map(str, part)): holds(part, parts) for part in named}),
        "fairness": fairness(
            rows, contract, {name: groups(parts[name], name, contract) for name in contract.sensitive}
        ),
        "importance": {
            "permutation": permutation_importance(some, losses_of, params.seed),
            "shap": shap_importance(
                pipeline, columns(sample(some_rows, SHAP_ROWS, params.seed), contract), contract, room
            ),
            "shapes": shapes(pipeline, some, contract, room),
        },
    }
    write_json(ANALYSIS, found)
    worse = [row["slice"] for kind in found["slices"].values() for row in kind if row["worse"]]
    changed = found["sensitivity"]["all"]
    say(
        f"  significantly worse slices: {', '.join(worse) or 'none'}; perturbations change {changed:.1%} of predictions"
    )
    say("  most important features: " + ", ".join(list(found["importance"]["permutation"])[:5]))
