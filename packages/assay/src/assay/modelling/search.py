"""The search over model families: Bayesian, pruned, parallel, and reproducible."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from joblib import Parallel, cpu_count, delayed
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold, TimeSeriesSplit

from assay.base.errors import InputError
from assay.base.progress import say, track
from assay.base.rounding import significant
from assay.contract.spec import Contract
from assay.data.columns import Columns, take
from assay.modelling.estimators import families
from assay.modelling.fitting import build, build_dummy, fit, scores
from assay.project.params import ModelChoice, Tune
from assay.project.room import NO_ROOM, Family, Room
from assay.statistics.losses import row_losses

WARM_UP_TRIALS = 3


@dataclass(frozen=True)
class Trial:
    """A choice of the search, its loss on each fold that was run, and its state: complete or pruned."""

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

    `start` is tried too if it suits the contract, so that the result is not worse.

    `units` are as in `folds`. Each family has its own study (tree-structured Parzen estimator, Bergstra et al. 2011)
    and an equal share of the trials. Trials run in parallel batches, fold by fold; after each fold those above the
    median of earlier trials are stopped. Nothing depends on which trial finishes first, so the same data, parameters
    and seed give the same result on any number of processors.
    """
    parts = folds(target, units, contract, how.folds, seed)
    losses = [_loss(None, data, target, contract, fold, seed, room) for fold in parts]
    trials = [Trial(0, ModelChoice(family="dummy", parameters={}), tuple(losses), "complete")]
    if start is not None and _can_be_built(start, contract, seed, room):
        losses = [_loss(start, data, target, contract, fold, seed, room) for fold in parts]
        trials.append(Trial(1, start, tuple(losses), "complete"))
    known = families(contract, room)
    share = max(1, how.trials // len(known))
    batches = [(family, min(how.batch, share - done)) for family in known for done in range(0, share, how.batch)]
    studies = {family: _study(seed) for family in known}
    with Parallel(n_jobs=cpu_count()) as parallel:
        for family, size in track(batches, len(batches), "search"):
            asked = [studies[family].ask() for _ in range(size)]
            choices = [_choice(family, known[family], trial, contract) for trial in asked]
            results: dict[int, list[float]] = {i: [] for i in range(size)}
            running = list(results)
            for step, fold in enumerate(parts):
                found = parallel(delayed(_loss)(choices[i], data, target, contract, fold, seed, room) for i in running)
                for i, loss in zip(running, found, strict=True):
                    results[i].append(loss)
                    asked[i].report(float(np.mean(results[i])), step)
                running = [i for i in running if not asked[i].should_prune()]
            for i, trial in enumerate(asked):
                whole = len(results[i]) == len(parts)
                state = optuna.trial.TrialState.COMPLETE if whole else optuna.trial.TrialState.PRUNED
                studies[family].tell(trial, float(np.mean(results[i])) if whole else None, state)
                trials.append(Trial(len(trials), choices[i], tuple(results[i]), "complete" if whole else "pruned"))
            best = _best(trials, known)
            say(f"  {len(trials) - 1} trials, best {best.choice.family} with loss {best.score:.4f}")
    return _best(trials, known).choice, trials


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


def _best(trials: Sequence[Trial], known: Mapping[str, Family]) -> Trial:
    """Return the best complete trial of a real family; the dummy is only for comparison.

    A simple family is preferred if its mean loss is larger by at most one standard error of the difference over the
    folds (after Breiman et al. 1984): on other rows such a small difference may be reversed.
    """
    whole = [trial for trial in trials if trial.state == "complete" and trial.choice.family in known]
    best = min(whole, key=lambda trial: trial.score)
    simple = [trial for trial in whole if known[trial.choice.family].is_simple and _about_as_good(trial, best)]
    return min(simple or [best], key=lambda trial: trial.score)


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

    `units` are the values of the split's column: a group stays on one side, and with a split by time the seen rows are
    the earlier ones. Raises InputError if a class has fewer rows than there are folds.
    """
    rows = np.zeros(len(target))
    regression = contract.task == "regression"
    counts = [] if regression else np.bincount(target, minlength=len(contract.classes)).tolist()
    if counts and min(counts) < number:
        rarest = contract.classes[int(np.argmin(counts))]
        raise InputError(
            f"params.yaml: tune.folds is {number}, but class {rarest!r} has only {min(counts)} training rows"
        )
    try:
        if contract.split.by == "time" and units is not None:
            order = np.argsort(units, kind="stable")
            # Tested on the last quarter, so that the training rows are nearly as many as for the final model.
            cut = TimeSeriesSplit(number, test_size=max(1, len(order) // (4 * number)))
            return [(order[seen], order[unseen]) for seen, unseen in cut.split(order)]
        if contract.split.by == "group" and units is not None:
            grouped = GroupKFold if regression else StratifiedGroupKFold
            return list(grouped(number, shuffle=True, random_state=seed).split(rows, target, units))
        kind = KFold if regression else StratifiedKFold
        return list(kind(number, shuffle=True, random_state=seed).split(rows, target))
    except ValueError as error:
        raise InputError(f"params.yaml: tune.folds: {error}") from None


def _loss(  # noqa: PLR0913, PLR0917
    choice: ModelChoice | None,
    data: Columns,
    target: np.ndarray,
    contract: Contract,
    fold: tuple[np.ndarray, np.ndarray],
    seed: int,
    room: Room,
) -> float:
    """Return the mean loss on one held-out fold; the choice None is the dummy."""
    seen, unseen = fold
    pipeline = build_dummy(contract) if choice is None else build(choice, contract, seed, room=room)
    fit(pipeline, take(data, seen), target[seen], contract, room)
    given = scores(pipeline, take(data, unseen), contract, room)
    return float(row_losses(target[unseen], given).mean())
