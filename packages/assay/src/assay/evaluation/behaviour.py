"""How a model behaves: under small changes of its inputs, in which label it prefers, and towards groups."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from assay.base.rounding import significant
from assay.contract.spec import Boolean, Category, Contract, Integer, Text, Time
from assay.data.columns import Columns
from assay.evaluation.metrics import Rows

SMALLEST_GROUP = 30

Decide = Callable[[Columns], np.ndarray]


def sensitivity(data: Columns, contract: Contract, decide: Decide, *, noise: float, seed: int) -> dict[str, Any]:
    """Return how much answers change when inputs change a little: of each feature by itself, and of all together.

    A number moves by a normal step of `noise` of its interquartile range, a whole number by at least one in a share
    `noise` of the rows, a time as a number does; a category becomes another value and a boolean the other one in a
    share `noise` of the rows. All stay within their range. For classes the figure is the share of rows with another
    answer, for numbers the mean change over the standard deviation of the answers. Texts stay as they are.
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
    """Return the rows with every feature changed a little, as `sensitivity` says."""
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
        steps = step * _spread(values[~np.isnat(values)].astype(np.int64))
        moved = values + steps.astype("timedelta64[us]")
        return moved if column.range is None else _within(moved, [np.datetime64(end, "us") for end in column.range])
    step *= _spread(values[~np.isnan(values)])
    if isinstance(column, Integer):
        step = np.where(rng.random(len(values)) < noise, np.sign(step) * np.ceil(np.abs(step)), 0)
    return values + step if column.range is None else _within(values + step, column.range)


def _within(values: np.ndarray, limits: Sequence[Any]) -> np.ndarray:
    return np.asarray(np.clip(values, limits[0], limits[1]))


def _spread(known: np.ndarray) -> float:
    """Return the interquartile range, or the standard deviation where most values are the same."""
    if not len(known):
        return 0.0
    low, high = np.quantile(known, [0.25, 0.75])
    return float((high - low) or known.std())


def dominance(rows: Rows, contract: Contract, parts: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Return, for all rows and each part, the label predicted most and its share beside its true share there."""
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


def fairness(rows: Rows, contract: Contract, groups: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return metrics by group of each sensitive column, and the largest difference between two groups (Fairlearn).

    Selection rate, true and false positive rate for a binary task, accuracy for classes, mean error for numbers. The
    groups are as `assay.evaluation.slices.groups` names them. A rate over no row is None. Groups under 30 rows are
    shown and left out of the difference.
    """
    found: dict[str, Any] = {}
    if not groups:
        return found
    # Imported here, since most contracts name no sensitive column and need not wait for it.
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
        large = table[table["rows"] >= SMALLEST_GROUP].drop(columns="rows")
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
