"""Behaviour of a model: sensitivity to perturbations, dominance of a label, fairness between groups."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from assay.base.rounding import significant
from assay.contract.spec import Boolean, Category, Contract, Integer, Text, Time
from assay.data.columns import Columns
from assay.evaluation.metrics import ScoredRows

SMALLEST_GROUP = 30
# In microseconds.
WEEK = 7 * 24 * 3600 * 10**6
# The class whose rows a rate is of; all rows count for the others.
RATE_OF = {"true_positive_rate": 1, "false_positive_rate": 0}

Decide = Callable[[Columns], np.ndarray]


def sensitivity(data: Columns, contract: Contract, decide: Decide, *, noise: float, seed: int) -> dict[str, Any]:
    """Return the sensitivity of predictions to perturbations, of each feature alone and of all together.

    Numbers and times get normal noise with a standard deviation of `noise` interquartile ranges; times move by whole
    weeks, since another hour or day of the week is no small change. In a share `noise` of the rows, integers change by
    at least one, categories get a random value and booleans flip. Values stay within their range; texts are unchanged.
    The sensitivity is the share of changed predictions, or for regression the mean absolute
    change in standard deviations of the predictions.
    """
    before = decide(data)
    changed = perturbed(data, contract, noise=noise, seed=seed)

    def effect(moved: Columns) -> float:
        after = decide({**data, **moved})
        if contract.task == "regression":
            return significant(np.abs(after - before).mean() / (before.std() or 1.0))
        return significant((after != before).mean())

    each = {name: effect({name: values}) for name, values in changed.items()}
    return {
        "noise": noise,
        "all": effect(changed),
        "features": dict(sorted(each.items(), key=lambda item: (-item[1], item[0]))),
    }


def perturbed(data: Columns, contract: Contract, *, noise: float, seed: int) -> dict[str, np.ndarray]:
    """Return the rows with every feature perturbed as described in `sensitivity`."""
    rng = np.random.default_rng(seed)
    return {name: _perturb(values, contract, name, noise, rng) for name, values in data.items()}


def _perturb(values: np.ndarray, contract: Contract, name: str, noise: float, rng: np.random.Generator) -> np.ndarray:
    column = contract.features[name]
    if isinstance(column, Text):
        return values
    if isinstance(column, Category):
        other = np.array(column.values, dtype=object)[rng.integers(0, len(column.values), len(values))]
        return np.asarray(np.where(rng.random(len(values)) < noise, other, values))
    if isinstance(column, Boolean):
        return np.asarray(np.where(rng.random(len(values)) < noise, 1 - values, values))
    step = rng.standard_normal(len(values)) * noise
    if isinstance(column, Time):
        weeks = np.round(step * _spread(values[~np.isnat(values)].astype(np.int64)) / WEEK)
        moved = values + (weeks * WEEK).astype("timedelta64[us]")
        return moved if column.range is None else _within(moved, [np.datetime64(end, "us") for end in column.range])
    step *= _spread(values[~np.isnan(values)])
    if isinstance(column, Integer):
        step = np.where(rng.random(len(values)) < noise, np.sign(step) * np.ceil(np.abs(step)), 0)
    return values + step if column.range is None else _within(values + step, column.range)


def _within(values: np.ndarray, limits: Sequence[Any]) -> np.ndarray:
    return np.asarray(np.clip(values, limits[0], limits[1]))


def _spread(known: np.ndarray) -> float:
    """Return the interquartile range, or the standard deviation if the range is zero."""
    if not len(known):
        return 0.0
    low, high = np.quantile(known, [0.25, 0.75])
    return float((high - low) or known.std())


def dominance(rows: ScoredRows, contract: Contract, parts: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Return the most predicted label with its predicted and true share, for all rows and for each part."""
    found = []
    for name, inside in {"all rows": np.ones(len(rows.target), dtype=bool), **parts}.items():
        if not inside.any():
            continue
        answers = np.bincount(rows.decision[inside], minlength=len(contract.classes)) / inside.sum()
        truth = np.bincount(rows.target[inside], minlength=len(contract.classes)) / inside.sum()
        top = int(answers.argmax())
        found.append(
            {
                "part": name,
                "rows": int(inside.sum()),
                "label": contract.classes[top],
                "predicted_share": significant(answers[top]),
                "true_share": significant(truth[top]),
            }
        )
    return found


def fairness(rows: ScoredRows, contract: Contract, groups: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return metrics by group of each sensitive column, and the largest difference between two groups (Fairlearn).

    Selection rate, true and false positive rate for binary tasks, accuracy for classes, mean error for regression. The
    groups are those of `assay.evaluation.slices.groups`. A rate over no rows is None. Groups with fewer than 30 rows
    that a rate is of are listed, but excluded from its difference: a true positive rate is of the positive rows.
    """
    found: dict[str, Any] = {}
    if not groups:
        return found
    # Imported here because it is slow and most contracts have no sensitive column.
    from fairlearn.metrics import MetricFrame, count, false_positive_rate, selection_rate, true_positive_rate
    from sklearn.metrics import accuracy_score, mean_absolute_error

    metrics: dict[str, Any] = {"rows": count}
    if contract.task == "regression":
        metrics |= {"mae": mean_absolute_error, "bias": lambda truth, answer: float(np.mean(answer - truth))}
    else:
        metrics["accuracy"] = accuracy_score
    if contract.task == "binary":
        metrics |= {"selection_rate": selection_rate}
        metrics |= {
            "true_positive_rate": lambda truth, answer: true_positive_rate(truth, answer) if 1 in truth else np.nan,
            "false_positive_rate": lambda truth, answer: false_positive_rate(truth, answer) if 0 in truth else np.nan,
        }
    for name, values in groups.items():
        frame = MetricFrame(metrics=metrics, y_true=rows.target, y_pred=rows.decision, sensitive_features=values)
        table = frame.by_group
        large = table.drop(columns="rows")
        for metric in large:
            among = values[rows.target == RATE_OF[metric]] if metric in RATE_OF else values
            counted = Counter(among.tolist())
            large.loc[[counted[group] < SMALLEST_GROUP for group in large.index], metric] = np.nan
        found[name] = {
            "groups": {
                str(group): {metric: _rate(value) for metric, value in line.items()} for group, line in table.iterrows()
            },
            "difference": {
                metric: _rate(large[metric].max() - large[metric].min())
                for metric in large
                if large[metric].count() > 1
            },
        }
    return found


def _rate(value: float) -> float | None:
    return None if np.isnan(value) else significant(float(value))
