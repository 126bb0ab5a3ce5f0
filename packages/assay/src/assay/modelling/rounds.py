"""How well a boosted model does on held-out rows after each number of rounds, from one fit."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline

from assay.contract.spec import Contract
from assay.data.columns import Columns, length
from assay.modelling.estimators import is_lightgbm
from assay.modelling.fitting import inputs, of_all_classes, threads
from assay.modelling.monotone import constrain
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
    is_squared: bool = False,
) -> tuple[list[float], np.ndarray]:
    """Return the mean loss on held-out rows after each ROUNDS_PER_STEP rounds, and the scores at the lowest.

    `rounds` is the parameter with their number. The fit ends after MOST_ROUNDS, or once the loss has not fallen for
    PATIENCE steps. An estimator other than HistGradientBoosting and LightGBM's needs `warm_start`.
    """
    estimator = pipeline[-1]
    is_number = contract.task == "regression"
    with threads(length(seen)):
        made = pipeline[:-1].fit_transform(inputs(seen, contract, room), target)
        unseen = pipeline[:-1].transform(inputs(held_out, contract, room))
        constrain(estimator, pipeline[:-1], contract, room)
        if isinstance(estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
            follow = _of_scikit_learn
        elif is_lightgbm(estimator):
            follow = _of_lightgbm
        else:
            return _by_warm_start(
                estimator, rounds, _Fold(made, target, unseen, truth, is_number, is_squared), contract
            )
        # A class without training rows costs the same after any number of rounds.
        judged = np.full(len(truth), True) if is_number else np.isin(truth, target)
        fold = _Fold(made, target, unseen[judged], truth[judged], is_number, is_squared)
        losses, predict = follow(estimator, rounds, fold)
        given = np.asarray(predict(unseen, (int(np.argmin(losses)) + 1) * ROUNDS_PER_STEP), dtype=np.float64)
    if not is_number:
        given = of_all_classes(given, estimator.classes_, contract)
    if not judged.all():
        others = row_losses(truth, given)[~judged].sum()
        losses = [(loss * judged.sum() + others) / len(truth) for loss in losses]
    return losses, given


@dataclass(frozen=True)
class _Fold:
    """The rows to fit on and the held-out rows, as the estimator takes them.

    Also whether the target is a number, and whether the loss is then the squared error.
    """

    seen: np.ndarray
    target: np.ndarray
    unseen: np.ndarray
    truth: np.ndarray
    is_number: bool
    is_squared: bool


# The scores of rows after some rounds.
Predict = Callable[[np.ndarray, int], np.ndarray]


def _of_scikit_learn(estimator: Any, rounds: str, fold: _Fold) -> tuple[list[float], Predict]:
    estimator.set_params(
        early_stopping=True,
        n_iter_no_change=PATIENCE * ROUNDS_PER_STEP,
        tol=0,
        scoring=f"neg_mean_{'squared' if fold.is_squared else 'absolute'}_error" if fold.is_number else "loss",
        **{rounds: MOST_ROUNDS},
    ).fit(fold.seen, fold.target, X_val=fold.unseen, y_val=fold.truth)

    def predict(rows: np.ndarray, number: int) -> np.ndarray:
        stages = estimator.staged_predict(rows) if fold.is_number else estimator.staged_predict_proba(rows)
        return np.asarray(next(islice(stages, number - 1, None)))

    # The first score is that without any round.
    return [-float(score) for score in estimator.validation_score_[ROUNDS_PER_STEP::ROUNDS_PER_STEP]], predict


def _of_lightgbm(estimator: Any, rounds: str, fold: _Fold) -> tuple[list[float], Predict]:
    # Imported here: the library takes seconds to load, and is loaded already where an estimator of it is.
    from lightgbm.callback import CallbackEnv, EarlyStopException

    losses: list[float] = []

    def note(found: CallbackEnv) -> None:
        results = found.evaluation_result_list or []
        losses.append(float(results[0][2]))
        if len(losses) - 1 - int(np.argmin(losses)) >= PATIENCE * ROUNDS_PER_STEP:
            # All trees until now are kept.
            raise EarlyStopException(found.iteration, results)

    of_numbers = "l2" if fold.is_squared else "l1"
    of_classes = "binary_logloss" if len(np.unique(fold.target)) <= 2 else "multi_logloss"
    metric = of_numbers if fold.is_number else of_classes
    estimator.set_params(**{rounds: MOST_ROUNDS}, metric=metric)
    estimator.fit(fold.seen, fold.target, eval_X=fold.unseen, eval_y=fold.truth, callbacks=[note])

    def predict(rows: np.ndarray, number: int) -> np.ndarray:
        method = estimator.predict if fold.is_number else estimator.predict_proba
        return np.asarray(method(rows, num_iteration=number))

    return losses[ROUNDS_PER_STEP - 1 :: ROUNDS_PER_STEP], predict


def _by_warm_start(estimator: Any, rounds: str, fold: _Fold, contract: Contract) -> tuple[list[float], np.ndarray]:
    losses: list[float] = []
    estimator.set_params(warm_start=True)
    for number in range(ROUNDS_PER_STEP, MOST_ROUNDS + 1, ROUNDS_PER_STEP):
        estimator.set_params(**{rounds: number}).fit(fold.seen, fold.target)
        if fold.is_number:
            given = np.asarray(estimator.predict(fold.unseen), dtype=np.float64)
        else:
            given = of_all_classes(estimator.predict_proba(fold.unseen), estimator.classes_, contract)
        losses.append(float(row_losses(fold.truth, given, squared=fold.is_squared).mean()))
        if losses[-1] == min(losses):
            best = given
        if not np.isfinite(losses[-1]) or len(losses) - int(np.argmin(losses)) > PATIENCE:
            break
    return losses, best
