"""The search over model families: Bayesian, a race, parallel, and reproducible."""

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from time import monotonic
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
from assay.modelling.estimators import families, maker
from assay.modelling.fitting import build, build_dummy, fit, inputs, scores
from assay.modelling.rounds import MOST_ROUNDS, ROUNDS_PER_STEP, losses_by_rounds
from assay.project.params import MEAN, Member, ModelChoice, Tune
from assay.project.room import NO_ROOM, Family, Room
from assay.statistics.losses import row_losses

WARM_UP_TRIALS = 3
# The most models whose predictions are averaged.
MEMBERS = 3
# Standard errors from which a difference between models is significant; many are looked at.
SIGNIFICANT = 3.0
# The search ends when PATIENT batches helped less than HELPS.
PATIENT, HELPS = 2, 0.002
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


@dataclass
class _Runner:
    """A choice on its way over the folds: for each so far the losses by rounds, and scores and losses of its rows."""

    choice: ModelChoice
    asked: optuna.Trial | None = None
    curves: list[list[float]] = field(default_factory=list)
    scores: list[np.ndarray] = field(default_factory=list)
    rows: list[np.ndarray] = field(default_factory=list)
    is_behind: bool = False

    @property
    def has_failed(self) -> bool:
        return not np.isfinite(self.curves[-1]).all()


def search(  # noqa: PLR0913, PLR0915, PLR0917
    data: Columns,
    target: np.ndarray,
    units: np.ndarray | None,
    contract: Contract,
    how: Tune,
    seed: int,
    start: ModelChoice | None = None,
    room: Room = NO_ROOM,
    clock: Callable[[], float] = monotonic,
) -> tuple[ModelChoice, list[Trial]]:
    """Try up to `how.trials` choices by cross-validation on these rows; return the best and all trials, dummy first.

    `start`, if it suits the contract, and the defaults of each family are tried too, so that the result is not worse.
    In the end the mean of the best few is tried. The number of boosting rounds is the one with the lowest mean loss
    over the folds. Raises InputError if every trial failed.

    `units` are as in `folds`. Each family has its own study (tree-structured Parzen estimator, Bergstra et al. 2011).
    The families share batches of trials evenly, which run in parallel, fold by fold. After each fold a trial is stopped
    if it is significantly worse than MEMBERS others on the same rows, or above the median of earlier ones of its
    family. A family of which each trial is significantly worse gets no more. The search ends before `how.trials` when
    more do not help, or when `how.seconds` of `clock` are over. Without that limit nothing depends on which trial
    finishes first, so the same data, parameters and seed give the same result on any number of processors.
    """
    began = clock()
    # A derived feature that fails would fail every trial.
    inputs(data, contract, room)
    parts = folds(target, units, contract, how.folds, seed)
    known = _families_at_hand(contract, room)
    trials: list[Trial] = []
    runners: list[_Runner] = []

    def is_over() -> bool:
        return how.seconds is not None and clock() - began >= how.seconds and bool(_complete(trials))

    def run(batch: Sequence[_Runner]) -> None:
        """Run these over the folds, as far as each gets, and note their trials."""
        runners.extend(batch)
        running = list(batch)
        for step, fold in enumerate(parts):
            found = parallel(job(runner.choice, data, target, contract, fold, seed, room) for runner in running)
            for runner, (losses, given) in zip(running, found, strict=True):
                runner.curves.append(losses)
                runner.scores.append(given)
            running = [runner for runner in running if not runner.has_failed]
            for runner in running:
                runner.rows.append(row_losses(target[fold[1]], runner.scores[-1]))
                if runner.asked:
                    runner.asked.report(float(np.mean(list(map(min, runner.curves)))), step)
            _mark_those_behind(running, runners)
            # A trial that no study asked for runs over all folds.
            running = [
                runner
                for runner in running
                if not (runner.asked and (runner.is_behind or runner.asked.should_prune() or is_over()))
            ]
        for runner in batch:
            trial = _trial(len(trials), runner, known, parts, len(target))
            trials.append(trial)
            if runner.asked:
                value = trial.score if trial.state == "complete" else None
                studies[trial.choice.family].tell(runner.asked, value, STATES[trial.state])
        # Only these can become members of the mean. All scores of many rows and trials would fill the memory.
        kept = {trial.number for trial in _best_few(trials)}
        for number, runner in enumerate(runners):
            if number not in kept:
                runner.scores.clear()

    job = delayed(_curve)
    studies = {name: _study(seed, family) for name, family in known.items()}
    made, best_few = dict.fromkeys(known, 0), [math.inf]
    with Parallel(n_jobs=cpu_count()) as parallel:
        run([_Runner(DUMMY)])
        if start is not None and _can_be_built(start, contract, seed, room):
            run([_Runner(start)])
        ended = f"all {how.trials} trials are made"
        for done in track(range(0, how.trials, how.batch), -(-how.trials // how.batch), "search"):
            batch = []
            for _ in range(min(how.batch, how.trials - done)):
                name = min(made, key=made.__getitem__)
                made[name] += 1
                asked = studies[name].ask()
                batch.append(_Runner(_choice(name, known[name], asked, contract), asked))
            run(batch)
            best = _best(trials, known)
            found = f"best {best.choice.family} with loss {best.score:.4f}" if best else "all failed"
            say(f"  {len(trials) - 1} trials, {found}")
            if is_over():
                ended = f"tune.seconds ({how.seconds:g}) are over after {done + len(batch)} of {how.trials} trials"
                break
            _mark_those_behind(runners, runners)
            for name in _families_behind(runners[1:], made):
                del made[name]
                say(f"  {name} is tried no more: each trial failed or is significantly worse than {MEMBERS} others")
            if not made:
                ended = "no family is left to try"
                break
            best_few.append(_mean_of_best(trials))
            if _helped_little(best_few, trials[0].score):
                ended = f"more trials than {done + len(batch)} of {how.trials} hardly help"
                break
        say(f"  the search ends: {ended}")
        few = _best_few(trials)
        if len(few) > 1:
            members = [Member(family=one.choice.family, parameters=one.choice.parameters) for one in few]
            losses = _losses_of_mean(few, runners, [target[unseen] for _, unseen in parts])
            mean = ModelChoice(family=MEAN, parameters={}, members=tuple(members))
            trials.append(Trial(len(trials), mean, losses, _state(losses, len(parts))))
            say(f"  mean of the best {len(few)}: loss {trials[-1].score:.4f}")
            best = _best(trials, known)
    if best is None:
        raise InputError("the search found no model: every trial failed; see the reasons above")
    return best.choice, trials


def _families_at_hand(contract: Contract, room: Room) -> dict[str, Family]:
    """Return the families that suit a contract and whose estimators can be made; say which cannot.

    Raises InputError if there is none.
    """
    found = {}
    for name, family in families(contract, room).items():
        make = maker(family, contract)
        try:
            if make is not None:
                make()
                found[name] = family
        # Each library has errors of its own kinds for a part that is missing.
        except Exception as error:
            say(f"  {name} is not tried, since its estimator cannot be made: {' '.join(str(error).split())[:200]}")
    if not found:
        raise InputError("src/model/estimators.py: no family in FAMILIES can be tried; see the reasons above")
    return found


def _trial(
    number: int,
    runner: _Runner,
    known: Mapping[str, Family],
    parts: Sequence[tuple[np.ndarray, np.ndarray]],
    rows: int,
) -> Trial:
    losses, rounds = _at_best_rounds(runner.curves)
    choice = runner.choice
    if len(runner.curves[0]) > 1:
        # Scaled to the rows that all folds have together.
        rounds = round(rounds * rows / len(parts[0][0]))
        parameters = {**choice.parameters, known[choice.family].rounds: rounds}
        choice = choice.model_copy(update={"parameters": parameters})
    return Trial(number, choice, tuple(losses), _state(losses, len(parts)))


def _mark_those_behind(some: Sequence[_Runner], runners: Sequence[_Runner]) -> None:
    """Mark those that failed, or are significantly worse than MEMBERS of all runners on the rows that they ran on."""
    for runner in some:
        number = len(runner.rows)
        rivals = [np.concatenate(rival.rows[:number]) for rival in runners if number and len(rival.rows) >= number]
        runner.is_behind |= runner.has_failed or worse_than_few(np.concatenate(runner.rows), rivals)


def worse_than_few(losses: np.ndarray, rivals: Sequence[np.ndarray]) -> bool:
    """Say whether a model is significantly worse than MEMBERS of its rivals, by the losses of the same rows."""
    if len(rivals) < MEMBERS:
        return False
    worse = losses - sorted(rivals, key=np.mean)[MEMBERS - 1]
    return bool(worse.mean() > SIGNIFICANT * worse.std() / math.sqrt(len(worse)))


def _families_behind(runners: Sequence[_Runner], made: Mapping[str, int]) -> list[str]:
    """Return the families of which two trials or more were made, all of them significantly worse than others."""
    near = {runner.choice.family for runner in runners if not runner.is_behind}
    return [name for name, number in made.items() if number > 1 and near and name not in near]


def _mean_of_best(trials: Sequence[Trial]) -> float:
    scores = sorted(trial.score for trial in _complete(trials))[:MEMBERS]
    return float(np.mean(scores)) if len(scores) == MEMBERS else math.inf


def _helped_little(best_few: Sequence[float], dummy: float) -> bool:
    """Say whether the last PATIENT batches made the best few better by less than HELPS of their lead on the dummy."""
    if len(best_few) <= PATIENT or not math.isfinite(best_few[-1 - PATIENT]):
        return False
    return best_few[-1 - PATIENT] - best_few[-1] < HELPS * (dummy - best_few[-1])


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


def _best_few(trials: Sequence[Trial]) -> list[Trial]:
    """Return the best MEMBERS different models, or all of them if there are fewer."""
    found: list[Trial] = []
    for trial in sorted(_complete(trials), key=lambda trial: trial.score):
        if trial.choice not in [one.choice for one in found] and len(found) < MEMBERS:
            found.append(trial)
    return found


def _losses_of_mean(
    few: Sequence[Trial], runners: Sequence[_Runner], truths: Sequence[np.ndarray]
) -> tuple[float, ...]:
    """Return the losses on the folds of the mean of some models, from the scores that each gave there."""
    losses = []
    for fold, truth in enumerate(truths):
        given = np.mean([runners[one.number].scores[fold] for one in few], axis=0)
        # The scores are those after the rounds that were best on this fold alone: too good, as with the members.
        too_good = np.mean([one.losses[fold] - runners[one.number].rows[fold].mean() for one in few])
        losses.append(float(row_losses(truth, given).mean() + too_good))
    return tuple(losses)


def _at_best_rounds(curves: Sequence[Sequence[float]]) -> tuple[list[float], int]:
    """Return the loss on each fold at the step with the lowest mean loss, and the boosting rounds until then."""
    common = min(map(len, curves))
    at = int(np.argmin(np.mean([losses[:common] for losses in curves], axis=0)))
    return [losses[at] for losses in curves], (at + 1) * ROUNDS_PER_STEP


def _about_as_good(trial: Trial, best: Trial) -> bool:
    worse = np.subtract(trial.losses, best.losses)
    if len(worse) < 2:
        return trial == best
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


def _study(seed: int, family: Family) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True, n_startup_trials=6),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=WARM_UP_TRIALS, n_warmup_steps=0),
    )
    if family.defaults:
        study.enqueue_trial(dict(family.defaults))
    return study


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
    choice: ModelChoice,
    data: Columns,
    target: np.ndarray,
    contract: Contract,
    fold: tuple[np.ndarray, np.ndarray],
    seed: int,
    room: Room,
) -> tuple[list[float], np.ndarray]:
    """Return the mean loss on a held-out fold, and the scores of its rows.

    The loss is one number, or for a boosted model without rounds the numbers of `losses_by_rounds`. It is infinite if
    the model failed.
    """
    seen, unseen = fold
    given, held_out = take(data, seen), take(data, unseen)
    # Some families refuse rows of one class. No family can learn more from them than the dummy.
    learns_nothing = contract.task != "regression" and len(np.unique(target[seen])) == 1
    rounds = "" if choice == DUMMY or choice.members else families(contract, room)[choice.family].rounds
    has_curve = bool(rounds) and rounds not in choice.parameters
    try:
        is_dummy = choice == DUMMY or learns_nothing
        pipeline = build_dummy(contract) if is_dummy else build(choice, contract, seed, room=room)
        with np.errstate(over="ignore", invalid="ignore"):
            if has_curve and not learns_nothing:
                losses, given_scores = losses_by_rounds(
                    pipeline, rounds, given, target[seen], held_out, target[unseen], contract, room
                )
            else:
                fitted = fit(pipeline, given, target[seen], contract, room)
                given_scores = scores(fitted, held_out, contract, room)
                losses = [float(row_losses(target[unseen], given_scores).mean())]
                if has_curve:
                    # The other folds alone say which number of rounds is best.
                    losses *= MOST_ROUNDS // ROUNDS_PER_STEP
    # Each library, and a family of the user's own, raises errors of its own kinds.
    except Exception as error:
        say(f"  a trial of {choice.family} failed: {' '.join(str(error).split())[:200]}")
        return [math.inf], np.empty(0)
    return (losses, given_scores) if all(map(math.isfinite, losses)) else ([math.inf], given_scores)
