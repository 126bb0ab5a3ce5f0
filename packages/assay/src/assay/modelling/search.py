"""The search over model families: a Bayesian race or a grid, parallel, and reproducible."""

import csv
import hashlib
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from time import monotonic
from typing import Any
from zipfile import BadZipFile

import numpy as np
import optuna
from joblib import Parallel, cpu_count, delayed
from scipy.optimize import minimize

from assay.base.config import did_you_mean
from assay.base.errors import InputError, one_line
from assay.base.files import replacing
from assay.base.progress import say, track
from assay.base.rounding import significant
from assay.contract.spec import Contract
from assay.data.columns import Columns, take
from assay.modelling.estimators import families, is_amount, maker
from assay.modelling.fitting import OWN, build, build_dummy, fit, inputs, scores
from assay.modelling.folds import Fold, dependent, folds
from assay.modelling.monotone import directions
from assay.modelling.rounds import MOST_ROUNDS, ROUNDS_PER_STEP, losses_by_rounds
from assay.project.params import MEAN, Member, ModelChoice, Tune
from assay.project.room import NO_ROOM, Family, Parameters, Room
from assay.statistics.losses import row_losses

WARM_UP_TRIALS = 3
# The most models whose predictions are averaged.
MEMBERS = 3
# Standard errors from which a difference between models is significant; many are looked at.
SIGNIFICANT = 3.0
# Standard errors to the ends of an interval of 95 %.
NORMAL_95 = 1.96
# Fewer groups, or stretches of time, do not tell models apart.
FEWEST_UNITS = 5
# The metrics of regression that the squared error decides.
SQUARED = ("rmse", "r2")
# What `options_for` may return.
OPTIONS = (*OWN, "class_weight")
# Share of an even share below which a class is rare.
RARE = 0.5
MANY_FEATURES, FEW_ROWS_EACH = 8, 500
# The race ends when PATIENT batches helped less than HELPS.
PATIENT, HELPS = 2, 0.002
# How far rounding may take a probability below 0, and the sum of those of a row away from 1.
ADDS_UP = 1e-3
DUMMY = ModelChoice(family="dummy", parameters={})
STATES = {
    "complete": optuna.trial.TrialState.COMPLETE,
    "pruned": optuna.trial.TrialState.PRUNED,
    "failed": optuna.trial.TrialState.FAIL,
}


@dataclass(frozen=True)
class Trial:
    """A choice of the search, its loss on each fold that was run, and its state: complete, pruned or failed.

    The loss of a fold on which the model cannot be fitted, or predicts what is not finite, is infinite. `worse_by` is
    how much larger the loss is than that of the chosen model on the same held-out rows, with the ends of its interval;
    `is_additive` says whether each feature acts alone in the model.
    """

    number: int
    choice: ModelChoice
    losses: tuple[float, ...]
    state: str
    worse_by: tuple[float, float, float] | None = None
    is_additive: bool = False

    @property
    def score(self) -> float:
        """The mean loss; lower is better."""
        return float(np.mean(self.losses))


@dataclass
class _Runner:
    """A choice on its way over the folds: for each so far the losses by rounds, and scores and losses of its rows.

    `totals` are the sums of the losses of the rows, and their number, after each fold.
    """

    choice: ModelChoice
    asked: optuna.Trial | None = None
    may_stop: bool = False
    curves: list[list[float]] = field(default_factory=list)
    scores: list[np.ndarray] = field(default_factory=list)
    rows: list[np.ndarray] = field(default_factory=list)
    totals: list[tuple[float, int]] = field(default_factory=list)
    is_behind: bool = False

    @property
    def has_failed(self) -> bool:
        return not np.isfinite(self.curves[-1]).all()

    def note(self, losses: np.ndarray) -> None:
        """Add the losses of the rows of one more fold."""
        total, number = self.totals[-1] if self.totals else (0.0, 0)
        self.rows.append(losses)
        self.totals.append((total + float(losses.sum()), number + len(losses)))

    def mean(self, number: int) -> float:
        """Return the mean loss of the rows of the first `number` folds."""
        total, rows = self.totals[number - 1]
        return total / rows


@dataclass
class _Search:
    """What a search works on, and what it found so far.

    `units` are the numbers of `dependent` for each row; `is_over` says whether the time is up. `kept` is the folder for
    what the models gave on the folds. `means` are the losses of the rows of each fold, for the trials of means.
    """

    data: Columns
    target: np.ndarray
    contract: Contract
    seed: int
    room: Room
    parts: list[Fold]
    units: np.ndarray
    known: Mapping[str, Family]
    is_squared: bool
    is_over: Callable[[], bool]
    parallel: Parallel
    kept: Path | None = None
    studies: dict[str, optuna.Study] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    means: dict[int, list[np.ndarray]] = field(default_factory=dict)
    runners: list[_Runner] = field(default_factory=list)

    def run(self, batch: Sequence[_Runner]) -> None:
        """Run these over the folds, as far as each gets, and note their trials."""
        self.runners.extend(batch)
        running = list(batch)
        for step, fold in enumerate(self.parts):
            found = self.parallel(
                delayed(_kept_curve)(
                    None if self.kept is None else self.kept / _file_name(runner.choice, step),
                    *(runner.choice, self.data, self.target, self.contract, fold),
                    *(self.seed, self.room, self.is_squared),
                )
                for runner in running
            )
            for runner, (losses, given) in zip(running, found, strict=True):
                runner.curves.append(losses)
                runner.scores.append(given)
            running = [runner for runner in running if not runner.has_failed]
            for runner in running:
                runner.note(row_losses(self.target[fold[1]], runner.scores[-1], squared=self.is_squared))
                if runner.asked:
                    runner.asked.report(float(np.mean(list(map(min, runner.curves)))), step)
            self.mark_those_behind(running)
            # Until one trial is complete, trials go on even if the time is up.
            stops = self.is_over() and bool(_complete(self.trials))
            running = [
                runner
                for runner in running
                if not (
                    runner.may_stop and (stops or runner.is_behind or (runner.asked and runner.asked.should_prune()))
                )
            ]
        for runner in batch:
            trial = _trial(len(self.trials), runner, self.known, self.parts, len(self.target))
            self.trials.append(trial)
            if runner.asked:
                value = trial.score if trial.state == "complete" else None
                self.studies[trial.choice.family].tell(runner.asked, value, STATES[trial.state])
        # Only these can become members of the mean. All scores of many rows and trials would fill the memory.
        kept = {trial.number for trial in _best_few(self.trials)}
        for number, runner in enumerate(self.runners):
            if number not in kept:
                runner.scores.clear()
        if len(self.trials) > 1:
            best = _best(self.trials, self.known)
            found = f"best {best.choice.family} with loss {best.score:.4f}" if best else "all failed"
            say(f"  {len(self.trials) - 1} trials, {found}")

    def mark_those_behind(self, some: Sequence[_Runner]) -> None:
        """Mark those that failed, or are significantly worse than MEMBERS of all on the rows that they ran on."""
        for number in {len(runner.rows) for runner in some}:
            rivals = [runner for runner in self.runners if number and len(runner.rows) >= number]
            rivals = sorted(rivals, key=lambda runner: runner.mean(number))[:MEMBERS]
            rows = [self.units[unseen] for _, unseen in self.parts[:number]]
            for runner in some:
                if len(runner.rows) == number and not runner.is_behind:
                    runner.is_behind = runner.has_failed or (
                        len(rivals) == MEMBERS
                        and surely_worse(
                            np.concatenate(runner.rows), np.concatenate(rivals[-1].rows[:number]), np.concatenate(rows)
                        )
                    )

    def race(self, how: Tune, most: int) -> str:
        """Let the families share up to `most` trials, in batches, until more do not help; return why it ended."""
        self.studies.update({name: _study(self.seed, family) for name, family in self.known.items()})
        made, best_few = dict.fromkeys(self.known, 0), [math.inf]
        for done in track(range(0, most, how.batch), -(-most // how.batch), "search"):
            batch = []
            for _ in range(min(how.batch, most - done)):
                name = min(made, key=made.__getitem__)
                made[name] += 1
                asked = self.studies[name].ask()
                batch.append(_Runner(_choice(name, self.known[name], asked, self.contract), asked, may_stop=True))
            self.run(batch)
            if self.is_over():
                return f"tune.seconds ({how.seconds:g}) are over after {done + len(batch)} of {how.trials} trials"
            self.mark_those_behind(self.runners)
            for name in _families_behind(self.runners[1:], made):
                del made[name]
                say(f"  {name} is tried no more: each trial failed or is significantly worse than {MEMBERS} others")
            if not made:
                return "no family is left to try"
            best_few.append(_mean_of_best(self.trials))
            if done + len(batch) < most and _helped_little(best_few, self.trials[0].score):
                return f"more trials than {done + len(batch)} of {how.trials} hardly help"
        return "all trials are made"

    def try_each(self, choices: Sequence[ModelChoice], how: Tune) -> str:
        """Run these choices over all folds; return why it ended."""
        for done in track(range(0, len(choices), how.batch), -(-len(choices) // how.batch), "search"):
            self.run([_Runner(choice) for choice in choices[done : done + how.batch]])
            if self.is_over() and done + how.batch < len(choices):
                return f"tune.seconds ({how.seconds:g}) are over after {done + how.batch} of {len(choices)} trials"
        return f"all {len(choices)} trials of tune.grid are made"

    def try_options(self, options: Sequence[Parameters]) -> None:
        """Try each of these parameters in the best single model that knows it, over the same folds."""
        batch, bases = [], []
        for change in options:
            base = next((one for one in _singles(self.trials) if self.knows(one.choice.family, change)), None)
            if base and not change.items() <= base.choice.parameters.items():
                choice = ModelChoice(family=base.choice.family, parameters={**base.choice.parameters, **change})
                batch.append(_Runner(choice, may_stop=True))
                bases.append(base)
        if not batch or self.is_over():
            return
        self.run(batch)
        for base, made in zip(bases, self.trials[-len(batch) :], strict=True):
            without = float(np.mean(base.losses[: len(made.losses)]))
            say(f"  {made.choice.words}: loss {made.score:.4f}, {without:.4f} without ({made.state})")

    def knows(self, family: str, change: Parameters) -> bool:
        """Say whether a family takes these parameters for this contract."""
        return _can_be_built(ModelChoice(family=family, parameters=change), self.contract, self.seed, self.room)

    def try_mean(self) -> None:
        """Try the mean of the best few models, of as many as do best together, if there are several; then weights."""
        few, number = _best_few(self.trials), len(self.parts)
        if len(few) < 2:
            return
        equal = {most: self._rows_of_mean(few[:most], [np.ones(most)] * number) for most in range(2, len(few) + 1)}
        members = min(equal, key=lambda most: _mean_loss(equal[most]))
        best = equal[members]
        self._note_mean(few[:members], np.ones(members), best)
        # With weights from all folds but one, which then judges them.
        if number > 1:
            apart = [self._best_weights(few, {*range(number)} - {fold}) for fold in range(number)]
            weighted = self._rows_of_mean(few, apart)
            units = np.concatenate([self.units[unseen] for _, unseen in self.parts])
            if surely_worse(np.concatenate(best), np.concatenate(weighted), units):
                self._note_mean(few, self._best_weights(few, range(number)), weighted)

    def _note_mean(self, few: Sequence[Trial], weights: np.ndarray, rows: list[np.ndarray]) -> None:
        """Add the trial of a mean, unless one model has all the weight and so is among the trials."""
        members = tuple(
            Member(family=one.choice.family, parameters=one.choice.parameters, weight=float(weight))
            for one, weight in zip(few, weights, strict=True)
            if weight
        )
        if len(members) > 1:
            choice = ModelChoice(family=MEAN, parameters={}, members=members)
            losses = tuple(float(some.mean()) for some in rows)
            trial = Trial(len(self.trials), choice, losses, _state(losses, len(self.parts)))
            self.trials.append(trial)
            self.means[trial.number] = rows
            how = " with weights" if choice.is_weighted else ""
            say(f"  mean of the best {len(members)}{how}: loss {trial.score:.4f}")

    def _best_weights(self, few: Sequence[Trial], some: Iterable[int]) -> np.ndarray:
        """Return the weights of the mean of these models that do best on some of the folds."""
        numbers = sorted(some)
        given = np.concatenate([self._given(few, fold) for fold in numbers], axis=1)
        truth = np.concatenate([self.target[self.parts[fold][1]] for fold in numbers])
        return best_weights(given, lambda mean: row_losses(truth, mean, squared=self.is_squared))

    def _given(self, few: Sequence[Trial], fold: int) -> np.ndarray:
        """Return the scores that these models gave on a fold."""
        return np.array([self.runners[one.number].scores[fold] for one in few])

    def _rows_of_mean(self, few: Sequence[Trial], on_folds: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the losses of the rows of each fold with the mean of some models, which has weights for each fold."""
        losses = []
        for fold, ((_, unseen), weights) in enumerate(zip(self.parts, on_folds, strict=True)):
            mean = np.average(self._given(few, fold), axis=0, weights=weights)
            # The scores are those after the rounds that were best on this fold alone: too good, as with the members.
            too_good = [one.losses[fold] - self.runners[one.number].rows[fold].mean() for one in few]
            rows = row_losses(self.target[unseen], mean, squared=self.is_squared)
            losses.append(rows + np.average(too_good, weights=weights))
        return losses

    def _rows_of(self, trial: Trial) -> list[np.ndarray]:
        """Return the losses of the rows of each fold that a trial ran on; their means are its losses."""
        if trial.number in self.means:
            return self.means[trial.number]
        rows = self.runners[trial.number].rows
        return [some + (loss - some.mean()) for some, loss in zip(rows, trial.losses, strict=True)]

    def compare(self, best: Trial) -> list[Trial]:
        """Return the trials with what each is worse by than the best one, on the rows that it ran on."""
        rows = self._rows_of(best)

        def compared(trial: Trial) -> Trial:
            if trial.state == "failed":
                return trial
            own = self._rows_of(trial)
            units = np.concatenate([self.units[unseen] for _, unseen in self.parts[: len(own)]])
            worse = np.concatenate(own) - np.concatenate(rows[: len(own)])
            more, half = float(worse.mean()), NORMAL_95 * standard_error(worse, units)
            family = self.known.get(trial.choice.family)
            is_additive = family is not None and family.is_additive
            return replace(trial, worse_by=(more, more - half, more + half), is_additive=is_additive)

        return [compared(trial) for trial in self.trials]


def _mean_loss(rows: Sequence[np.ndarray]) -> float:
    """Return the mean over the folds of the mean loss of their rows."""
    return float(np.mean([some.mean() for some in rows]))


def best_weights(given: np.ndarray, losses: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the weights of the weighted mean of `given` with the lowest mean loss: none negative, their sum one.

    This is stacking (Breiman 1996). The weights have two digits.
    """
    equal = np.full(len(given), 1 / len(given))
    scale = float(losses(given.mean(axis=0)).mean()) or 1.0
    found = minimize(
        lambda weights: float(losses(np.tensordot(weights, given, axes=1)).mean()) / scale,
        equal,
        method="SLSQP",
        bounds=[(0, 1)] * len(given),
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
    )
    weights = np.round(found.x.clip(0, 1), 2)
    return weights if np.isfinite(weights).all() and weights.any() else equal


def search(  # noqa: PLR0913, PLR0917
    data: Columns,
    target: np.ndarray,
    units: np.ndarray | None,
    contract: Contract,
    how: Tune,
    seed: int,
    start: ModelChoice | None = None,
    room: Room = NO_ROOM,
    clock: Callable[[], float] = monotonic,
    metric: str | None = None,
    kept: Path | None = None,
) -> tuple[ModelChoice, list[Trial]]:
    """Try up to `how.trials` choices by cross-validation on these rows; return the best and all trials, dummy first.

    `start`, if it suits the contract, and the defaults of each family are tried too, so that the result is not worse.
    After a race the best model is tried with each of `options_for` as well, and then the mean of the best few, also
    with weights if these are significantly better. The number of boosting rounds is the one with the lowest mean loss
    over the folds. The loss is log loss for classes; for numbers the squared error if `metric`, which decides at the
    gate, is made of it, and else the absolute error.
    Raises InputError if every trial failed.

    `units` are as in `folds`. `how.method` says which choices: each of `how.grid`, or those of a race. In a race each
    family has its own study (tree-structured Parzen estimator, Bergstra et al. 2011). The families share batches of
    trials evenly, which run in parallel, fold by fold. After each fold a trial is stopped if it is significantly worse
    than MEMBERS others on the same rows, or above the median of earlier ones of its family. A family of which each
    trial is significantly worse gets no more. The race ends before `how.trials` when more do not help.

    A search ends when `how.seconds` of `clock` are over. Without that limit nothing depends on which trial finishes
    first, so the same data, parameters and seed give the same result on any number of processors.

    What each model gives on a fold is kept in the folder `kept`, if there is one. A search that finds it there goes on
    where the other was stopped. So the folder must be of the same data, contract, room, code, seed, folds and metric.
    """
    began = clock()
    # A derived feature that fails, or broken expectations, would fail every trial.
    inputs(data, contract, room)
    directions(contract, room)
    parts = folds(target, units, contract, how.folds, seed)
    known = _families_at_hand(contract, room)
    if kept is not None and (number := len(list(kept.glob("*.npz")))):
        say(f"  {number} fits of a search that was stopped are used again")
    choices = from_grid(how, known, contract, seed, room) if how.method == "grid" else []
    if how.grid and how.method != "grid":
        say(f"  tune.grid is not used, since tune.method is {how.method}")

    def is_over() -> bool:
        return how.seconds is not None and clock() - began >= how.seconds

    with Parallel(n_jobs=cpu_count()) as parallel:
        made = _Search(
            data=data,
            target=target,
            contract=contract,
            seed=seed,
            room=room,
            parts=parts,
            units=dependent(units, contract, parts, len(target)),
            known=known,
            is_squared=contract.task == "regression" and metric in SQUARED,
            is_over=is_over,
            parallel=parallel,
            kept=kept,
        )
        made.run([_Runner(DUMMY)])
        # They are among the trials, unless these are few.
        options = options_for(contract, target) if how.method == "race" else []
        options = options if how.trials - len(options) > how.batch else []
        most = how.trials - len(options)
        if (
            start is not None
            and _can_be_built(start, contract, seed, room)
            and not _comes_first(start, known, how, most)
        ):
            made.run([_Runner(start)])
        if how.method == "grid":
            ended = made.try_each(choices, how)
        else:
            ended = made.race(how, most)
            made.try_options(options)
        say(f"  the search ends: {ended}")
        made.try_mean()
    best = _best(made.trials, known)
    if best is None:
        raise InputError("the search found no model: every trial failed; see the reasons above")
    return best.choice, made.compare(best)


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
            say(f"  {name} is not tried, since its estimator cannot be made: {one_line(error)}")
    if not found:
        raise InputError("src/model/estimators.py: no family in FAMILIES can be tried; see the reasons above")
    return found


def options_for(contract: Contract, target: np.ndarray) -> list[Parameters]:
    """Return the parameters that may help any family on these rows: see `OWN` of fitting, and class weights.

    Log loss judges class weights, so that they are taken only where the probabilities are better for them.
    """
    found: list[Parameters] = []
    if contract.task == "regression":
        if is_amount(contract) and min(target) >= 0 and skewness(target) > max(1.0, abs(skewness(np.log1p(target)))):
            found.append({"log_target": True})
    elif np.bincount(target, minlength=len(contract.classes)).min() < RARE * len(target) / len(contract.classes):
        found.append({"class_weight": "balanced"})
    # With many rows, models tell by themselves which columns are noise.
    if len(contract.features) >= MANY_FEATURES and len(target) < FEW_ROWS_EACH * len(contract.features):
        found += [{"select_features": "mean"}, {"select_features": "median"}]
    return found


def skewness(values: np.ndarray) -> float:
    """Return the skewness of numbers (0: symmetric), also 0 if all are equal."""
    spread = float(values.std())
    return float((((values - values.mean()) / spread) ** 3).mean()) if spread else 0.0


def from_grid(
    how: Tune, known: Mapping[str, Family], contract: Contract, seed: int, room: Room = NO_ROOM
) -> list[ModelChoice]:
    """Return each combination of `how.grid`.

    Raises InputError if no model can be made of a combination, or if there are more than `how.trials`.
    """
    number = sum(math.prod(map(len, values.values())) for values in how.grid.values())
    if number > how.trials:
        raise InputError(
            f"params.yaml: tune.grid has {number} combinations, but tune.trials allows {how.trials}; "
            "raise it, or list fewer values"
        )
    found: list[ModelChoice] = []
    for name, values in how.grid.items():
        if name not in known:
            hint = did_you_mean(name, known) or f"; choose from {', '.join(sorted(known))}"
            raise InputError(f"params.yaml: tune.grid: unknown family {name!r}{hint}")
        for some in product(*values.values()):
            choice = ModelChoice(family=name, parameters=dict(zip(values, some, strict=True)))
            build(choice, contract, seed, room=room, place=f"tune.grid.{name}")
            found.append(choice)
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


def surely_worse(losses: np.ndarray, others: np.ndarray, units: np.ndarray) -> bool:
    """Say whether a model is significantly worse than another on the same rows.

    Rows of one unit may depend on each other, so that their sums are compared; few units prove nothing.
    """
    worse = losses - others
    return bool(worse.mean() > SIGNIFICANT * standard_error(worse, units))


def standard_error(values: np.ndarray, units: np.ndarray) -> float:
    """Return the standard error of the mean of the values of rows; infinite if there are few units."""
    sums = np.bincount(np.unique(units, return_inverse=True)[1], values - values.mean())
    if len(sums) < FEWEST_UNITS:
        return math.inf
    return math.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1)) / len(values)


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
    """Return the trials as lines of CSV: see HEADER of assay.project.trials."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    best = np.inf
    for trial in trials:
        if trial.state == "complete":
            best = min(best, trial.score)
        members = [one.model_dump() for one in trial.choice.members]
        more = ["" if trial.worse_by is None else f"{value:.6g}" for value in trial.worse_by or (0, 0, 0)]
        parameters = json.dumps(members or trial.choice.parameters)
        row: list[Any] = [trial.number, trial.choice.family, f"{trial.score:.6g}", f"{best:.6g}"]
        writer.writerow([*row, len(trial.losses), trial.state, *more, "yes" if trial.is_additive else "", parameters])
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


def _singles(trials: Sequence[Trial]) -> list[Trial]:
    """Return the complete trials of single models, best first."""
    return sorted((trial for trial in _complete(trials) if not trial.choice.members), key=lambda trial: trial.score)


def _best_few(trials: Sequence[Trial]) -> list[Trial]:
    """Return the best MEMBERS different single models, or all of them if there are fewer.

    Models that differ only in the parameters of `options_for` are nearly the same: the best of them counts.
    """
    found: dict[str, Trial] = {}
    for trial in _singles(trials):
        rest = {name: value for name, value in trial.choice.parameters.items() if name not in OPTIONS}
        plain = trial.choice.model_copy(update={"parameters": rest})
        if len(found) < MEMBERS:
            found.setdefault(plain.model_dump_json(), trial)
    return list(found.values())


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


def _comes_first(choice: ModelChoice, known: Mapping[str, Family], how: Tune, most: int) -> bool:
    """Say whether a race of `most` trials tries a choice in any case, since it has the defaults of its family."""
    whole = how.method == "race" and how.seconds is None and most >= len(known)
    return whole and choice.family in known and choice.parameters == known[choice.family].defaults


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


def _file_name(choice: ModelChoice, fold: int) -> str:
    return hashlib.sha256(f"{fold} {choice.model_dump_json()}".encode()).hexdigest()[:32] + ".npz"


def _kept_curve(path: Path | None, *arguments: Any) -> tuple[list[float], np.ndarray]:
    """Return what `_curve` does, from a file if there is one; otherwise write it, unless the model failed."""
    if path is None:
        return _curve(*arguments)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            return found["losses"].tolist(), found["scores"]
    # A machine that stops may leave a file that is not whole.
    except (OSError, EOFError, KeyError, ValueError, BadZipFile):
        losses, given = _curve(*arguments)
    if math.isfinite(losses[-1]):
        with replacing(path) as temporary, temporary.open("wb") as made:
            np.savez(made, losses=losses, scores=given)
    return losses, given


def _curve(  # noqa: PLR0913, PLR0917
    choice: ModelChoice,
    data: Columns,
    target: np.ndarray,
    contract: Contract,
    fold: Fold,
    seed: int,
    room: Room,
    is_squared: bool = False,
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
    has_curve = bool(rounds) and rounds not in choice.parameters and not choice.parameters.get("log_target")
    try:
        is_dummy = choice == DUMMY or learns_nothing
        pipeline = build_dummy(contract) if is_dummy else build(choice, contract, seed, room=room)
        with np.errstate(over="ignore", invalid="ignore"):
            if has_curve and not learns_nothing:
                losses, given_scores = losses_by_rounds(
                    pipeline, rounds, given, target[seen], held_out, target[unseen], contract, room, is_squared
                )
            else:
                fitted = fit(pipeline, given, target[seen], contract, room)
                given_scores = scores(fitted, held_out, contract, room)
                losses = [float(row_losses(target[unseen], given_scores, squared=is_squared).mean())]
                if has_curve:
                    # The other folds alone say which number of rounds is best.
                    losses *= MOST_ROUNDS // ROUNDS_PER_STEP
        _require_scores(given_scores, contract.task)
    # Each library, and a family of the user's own, raises errors of its own kinds.
    except Exception as error:
        say(f"  a trial of {choice.family} failed: {one_line(error)}")
        return [math.inf], np.empty(0)
    return (losses, given_scores) if all(map(math.isfinite, losses)) else ([math.inf], given_scores)


def _require_scores(scores: np.ndarray, task: str) -> None:
    """Raise InputError for scores that are not finite or not probabilities: log loss takes infinity for sure."""
    given = scores.reshape(len(scores), -1)
    if gaps := int((~np.isfinite(given)).any(axis=1).sum()):
        raise InputError(f"it gives no finite score for {gaps} of {len(given)} rows")
    if task != "regression" and (given.min() < -ADDS_UP or np.abs(given.sum(axis=1) - 1).max() > ADDS_UP):
        raise InputError("it gives probabilities that are negative, or do not add up to 1")
