"""Slices of the data on which a model may be worse than overall: declared or discovered."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, ttest_ind

from assay.base.rounding import significant
from assay.contract.spec import Boolean, Contract
from assay.data.columns import Columns

PARTS = 3
FOUND = 10
FEWEST = 5
# Of more rows some are searched: the search takes memory for each row and pair of conditions.
SEARCHED_ROWS = 20_000
MISSING = "missing"


@dataclass(frozen=True)
class Condition:
    """A column equals `value`, or is above `low` and at most `high`."""

    column: str
    value: str | None = None
    low: float = -np.inf
    high: float = np.inf

    def __str__(self) -> str:
        """Return the condition in words."""
        if self.value is not None:
            return f"{self.column} is {self.value}"
        if self.low == -np.inf:
            return f"{self.column} up to {self.high:g}"
        if self.high == np.inf:
            return f"{self.column} above {self.low:g}"
        return f"{self.column} in ({self.low:g}, {self.high:g}]"

    def holds(self, data: Columns) -> np.ndarray:
        """Return a mask of the rows that satisfy the condition."""
        values = data[self.column]
        if self.value == MISSING and values.dtype == np.float64:
            return np.asarray(np.isnan(values))
        if self.value is not None:
            return np.asarray(values == self.value, dtype=bool)
        return np.asarray((values > self.low) & (values <= self.high))


Slice = tuple[Condition, ...]


def readable(data: Columns, contract: Contract) -> dict[str, np.ndarray]:
    """Return the columns with the words true, false and missing for booleans and missing values."""
    return {
        name: _words(values, isinstance(contract.columns[name], Boolean))
        if values.dtype == object or isinstance(contract.columns[name], Boolean)
        else values
        for name, values in data.items()
    }


def _words(values: np.ndarray, is_boolean: bool) -> np.ndarray:
    known = np.where(values == 1, "true", "false") if is_boolean else values
    return np.where(pd.isna(values), MISSING, known).astype(object)


def holds(part: Slice, data: Columns) -> np.ndarray:
    """Return a mask of the rows that satisfy all conditions of a slice."""
    return np.asarray(np.logical_and.reduce([condition.holds(data) for condition in part]))


def declared(contract: Contract, data: Columns) -> list[Slice]:
    """Return the slices declared in the contract: each interval between edges, or each value that occurs."""
    parts: list[Slice] = []
    for entry in contract.slices:
        if entry.edges:
            parts += [(condition,) for condition in _intervals(entry.column, entry.edges, data[entry.column])]
        else:
            values = sorted(set(data[entry.column]))
            parts += [(Condition(entry.column, value=value),) for value in values]
    return parts


def discover(data: Columns, losses: np.ndarray, *, min_rows: int) -> list[Slice]:
    """Return up to ten slices, of one or two conditions, on which the losses are highest (SliceLine, Sagadeeva 2021).

    Numbers are cut into thirds. The result is only a suspicion: use `compare_with_rest` on other rows. Give it at most
    SEARCHED_ROWS rows.
    """
    choices = {name: _conditions(name, values) for name, values in data.items()}
    choices = {name: conditions for name, conditions in choices.items() if len(conditions) > 1}
    if not choices or losses.max() <= 0:
        return []
    codes = np.zeros((len(losses), len(choices)), dtype=np.int64)
    for j, conditions in enumerate(choices.values()):
        for code, condition in enumerate(conditions, start=1):
            codes[condition.holds(data), j] = code
    # Imported here because it compiles code, and not all callers discover slices.
    from sliceline.slicefinder import Slicefinder

    finder = Slicefinder(alpha=0.9, k=FOUND, max_l=2, min_sup=max(FEWEST, min_rows), verbose=False)
    finder.fit(codes, losses)
    conditions_of = list(choices.values())
    found = [[(j, int(code)) for j, code in enumerate(row) if code is not None] for row in finder.top_slices_[:FOUND]]
    # Code 0 is a value too rare to have a condition, so a slice with it cannot be named.
    return [tuple(conditions_of[j][code - 1] for j, code in part) for part in found if all(code for _, code in part)]


def compare_with_rest(
    parts: Sequence[Slice], data: Columns, losses: np.ndarray, *, min_rows: int, false_discovery_rate: float
) -> list[dict[str, Any]]:
    """Compare the mean loss of each slice with that of all other rows.

    A slice is `worse` if Welch's one-sided test is significant after correction for the number of slices (Benjamini and
    Hochberg 1995). Slices with fewer than `min_rows` rows, or with nearly all rows, are left out. The worst come first.
    """
    rows: list[dict[str, Any]] = []
    for part in parts:
        inside = holds(part, data)
        if inside.sum() < min_rows or (~inside).sum() < FEWEST:
            continue
        within, outside = losses[inside], losses[~inside]
        p = 1.0 if np.ptp(losses) == 0 else float(ttest_ind(within, outside, equal_var=False, alternative="greater")[1])
        rows.append(
            {
                "slice": " and ".join(str(condition) for condition in part),
                "rows": int(inside.sum()),
                "loss": significant(within.mean()),
                "loss_elsewhere": significant(outside.mean()),
                "p": 1.0 if np.isnan(p) else p,
            }
        )
    if rows:
        corrected = false_discovery_control([row["p"] for row in rows])
        for row, q in zip(rows, corrected, strict=True):
            row |= {"p": significant(row["p"]), "q": significant(q), "worse": bool(q <= false_discovery_rate)}
    return sorted(rows, key=lambda row: (row["q"], row["loss_elsewhere"] - row["loss"], row["slice"]))


def _conditions(name: str, values: np.ndarray) -> list[Condition]:
    if values.dtype == object:
        kinds, counts = np.unique(values, return_counts=True)
        common = kinds[np.argsort(-counts, kind="stable")][:20]
        return [Condition(name, value=str(value)) for value in common]
    if values.dtype != np.float64 or not len(known := values[~np.isnan(values)]):
        return []
    edges = np.unique(np.quantile(known, np.linspace(0, 1, PARTS + 1)[1:-1]))
    return _intervals(name, [significant(edge, 3) for edge in edges if known.min() <= edge < known.max()], values)


def _intervals(name: str, edges: Sequence[float], values: np.ndarray) -> list[Condition]:
    bounds = [-np.inf, *sorted(set(edges)), np.inf]
    gap = [Condition(name, value=MISSING)] if np.isnan(values).any() else []
    return [*(Condition(name, low=low, high=high) for low, high in pairwise(bounds)), *gap]


def groups(values: np.ndarray, name: str, contract: Contract) -> np.ndarray:
    """Return the group of each row in words: its value, or its interval (of the declared slices, else thirds)."""
    if values.dtype == object:
        return values
    edges = next((part.edges for part in contract.slices if part.column == name), ())
    conditions = _intervals(name, edges, values) if edges else _conditions(name, values)
    found = np.full(len(values), "all", dtype=object)
    for condition in conditions:
        found[condition.holds({name: values})] = str(condition)
    return found


def part_columns(contract: Contract) -> list[str]:
    """Return the columns for slices and groups: all but ids, texts and times, unless declared."""
    kinds = {name: column.kind for name, column in contract.columns.items()}
    wanted = {part.column for part in contract.slices} | set(contract.sensitive)
    return [name for name in kinds if name in wanted or kinds[name] in ("number", "integer", "boolean", "category")]
