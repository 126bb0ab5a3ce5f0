"""How well a boosted model does on held-out rows after each number of rounds, from one fit."""

from itertools import islice
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline

from assay.contract.spec import Contract
from assay.data.columns import Columns, length
from assay.modelling.fitting import inputs, of_all_classes, threads
from assay.project.room import NO_ROOM, Room
from assay.statistics.losses import row_losses

ROUNDS_PER_STEP = 25
MOST_ROUNDS = 1000
# Steps without a lower loss, after which a fit ends.
PATIENCE = 2


def losses_by_rounds(  # noqa: PLR0913, PLR0917
    pipeline: Pipeline,
    rounds: str,
    seen: Columns,
    target: np.ndarray,
    held_out: Columns,
    truth: np.ndarray,
    contract: Contract,
    room: Room = NO_ROOM,
) -> tuple[list[float], np.ndarray]:
    """Return the mean loss on held-out rows after each ROUNDS_PER_STEP rounds, and the scores at the lowest.

    `rounds` is the parameter with their number. The fit ends after MOST_ROUNDS, or once the loss has not fallen for
    PATIENCE steps. An estimator other than scikit-learn's needs `warm_start`.
    """
    estimator = pipeline[-1]
    with threads(length(seen)):
        made = pipeline[0].fit_transform(inputs(seen, contract, room), target)
        unseen = pipeline[0].transform(inputs(held_out, contract, room))
        is_known = contract.task == "regression" or set(truth) <= set(target)
        if isinstance(estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor) and is_known:
            return _of_scikit_learn(estimator, rounds, made, target, unseen, truth, contract)
        return _by_warm_start(estimator, rounds, made, target, unseen, truth, contract)


def _of_scikit_learn(  # noqa: PLR0913, PLR0917
    estimator: Any,
    rounds: str,
    made: np.ndarray,
    target: np.ndarray,
    unseen: np.ndarray,
    truth: np.ndarray,
    contract: Contract,
) -> tuple[list[float], np.ndarray]:
    regression = contract.task == "regression"
    estimator.set_params(
        early_stopping=True,
        n_iter_no_change=PATIENCE * ROUNDS_PER_STEP,
        tol=0,
        scoring="neg_mean_absolute_error" if regression else "loss",
        **{rounds: MOST_ROUNDS},
    ).fit(made, target, X_val=unseen, y_val=truth)
    # The first score is that without any round.
    losses = [-float(score) for score in estimator.validation_score_[ROUNDS_PER_STEP::ROUNDS_PER_STEP]]
    best = (int(np.argmin(losses)) + 1) * ROUNDS_PER_STEP
    stages = estimator.staged_predict(unseen) if regression else estimator.staged_predict_proba(unseen)
    given = np.asarray(next(islice(stages, best - 1, None)), dtype=np.float64)
    return losses, given if regression else of_all_classes(given, estimator.classes_, contract)


def _by_warm_start(  # noqa: PLR0913, PLR0917
    estimator: Any,
    rounds: str,
    made: np.ndarray,
    target: np.ndarray,
    unseen: np.ndarray,
    truth: np.ndarray,
    contract: Contract,
) -> tuple[list[float], np.ndarray]:
    losses: list[float] = []
    estimator.set_params(warm_start=True)
    for number in range(ROUNDS_PER_STEP, MOST_ROUNDS + 1, ROUNDS_PER_STEP):
        estimator.set_params(**{rounds: number}).fit(made, target)
        if contract.task == "regression":
            given = np.asarray(estimator.predict(unseen), dtype=np.float64)
        else:
            given = of_all_classes(estimator.predict_proba(unseen), estimator.classes_, contract)
        losses.append(float(row_losses(truth, given).mean()))
        if losses[-1] == min(losses):
            best = given
        if not np.isfinite(losses[-1]) or len(losses) - int(np.argmin(losses)) > PATIENCE:
            break
    return losses, best
