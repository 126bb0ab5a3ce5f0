"""The search over model families: Bayesian, pruned, parallel, and reproducible."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import optuna
from joblib import Parallel, cpu_count, delayed
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold, TimeSeriesSplit
from sklearn.pipeline import Pipeline

from assay.base.errors import InputError
from assay.base.progress import say, track
from assay.base.rounding import significant
from assay.contract.spec import Contract
from assay.data.columns import Columns, take
from assay.modelling.estimators import families
from assay.modelling.fitting import ROUNDS_PER_STEP, build, build_dummy, fit, fit_in_steps, scores
from assay.project.params import MEAN, Member, ModelChoice, Tune
from assay.project.room import NO_ROOM, Family, Room
from assay.statistics.losses import row_losses

WARM_UP_TRIALS = 3
# Steps of ROUNDS_PER_STEP boosting rounds without a lower loss, after which a fit on a fold ends.
PATIENCE = 3
# The most models whose predictions are averaged.
MEMBERS = 3
UNTUNED = ModelChoice(family="gradient_boosting", parameters={"max_iter": 100})
DUMMY = ModelChoice(family="dummy", parameters={})
STATES = {
    "complete": optuna.trial.TrialState.COMPLETE,
    "pruned": optuna.trial.TrialState.PRUNED,
    "failed": optuna.trial.TrialState.FAIL,
}


@dataclass(frozen=True)
class Trial:
    """A choice of the search, its loss on each fold that was run, and its state: complete, pruned or failed.

    The loss of a fold on which the model cannot be fitted, or predicts what is not finite, is infinite.
    """

    number: int
    choice: ModelChoice
    losses: tuple[float, ...]
    state: str

    @property
    def score(self) -> float:
        """The mean loss; lower is better."""
        return float(np.mean(self.losses))


def search(  # noqa: PLR0913, PLR0917
    data: Columns,
    target: np.ndarray,
    units: np.ndarray | None,
    contract: Contract,
    how: Tune,
    seed: int,
    start: ModelChoice | None = None,
    room: Room = NO_ROOM,
) -> tuple[ModelChoice, list[Trial]]:
    """Try `how.trials` choices by cross-validation on these rows; return the best and all trials, the dummy first.

    `start`, if it suits the contract, and gradient boosting at its defaults are tried too, so that the result is not
    worse. In the end the mean of the best few is tried. The number of boosting rounds is the one with the lowest mean
    loss over the folds. Raises InputError if every trial failed.

    `units` are as in `folds`. Each family has its own study (tree-structured Parzen estimator, Bergstra et al. 2011)
    and an equal share of the trials. Trials run in parallel batches, fold by fold; after each fold those above the
    median of earlier trials are stopped. Nothing depends on which trial finishes first, so the same data, parameters
    and seed give the same result on any number of processors.
    """
    parts = folds(target, units, contract, how.folds, seed)
    known = families(contract, room)

    job = delayed(_curve)

    def run(parallel: Parallel, choice: ModelChoice | None) -> list[list[float]]:
        return list(parallel(job(choice, data, target, contract, fold, seed, room) for fold in parts))

    def add(choice: ModelChoice, curves: Sequence[Sequence[float]]) -> Trial:
        losses, rounds = _at_best_rounds(curves)
        if len(curves[0]) > 1:
            # Scaled to the rows that all folds have together.
            rounds = round(rounds * len(target) / len(parts[0][0]))
            parameters = {**choice.parameters, known[choice.family].rounds: rounds}
            choice = choice.model_copy(update={"parameters": parameters})
        trials.append(Trial(len(trials), choice, tuple(losses), _state(losses, len(parts))))
        return trials[-1]

    trials: list[Trial] = []
    share = max(1, how.trials // len(known))
    batches = [(family, min(how.batch, share - done)) for family in known for done in range(0, share, how.batch)]
    studies = {family: _study(seed) for family in known}
    with Parallel(n_jobs=cpu_count()) as parallel:
        add(DUMMY, run(parallel, None))
        for choice in [start, UNTUNED if UNTUNED.family in known else None]:
            if choice is not None and _can_be_built(choice, contract, seed, room):
                add(choice, run(parallel, choice))
        for family, size in track(batches, len(batches), "search"):
            asked = [studies[family].ask() for _ in range(size)]
            choices = [_choice(family, known[family], trial, contract) for trial in asked]
            curves: dict[int, list[list[float]]] = {i: [] for i in range(size)}
            running = list(curves)
            for step, fold in enumerate(parts):
                found = parallel(job(choices[i], data, target, contract, fold, seed, room) for i in running)
                for i, losses in zip(running, found, strict=True):
                    curves[i].append(losses)
                    if np.isfinite(losses).all():
                        asked[i].report(float(np.mean(list(map(min, curves[i])))), step)
                running = [i for i in running if np.isfinite(curves[i][-1]).all() and not asked[i].should_prune()]
            for i, trial in enumerate(asked):
                done = add(choices[i], curves[i])
                studies[family].tell(trial, done.score if done.state == "complete" else None, STATES[done.state])
            best = _best(trials, known)
            found = f"best {best.choice.family} with loss {best.score:.4f}" if best else "all failed"
            say(f"  {len(trials) - 1} trials, {found}")
        if mean := _mean(trials):
            done = add(mean, run(parallel, mean))
            say(f"  mean of the best {len(mean.members)}: loss {done.score:.4f}")
            best = _best(trials, known)
    if best is None:
        raise InputError("the search found no model: every trial failed; see the reasons above")
    return best.choice, trials


def as_csv(trials: Sequence[Trial]) -> str:
    """Return the trials as lines of CSV: number, family, score, best so far, folds, state, parameters."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    best = np.inf
    for trial in trials:
        if trial.state == "complete":
            best = min(best, trial.score)
        parameters = json.dumps(trial.choice.parameters)
        row: list[Any] = [trial.number, trial.choice.family, f"{trial.score:.6g}", f"{best:.6g}"]
        writer.writerow([*row, len(trial.losses), trial.state, parameters])
    return text.getvalue()


def _state(losses: Sequence[float], number: int) -> str:
    if not np.isfinite(losses).all():
        return "failed"
    return "complete" if len(losses) == number else "pruned"


def _best(trials: Sequence[Trial], known: Mapping[str, Family]) -> Trial | None:
    """Return the best complete trial of a real family, if there is one; the dummy is only for comparison.

    A simple family is preferred if its mean loss is larger by at most one standard error of the difference over the
    folds (after Breiman et al. 1984): on other rows such a small difference may be reversed.
    """
    whole = _complete(trials)
    if not whole:
        return None
    best = min(whole, key=lambda trial: trial.score)
    simple = {name for name, family in known.items() if family.is_simple}
    near = [trial for trial in whole if trial.choice.family in simple and _about_as_good(trial, best)]
    return min(near or [best], key=lambda trial: trial.score)


def _complete(trials: Sequence[Trial]) -> list[Trial]:
    """Return the complete trials without the dummy."""
    return [trial for trial in trials[1:] if trial.state == "complete"]


def _mean(trials: Sequence[Trial]) -> ModelChoice | None:
    """Return the mean of the best MEMBERS different trials, if there are two or more."""
    best: list[Member] = []
    for trial in sorted(_complete(trials), key=lambda trial: trial.score):
        one = Member(family=trial.choice.family, parameters=trial.choice.parameters)
        if not trial.choice.members and one not in best and len(best) < MEMBERS:
            best.append(one)
    return ModelChoice(family=MEAN, parameters={}, members=tuple(best)) if len(best) > 1 else None


def _at_best_rounds(curves: Sequence[Sequence[float]]) -> tuple[list[float], int]:
    """Return the loss on each fold at the step with the lowest mean loss, and the boosting rounds until then."""
    common = min(map(len, curves))
    at = int(np.argmin(np.mean([losses[:common] for losses in curves], axis=0)))
    return [losses[at] for losses in curves], (at + 1) * ROUNDS_PER_STEP


def _about_as_good(trial: Trial, best: Trial) -> bool:
    worse = np.subtract(trial.losses, best.losses)
    return bool(worse.mean() <= worse.std(ddof=1) / np.sqrt(len(worse)))


def _can_be_built(choice: ModelChoice, contract: Contract, seed: int, room: Room) -> bool:
    """Say whether a choice, perhaps made for other data, suits this contract."""
    try:
        build(choice, contract, seed, room=room)
    except InputError:
        return False
    return True


def _choice(name: str, family: Family, trial: optuna.Trial, contract: Contract) -> ModelChoice:
    """Return the choice of a trial, rounded to four digits: enough for the model, and readable in params.yaml."""
    suggested = family.space(trial, contract.task)
    parameters = {
        name: significant(value, 4) if isinstance(value, float) else value for name, value in suggested.items()
    }
    return ModelChoice(family=name, parameters=parameters)


def _study(seed: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True, n_startup_trials=6),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=WARM_UP_TRIALS, n_warmup_steps=0),
    )


def folds(
    target: np.ndarray, units: np.ndarray | None, contract: Contract, number: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return pairs of training and held-out rows (indices), separated as by the contract's split.

    `units` are the values of the split's column, or the keys of the rows with a split by hash: a group and rows that
    repeat each other stay on one side, and with a split by time the seen rows are earlier than the held-out ones.
    Raises InputError if a class has fewer rows than there are folds.
    """
    regression = contract.task == "regression"
    counts = [] if regression else np.bincount(target, minlength=len(contract.classes)).tolist()
    if counts and min(counts) < number:
        rarest = contract.classes[int(np.argmin(counts))]
        raise InputError(
            f"params.yaml: tune.folds is {number}, but class {rarest!r} has only {min(counts)} training rows"
        )
    try:
        if contract.split.by == "time" and units is not None:
            return _folds_over_time(units, number)
        if contract.split.by == "group" and units is not None:
            grouped = GroupKFold if regression else StratifiedGroupKFold
            return list(grouped(number, shuffle=True, random_state=seed).split(target, target, units))
        units = np.arange(len(target)) if units is None else units
        _, first, unit = np.unique(units, return_index=True, return_inverse=True)
        # Stratified by the first of the rows that repeat each other.
        once = target[first]
        kind = KFold if regression else StratifiedKFold
        held_out = [
            np.isin(unit, unseen) for _, unseen in kind(number, shuffle=True, random_state=seed).split(once, once)
        ]
        return [(np.flatnonzero(~unseen), np.flatnonzero(unseen)) for unseen in held_out]
    except ValueError as error:
        raise InputError(f"params.yaml: tune.folds: {error}") from None


def _folds_over_time(units: np.ndarray, number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return folds that are tested on the last quarter; rows of one time are on one side.

    Tested on the last quarter, so that the training rows are nearly as many as for the final model. With few times the
    folds become fewer.
    """
    order = np.argsort(units, kind="stable")
    cut = TimeSeriesSplit(number, test_size=max(1, len(order) // (4 * number)))
    starts = [int(unseen[0]) for _, unseen in cut.split(order)]
    ordered = units[order]
    # Each fold starts with the first row of a time.
    starts = sorted({int(np.searchsorted(ordered, ordered[start])) for start in starts} - {0})
    if not starts:
        raise ValueError(f"{len(np.unique(units))} different times are too few for a split by time")
    return [(order[:a], order[a:b]) for a, b in pairwise([*starts, len(order)])]


def _curve(  # noqa: PLR0913, PLR0917
    choice: ModelChoice | None,
    data: Columns,
    target: np.ndarray,
    contract: Contract,
    fold: tuple[np.ndarray, np.ndarray],
    seed: int,
    room: Room,
) -> list[float]:
    """Return the mean loss on a held-out fold: one number, or one for each step of a boosted model without rounds.

    The steps end once the loss has not fallen for PATIENCE of them. The loss is infinite if the model failed. The
    choice None is the dummy.
    """
    seen, unseen = fold
    given, held_out = take(data, seen), take(data, unseen)
    pipeline = build_dummy(contract) if choice is None else build(choice, contract, seed, room=room)
    family = None if choice is None or choice.members else families(contract, room)[choice.family]
    losses: list[float] = []

    def note(fitted: Pipeline) -> None:
        losses.append(float(row_losses(target[unseen], scores(fitted, held_out, contract, room)).mean()))

    try:
        with np.errstate(over="ignore", invalid="ignore"):
            if family and family.rounds and choice and family.rounds not in choice.parameters:
                for fitted in fit_in_steps(pipeline, family.rounds, given, target[seen], contract, room):
                    note(fitted)
                    if not math.isfinite(losses[-1]) or len(losses) - int(np.argmin(losses)) > PATIENCE:
                        break
            else:
                note(fit(pipeline, given, target[seen], contract, room))
    except (ArithmeticError, ValueError, np.linalg.LinAlgError) as error:
        say(f"  a trial of {choice.family if choice else 'the dummy'} failed: {' '.join(str(error).split())[:200]}")
        return [math.inf]
    return losses if all(map(math.isfinite, losses)) else [math.inf]
