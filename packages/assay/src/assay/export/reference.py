"""What the monitor compares production with: the file models/reference.json, so that it needs no training data.

Each column and score is turned into bounded features: values from 0 to 1 in a few steps. Their means in the data of the
model, and the losses on the test rows, are what the model was promised on.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.base.config import Frozen, typed
from assay.base.errors import InputError
from assay.base.formats import read_format
from assay.base.rounding import significant
from assay.contract.spec import Boolean, Category, Column, Contract, Text, Time
from assay.data.columns import take
from assay.statistics.day_effects import day_effects
from assay.statistics.losses import row_costs
from assay.statistics.sequential import allowance

if TYPE_CHECKING:
    from pathlib import Path

REFERENCE, FORMAT = "reference.json", 1
# Steps of the bounded features, and of losses.
STEPS, LOSS_STEPS = 32, 1000
# The most quantiles of a column, and of all columns together; the most pairs of columns, and listed values of a column.
EDGES, ALL_EDGES, PAIRS, LISTED = 31, 20_000, 200, 20
# The chance that the reference itself is further from the truth than its allowances say: half of it is for the losses,
# which are most important, a quarter for both sides of all features of that check, and the rest for the other checks.
DOUBT = 0.05
# The kinds of features that matter less than how high values are, and how frequent.
SECOND = ("spread", "pair")
# The clipped loss of regression: this many times the 99th percentile of the errors on the test rows is a loss of 1.
CLIPPED = 3.0
# What the model gave this probability is surprising by half if it comes true.
IMPROBABLE = 0.03
# The share of surprise in the alarms and the doubt of all losses: it shows a change first.
SURPRISE = 0.75

# Plain columns: numbers, with NaN for missing; categories as index in the contract, -1 if it is not there.
Plain = Mapping[str, np.ndarray]
Check = Literal["values", "scores", "features", "estimate"]
CHECKS: tuple[Check, ...] = ("values", "scores", "features", "estimate")
SCORE = "score"
# The most values of features at a time, for memory.
CELLS = 4_000_000
WEEK, YEAR, FEWEST_OF_A_WEEKDAY = 7, 364, 30
# How many standard deviations of the means of days a day may be from what is expected.
REACH = 4.5


class Sketch(Frozen):
    """The distribution of numbers: quantiles, and the shares below the first, at it, between it and the second..."""

    edges: tuple[float, ...]
    shares: tuple[float, ...]

    @property
    def ranks(self) -> np.ndarray:
        """The mid-rank of each part."""
        shares = np.array(self.shares)
        return np.asarray(np.cumsum(shares) - shares / 2)

    def rank(self, values: np.ndarray) -> np.ndarray:
        """Return the rank of each value, from 0 to 1; 1/2 for a missing one."""
        edges = np.array(self.edges)
        part = np.searchsorted(edges, values, "left") + np.searchsorted(edges, values, "right")
        return np.where(np.isnan(values), 0.5, self.ranks[np.minimum(part, len(self.ranks) - 1)])

    def value(self, rank: float) -> float:
        """Return the value at a rank."""
        return float(np.interp(rank, self.ranks[1::2], self.edges))


class Feature(Frozen):
    """A bounded feature of a row, its mean, and how far the true mean may be from that.

    rank: of the value of `column`; spread: how far the rank is from the middle; pair: the product of two centred ranks,
    as for a correlation; share: whether the value is the one listed under `index`; missing, unseen: whether the value
    is missing, or outside all values of the reference; loss: the expected loss, if the probabilities are right.

    With a year of times, `means` and `allowances` have those of each weekday, from Monday on. `varies` is a part of the
    allowances, for days that differ from each other by more than chance.
    """

    kind: Literal["rank", "spread", "pair", "share", "missing", "unseen", "loss"]
    column: str
    other: str | None = None
    index: int | None = None
    mean: float = 0.0
    allowance: float = 1.0
    varies: float = 0.0
    means: tuple[float, ...] = ()
    allowances: tuple[float, ...] = ()

    def expected(self, weekday: int) -> tuple[float, float]:
        """Return the middle of where the mean may be on a weekday, and how far from it that goes.

        Between the means of that weekday and of those beside it, since a day of the log is one of UTC: in other zones
        part of its rows belongs to another weekday.
        """
        if not self.means:
            return self.mean, self.allowance
        near = [(weekday + step) % WEEK for step in (-1, 0, 1)]
        low = min(self.means[day] - self.allowances[day] for day in near)
        high = max(self.means[day] + self.allowances[day] for day in near)
        return (low + high) / 2, (high - low) / 2


class Loss(Frozen):
    """A loss on outcomes, as a share of `scale`: its mean on the test rows, its interval and allowance.

    `varies` is the variance of its mean from day to day beyond chance, as a share of that of a row.
    surprise: from 0 to 1, how improbable the model held what came true. If outcomes become random for some rows, it
    grows by more of its standard deviation than the others, because 1 / probability is then the likelihood ratio.
    """

    name: Literal["loss", "surprise", "cost", "error"]
    words: str
    unit: str
    scale: float
    mean: float
    allowance: float
    varies: float = 0.0


class Reference(Frozen):
    """The content of the file. `rows` counts independent rows of features, scores and losses."""

    format: int
    rows: dict[str, int]
    sketches: dict[str, Sketch]
    score_sketches: dict[str, Sketch]
    # The lowest and highest number of a column, and the categories that occur.
    ends: dict[str, tuple[float, float]]
    known: dict[str, tuple[int, ...]]
    checks: dict[Check, tuple[Feature, ...]]
    losses: tuple[Loss, ...]


@dataclass(frozen=True)
class Scored:
    """Scores of rows, of shape (rows, classes) or (rows,), and the index of the class that was decided for."""

    scores: np.ndarray
    decision: np.ndarray


def load_reference(models: "Path") -> Reference:
    """Read the reference of a packaged model; raises InputError for a file that is missing, broken or newer."""
    path = models / REFERENCE
    if (models / "model.json").exists() and not path.exists():
        raise InputError(f"{path}: this version was exported without a reference; run `dvc repro` for a new one")
    return typed(read_format(path, FORMAT), Reference, path)


def plain(values: pa.Array | pa.ChunkedArray, column: Column) -> np.ndarray:
    """Return values of a column as numbers: the length of a text, the index of a category, microseconds of a time."""
    match column:
        case Category():
            known = pc.index_in(values, value_set=pa.array(column.values, pa.string()))
            found = pc.fill_null(known, -1).cast(pa.float64())
            found = pc.if_else(pc.is_null(values), None, found)
        case Text():
            found = pc.utf8_length(values).cast(pa.float64())
        case Time():
            found = values.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64(), safe=False)
        case _:
            found = values.cast(pa.float64())
    return np.array(found.to_numpy(zero_copy_only=False) if isinstance(found, pa.Array) else found, np.float64)


def plain_columns(table: pa.Table, contract: Contract) -> dict[str, np.ndarray]:
    """Return the features of a table as plain columns."""
    return {name: plain(table[name], column) for name, column in contract.features.items()}


def score_columns(scored: Scored, contract: Contract) -> dict[str, np.ndarray]:
    """Return the columns of scores: by class, the decision, and the expected loss if the probabilities are right."""
    if contract.task == "regression":
        return {SCORE: scored.scores}
    labels = list(contract.classes)[1:] if contract.task == "binary" else list(contract.classes)
    first = len(contract.classes) - len(labels)
    made = {f"{SCORE} {label}": scored.scores[:, first + index] for index, label in enumerate(labels)}
    return made | {"decision": scored.decision.astype(float), "expected": _expected(scored, contract)}


def _expected(scored: Scored, contract: Contract) -> np.ndarray:
    if contract.costs is None:
        return np.asarray(1 - scored.scores[np.arange(len(scored.decision)), scored.decision])
    positive = scored.scores[:, 1]
    wrong = np.where(
        scored.decision == 1, contract.costs.false_positive * (1 - positive), contract.costs.false_negative * positive
    )
    return wrong / contract.costs.highest


def losses(scored: Scored, target: np.ndarray, contract: Contract, scale: float) -> dict[str, np.ndarray]:
    """Return the losses of rows by name, from 0 to 1; `scale` is the error that is a loss of 1, for regression."""
    if contract.task == "regression":
        return {"loss": np.minimum(np.abs(scored.scores - target) / scale, 1.0)}
    truth = np.eye(len(contract.classes))[target]
    probability = (scored.scores * truth).sum(axis=1)
    made = {
        "loss": ((scored.scores - truth) ** 2).sum(axis=1) / 2,
        "surprise": IMPROBABLE / (IMPROBABLE + probability),
    }
    if contract.costs is None:
        return made | {"error": (scored.decision != target).astype(float)}
    cost = row_costs(target, scored.decision, contract.costs.false_positive, contract.costs.false_negative)
    return made | {"cost": cost / contract.costs.highest}


def loss_shares(names: Sequence[str]) -> dict[str, float]:
    """Return the share of each loss in the alarms, and in the doubt, of all of them.

    >>> loss_shares(["loss", "surprise", "cost"])
    {'loss': 0.125, 'surprise': 0.75, 'cost': 0.125}
    """
    others = [name for name in names if name != "surprise"]
    rest = 1.0 - SURPRISE * (len(others) < len(names))
    return {name: SURPRISE if name == "surprise" else rest / len(others) for name in names}


def feature_shares(features: Sequence[Feature]) -> np.ndarray:
    """Return the share of each feature in the bets, and in the doubt, of all of a check.

    Each kind of feature has as much, those in SECOND half as much: hundreds of pairs would otherwise have nearly all of
    it, and a change of one column would be found later.
    """
    number = Counter(one.kind for one in features)
    weights = {kind: 1 if kind in SECOND else 2 for kind in number}
    return np.array([weights[one.kind] / number[one.kind] for one in features]) / sum(weights.values())


def levels(check: Check, features: Sequence[Feature], columns: Plain, reference: Reference) -> np.ndarray:
    """Return the bounded features of rows in steps, from 0 to STEPS; shape (rows, features)."""
    sketches = reference.score_sketches if check == "scores" else reference.sketches

    @cache
    def rank(name: str) -> np.ndarray:
        return sketches[name].rank(columns[name])

    def bounded(one: Feature) -> np.ndarray:
        values = columns[one.column]
        found: np.ndarray = values
        match one.kind:
            case "rank":
                found = rank(one.column)
            case "spread":
                found = np.abs(2 * rank(one.column) - 1)
            case "pair":
                found = ((2 * rank(one.column) - 1) * (2 * rank(str(one.other)) - 1) + 1) / 2
            case "share":
                found = values == one.index
            case "missing":
                found = np.isnan(values)
            case "unseen" if one.column in reference.known:
                found = ~(np.isin(values, reference.known[one.column]) | np.isnan(values))
            case "unseen":
                low, high = reference.ends[one.column]
                found = (values < low) | (values > high)
        return found

    rows = len(next(iter(columns.values())))
    made = np.array([bounded(one) for one in features], dtype=np.float32).reshape(len(features), rows)
    # A log may hold anything, a score that is not a number as well.
    return np.asarray(np.rint(np.nan_to_num(made).clip(0, 1) * STEPS).astype(np.uint8).T)


def counts(levels: np.ndarray, steps: int) -> np.ndarray:
    """Return how many rows have each level, for levels from 0 to `steps`; shape (features, steps + 1)."""
    number = levels.shape[1]
    flat = (levels + np.arange(number) * (steps + 1)).ravel()
    return np.bincount(flat, minlength=number * (steps + 1)).reshape(number, steps + 1)


def level_counts(check: Check, features: Sequence[Feature], columns: Plain, reference: Reference) -> np.ndarray:
    """Return how many rows have each level, as `counts` of `levels` does, in bounded memory."""
    rows, made = len(next(iter(columns.values()))), np.zeros((len(features), STEPS + 1), dtype=np.int64)
    at_once = max(CELLS // len(features), 1)
    for start in range(0, rows, at_once):
        part = {name: values[start : start + at_once] for name, values in columns.items()}
        made += counts(levels(check, features, part, reference), STEPS)
    return made


def make_reference(
    contract: Contract,
    table: pa.Table,
    scored: Scored,
    promised: tuple[Scored, np.ndarray],
    rows: Mapping[str, int],
    days: tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None] = (None, None, None),
) -> Reference:
    """Return the reference of a model.

    `table` are the rows whose features are compared, `scored` the scores of rows that the model was not fitted on,
    `promised` the scores and targets of the test rows. `rows` counts independent rows of features, scores and losses.
    With `days` of the rows of `table`, `scored` and `promised`, as `days_of` gives them, each weekday gets means of its
    own if there are enough of them, and what differs from day to day may do so.
    """
    # The last months show how the scores of weekdays differ, if the features show it over a year.
    of_features = _weekdays(days[0], YEAR)
    weekdays = of_features, None if of_features is None else _weekdays(days[1], WEEK)
    columns, given = plain_columns(table, contract), score_columns(scored, contract)
    watched = {
        name: column
        for name, column in contract.features.items()
        if not contract.goes_on(name) and column.log == "keep"
    }
    numbers = [name for name, column in watched.items() if not isinstance(column, Category | Boolean)]
    scores = [name for name in given if name.startswith(SCORE)]
    most = min(max(ALL_EDGES // max(len(numbers), 1), 4), EDGES)
    draft = Reference(
        format=FORMAT,
        rows=dict(rows),
        sketches={name: _sketch(columns[name], most) for name in numbers},
        score_sketches={name: _sketch(given[name], most) for name in scores},
        ends={name: _ends(columns[name]) for name in numbers if not np.isnan(columns[name]).all()},
        known={name: _known(columns[name]) for name, column in watched.items() if isinstance(column, Category)},
        checks={},
        losses=(),
    )
    kinds = {name: _values(column) for name, column in watched.items() if name not in numbers}
    checks: dict[Check, list[Feature]] = {
        "values": [
            *(Feature(kind="missing", column=name) for name, one in contract.features.items() if one.log != "omit"),
            *(Feature(kind="unseen", column=name) for name in [*draft.ends, *draft.known]),
        ],
        "scores": [
            *_shapes(scores),
            *_shares({"decision": range(len(contract.classes))} if contract.classes else {}, given),
        ],
        "features": [
            *_shapes(numbers),
            *_shares(kinds, columns),
            *_pairs(numbers, columns, draft),
        ],
        "estimate": [Feature(kind="loss", column="expected")] if contract.classes else [],
    }
    made: dict[Check, tuple[Feature, ...]] = {}
    for check, features in checks.items():
        of = 1 if check in ("scores", "estimate") else 0
        independent = rows["scores" if of else "features"]
        data, times = (given if of else columns), (weekdays[of], days[of])
        made[check] = _with_means(check, features, data, draft, times, independent) if features else ()
    return draft.model_copy(update={"checks": made, "losses": _losses(*promised, contract, rows["losses"], days[2])})


def _with_means(
    check: Check,
    features: Sequence[Feature],
    columns: Plain,
    draft: Reference,
    times: tuple[np.ndarray | None, np.ndarray | None],
    independent: int,
) -> tuple[Feature, ...]:
    """Return features with their means and allowances.

    `times` are weekday and day of each row, `independent` is the number of independent rows.
    """
    weekday, day = times
    everything = np.ones(len(next(iter(columns.values()))), dtype=bool)
    parts = [everything] if weekday is None else [weekday == one for one in range(WEEK)]
    counted = [level_counts(check, features, take(columns, part), draft) for part in parts]
    total = np.sum(counted, axis=0)
    mean, spread = _moments(total, STEPS)
    means = [] if weekday is None else [_moments(one, STEPS) for one in counted]
    # The doubt is divided like the bets, and between both sides of the mean of each weekday.
    doubts = DOUBT / 2 * (0.5 if check == "features" else 0.5 / (len(CHECKS) - 1)) * feature_shares(features)
    quantiles = np.array([NormalDist().inv_cdf(1 - doubt / 2 / len(parts)) for doubt in doubts.tolist()])
    allowed = allowance(spread, independent, quantiles)
    alloweds = [
        allowance(found[1], max(round(independent * one[0].sum() / total[0].sum()), 1), quantiles)
        for one, found in zip(counted, means, strict=False)
    ]
    varies = np.zeros(len(features))
    if day is not None:
        known, number = np.unique(day, return_inverse=True)
        rows = np.bincount(number)
        # What is expected of the rows of a day depends on its weekday, if that is known.
        expected = mean if weekday is None else np.array([found for found, _ in means])[_weekday(known)]
        apart = _sums_of_days(check, features, columns, draft, number) - rows[:, None] * expected
        varies = REACH * day_effects(apart, rows, spread**2, _kurtosis(total, mean, spread))
    return tuple(
        one.model_copy(
            update={
                "mean": significant(float(mean[index])),
                "allowance": significant(float(allowed[index] + varies[index])),
                "varies": significant(float(varies[index])),
                "means": tuple(significant(float(found[index])) for found, _ in means),
                "allowances": tuple(significant(float(found[index] + varies[index])) for found in alloweds),
            }
        )
        for index, one in enumerate(features)
    )


def days_of(table: pa.Table, contract: Contract) -> np.ndarray | None:
    """Return the days since 1970 of rows; None without a split by time."""
    name = contract.split.column
    if contract.split.by != "time" or name is None or not isinstance(contract.columns[name], Time):
        return None
    return np.asarray(table[name].cast(pa.timestamp("us")).cast(pa.int64())) // 86_400_000_000


def _weekdays(days: np.ndarray | None, least: int) -> np.ndarray | None:
    """Return the weekday of each row, 0 for Monday; None for fewer days than `least`, or few rows of a weekday."""
    if days is None or not len(days) or np.ptp(days) < least:
        return None
    weekdays = _weekday(days)
    return weekdays if np.bincount(weekdays, minlength=WEEK).min() >= FEWEST_OF_A_WEEKDAY else None


def _weekday(days: np.ndarray) -> np.ndarray:
    # The first of January 1970 was a Thursday.
    return (days + 3) % WEEK


def _sums_of_days(
    check: Check, features: Sequence[Feature], columns: Plain, reference: Reference, day: np.ndarray
) -> np.ndarray:
    """Return the sums of features over the rows of each day, in bounded memory; shape (days, features)."""
    sums = np.zeros((day.max() + 1, len(features)))
    at_once = max(CELLS // len(features), 1)
    for start in range(0, len(day), at_once):
        part = slice(start, start + at_once)
        given = {name: values[part] for name, values in columns.items()}
        np.add.at(sums, day[part], levels(check, features, given, reference) / STEPS)
    return sums


def _moments(counts: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each feature."""
    values, total = np.arange(steps + 1) / steps, counts.sum(axis=1)
    mean = counts @ values / total
    return mean, np.sqrt(np.maximum(counts @ values**2 / total - mean**2, 0.0))


def _kurtosis(counts: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return the kurtosis of each feature: 3 for a normal distribution."""
    values = np.linspace(0, 1, counts.shape[1])
    fourth = (counts * (values - mean[:, None]) ** 4).sum(axis=1) / counts.sum(axis=1)
    return np.asarray(fourth / np.maximum(spread, 1e-6) ** 4)


def _losses(
    scored: Scored, target: np.ndarray, contract: Contract, rows: int, days: np.ndarray | None
) -> tuple[Loss, ...]:
    scale = 1.0
    if contract.task == "regression":
        scale = significant(CLIPPED * float(np.quantile(np.abs(scored.scores - target), 0.99)) or 1.0)
    costs = contract.costs
    about: dict[str, tuple[str, str, float]] = {
        "loss": (
            "mean absolute error" if contract.task == "regression" else "Brier score",
            contract.target.unit or "",
            scale,
        ),
        "surprise": ("surprise", "", 1.0),
        "error": ("share of wrong decisions", "", 1.0),
    }
    if costs:
        about["cost"] = ("cost per decision", costs.unit, max(costs.false_positive, costs.false_negative))
    made = []
    found = losses(scored, target, contract, scale)
    shares = loss_shares(list(found))
    for name, values in found.items():
        steps = loss_steps(values)
        counted = counts(steps, LOSS_STEPS)
        mean, spread = _moments(counted, LOSS_STEPS)
        varies, independent = 0.0, rows
        if days is not None:
            _, number, a_day = np.unique(days, return_inverse=True, return_counts=True)
            apart = np.bincount(number, steps[:, 0] / LOSS_STEPS)[:, None] - a_day[:, None] * mean
            effect = day_effects(apart, a_day, spread**2, _kurtosis(counted, mean, spread))
            varies = min(float((effect / np.maximum(spread, 1e-6))[0] ** 2), 1.0)
            # Rows of a day are alike: they say less about the mean.
            independent = max(min(rows, round((a_day / (1 + a_day * varies)).sum())), 1)
        words, unit, of = about[name]
        quantile = NormalDist().inv_cdf(1 - DOUBT / 2 * shares[name])
        allowed = float(allowance(spread, independent, quantile)[0])
        made.append(
            Loss(
                name=name,  # type: ignore[arg-type]
                words=words,
                unit=unit,
                scale=of,
                mean=significant(float(mean[0])),
                allowance=significant(allowed),
                varies=significant(varies),
            )
        )
    return tuple(made)


def loss_steps(values: np.ndarray) -> np.ndarray:
    """Return losses in steps, from 0 to LOSS_STEPS; shape (rows, 1)."""
    return np.asarray(np.rint(values * LOSS_STEPS).astype(np.int64)[:, None])


def independent_rows(table: pa.Table, contract: Contract) -> int:
    """Return the number of rows, or of groups with a split by group, because rows of a group are alike."""
    if contract.split.by == "group" and contract.split.column in table.column_names:
        return int(pc.count_distinct(table[contract.split.column], mode="all").as_py())
    return int(table.num_rows)


def _sketch(values: np.ndarray, most: int) -> Sketch:
    known = values[~np.isnan(values)]
    if not len(known):
        return Sketch(edges=(0.0,), shares=(0.0, 1.0, 0.0))
    edges = np.unique(np.quantile(known, (np.arange(most) + 0.5) / most, method="inverted_cdf"))
    part = np.searchsorted(edges, known, "left") + np.searchsorted(edges, known, "right")
    shares = np.bincount(part, minlength=2 * len(edges) + 1) / len(known)
    return Sketch(edges=tuple(edges.tolist()), shares=tuple(significant(float(one)) for one in shares))


def _ends(values: np.ndarray) -> tuple[float, float]:
    return float(np.nanmin(values)), float(np.nanmax(values))


def _shapes(names: Iterable[str]) -> list[Feature]:
    return [one for name in names for one in (Feature(kind="rank", column=name), Feature(kind="spread", column=name))]


def _values(column: Column) -> range:
    # Of a boolean one value is enough: the other one has the rest.
    return range(len(column.values)) if isinstance(column, Category) else range(1, 2)


def _known(values: np.ndarray) -> tuple[int, ...]:
    return tuple(np.unique(values[values >= 0]).astype(int).tolist())


def _shares(values: Mapping[str, range], columns: Plain) -> list[Feature]:
    """Return a feature for each value of each column; of a long list for the most frequent ones."""
    made = []
    for name, indices in values.items():
        number = [int((columns[name] == index).sum()) for index in indices]
        frequent = np.sort(np.argsort(np.negative(number), kind="stable")[:LISTED])
        made += [Feature(kind="share", column=name, index=indices[one]) for one in frequent.tolist()]
    return made


def _pairs(names: Sequence[str], columns: Plain, draft: Reference) -> list[Feature]:
    """Return a feature for each pair of columns; if there are too many, for those that are most correlated."""
    pairs = list(combinations(names, 2))
    if len(pairs) > PAIRS:
        ranks = np.array([draft.sketches[name].rank(columns[name]) for name in names])
        ranks -= ranks.mean(axis=1, keepdims=True)
        ranks /= np.maximum(np.linalg.norm(ranks, axis=1, keepdims=True), 1e-12)
        strength = np.abs(ranks @ ranks.T)[np.triu_indices(len(names), 1)].round(6)
        pairs = [pairs[index] for index in np.sort(np.argsort(-strength, kind="stable")[:PAIRS])]
    return [Feature(kind="pair", column=one, other=other) for one, other in pairs]
