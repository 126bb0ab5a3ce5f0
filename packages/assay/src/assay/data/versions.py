"""Two versions of the data: rows added, removed or rewritten, and whether the distribution changed."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import false_discovery_control

from assay.contract.spec import Boolean, Category, Column, Contract, Id, Ignored, Integer, Number
from assay.data.reading import arrow_type
from assay.data.sample import sample
from assay.data.split import cell_keys, row_keys
from assay.data.stored import Chosen, Rows
from assay.statistics.drift import drift

SALT = "versions"
SAMPLE = 100_000
HARDLY_ANY = 0.1
WINDOWS = 20


@dataclass(frozen=True)
class Version:
    """Rows from `assay.data.reading`, and their contract."""

    table: Rows
    contract: Contract


@dataclass(frozen=True)
class Changes:
    """The changes of rows from one version to the next.

    `removed` is a mask over the rows before, `added` a mask over the rows now; all other rows are kept. `rewritten`
    counts the kept rows with a different value, per column that has any, the largest count first; `changed` counts
    those with a different value in any column. `by_id` says whether rows were matched by id. `cells` has, for each
    rewritten column, the indices of the rows before and now, in pairs.
    """

    removed: np.ndarray
    added: np.ndarray
    rewritten: dict[str, int]
    changed: int
    by_id: bool
    cells: dict[str, tuple[np.ndarray, np.ndarray]]

    @property
    def kept(self) -> int:
        """The number of rows that are in both versions."""
        return int((~self.added).sum())


@dataclass(frozen=True)
class Shift:
    """The drift of a column: the distance of its values from those before (0 to 1), and the shares of missing values.

    `q` and `missing_q` are p-values corrected for the false discovery rate over all columns (Benjamini and Yekutieli
    2001, which holds for dependent columns).
    """

    column: str
    distance: float
    q: float
    missing_before: float
    missing_now: float
    missing_q: float


def shared(before: Contract, now: Contract) -> dict[str, Column]:
    """Return the columns (and target) that both contracts have in the same type, as `now` defines them."""
    old, new = ({**made.columns, made.target.name: made.target_column} for made in (before, now))
    return {
        name: column
        for name, column in new.items()
        if name in old and _form(column) == _form(old[name]) and not isinstance(column, Ignored)
    }


def _form(column: Column) -> str:
    # An integer that became a number has the same type; a column that was ignored was never checked.
    return "number" if isinstance(column, Number | Integer) else f"{isinstance(column, Ignored)} {arrow_type(column)}"


def changes(before: Version, now: Version) -> Changes:
    """Compare the rows of two versions in their shared columns; the order of rows and columns does not matter.

    Rows are matched by the id columns if these are unique in both versions. Otherwise equal rows are paired first, one
    to one, then rows that differ in exactly one column, which was rewritten; if several columns are possible, the one
    that explains most rows is taken. So a row that differs in two columns counts as one removed and one added. Takes a
    few passes over each column.
    """
    names = list(shared(before.contract, now.contract))
    ids = now.contract.ids
    if ids and ids == before.contract.ids:
        old, new = (row_keys(version.table, ids, SALT) for version in (before, now))
        if all(len(pd.unique(keys)) == len(keys) for keys in (old, new)):
            return _by_id(before.table, now.table, [name for name in names if name not in ids], (old, new))
    return _by_content(before.table, now.table, names)


def _by_id(before: Rows, now: Rows, names: list[str], keys: tuple[np.ndarray, np.ndarray]) -> Changes:
    common, old, new = np.intersect1d(*keys, assume_unique=True, return_indices=True)
    rewritten: dict[str, int] = {}
    changed = np.zeros(len(common), dtype=bool)
    cells: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name in names:
        differs = cell_keys(before, name, SALT)[old] != cell_keys(now, name, SALT)[new]
        rewritten[name] = int(differs.sum())
        cells[name] = old[differs], new[differs]
        changed |= differs
    removed, added = (~np.isin(side, common) for side in keys)
    return Changes(removed, added, _most_first(rewritten), int(changed.sum()), by_id=True, cells=cells)


def _by_content(before: Rows, now: Rows, names: list[str]) -> Changes:
    # A sum does not depend on the order of columns, and subtraction removes one column from it.
    sums = [_sum_of_cells(table, names) for table in (before, now)]
    unpaired = [~paired for paired in _pairs(*sums)]
    # Sorted by their sums, so that the order in the file has no effect.
    left = [np.flatnonzero(mask)[np.argsort(keys[mask])] for mask, keys in zip(unpaired, sums, strict=True)]
    rest = [table.take(pa.array(rows)) for table, rows in zip((before, now), left, strict=True)]
    rest_sums = [keys[rows] for keys, rows in zip(sums, left, strict=True)]

    def without(name: str) -> list[np.ndarray]:
        return [keys - cell_keys(table, name, SALT) for keys, table in zip(rest_sums, rest, strict=True)]

    explained = {name: _common(*without(name)) for name in names}
    unused = [np.ones(len(rows), dtype=bool) for rows in left]
    rewritten: dict[str, int] = {}
    cells: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name in _most_first(explained):
        keys = [all_keys[mask] for all_keys, mask in zip(without(name), unused, strict=True)]
        paired = _pairs(*keys)
        # Sorted by their keys, equal keys of both sides are at the same place.
        first, second = (
            rows[mask][found][np.argsort(side[found], kind="stable")]
            for rows, mask, found, side in zip(left, unused, paired, keys, strict=True)
        )
        cells[name] = first, second
        for mask, found in zip(unused, paired, strict=True):
            mask[mask] = ~found
        rewritten[name] = int(paired[0].sum())
    for mask, rows, still in zip(unpaired, left, unused, strict=True):
        mask[rows] = still
    removed, added = unpaired
    return Changes(removed, added, _most_first(rewritten), sum(rewritten.values()), by_id=False, cells=cells)


def _most_first(counts: dict[str, int]) -> dict[str, int]:
    return {name: counts[name] for name in sorted(counts, key=lambda name: (-counts[name], name)) if counts[name]}


def _sum_of_cells(table: Rows, names: list[str]) -> np.ndarray:
    total = np.zeros(table.num_rows, dtype=np.uint64)
    for name in names:
        total += cell_keys(table, name, SALT)
    return total


def _counts(before: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a code for each key of both sides, and for each code how many pairs are possible."""
    codes, keys = pd.factorize(np.concatenate([before, now]))
    old, new = codes[: len(before)], codes[len(before) :]
    return old, new, np.minimum(*(np.bincount(side, minlength=len(keys)) for side in (old, new)))


def _common(before: np.ndarray, now: np.ndarray) -> int:
    """Return how many keys can be paired one to one with equal keys of the other side."""
    return int(_counts(before[_may_be_in(before, now)], now[_may_be_in(now, before)])[2].sum())


def _may_be_in(keys: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return a mask that excludes most keys that are not among the others: cheaper than looking up each of them."""
    low_bits = np.uint64(2**24 - 1)
    seen = np.zeros(2**24, dtype=bool)
    seen[others & low_bits] = True
    return np.asarray(seen[keys & low_bits])


def _pairs(before: np.ndarray, now: np.ndarray) -> list[np.ndarray]:
    """Return, for both sides, the mask of keys that are paired one to one with equal keys; the first ones win."""
    old, new, both = _counts(before, now)
    return [_number_within(side) < both[side] for side in (old, new)]


def _number_within(codes: np.ndarray) -> np.ndarray:
    """Return, for each code, how many equal codes come before it."""
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes)
    number = np.empty(len(codes), dtype=np.int64)
    number[order] = np.arange(len(codes)) - (np.cumsum(counts) - counts)[codes[order]]
    return number


def new_rows(found: Changes) -> np.ndarray:
    """Return the mask of rows to compare with those before: the added ones, or all if none or hardly any was kept."""
    replaced = found.kept - found.changed < HARDLY_ANY * len(found.removed)
    return np.ones_like(found.added) if replaced or not found.added.any() else found.added


def shifts(before: Version, now: Version, new: np.ndarray) -> list[Shift]:
    """Compare the distribution of each feature and the target in some rows now (a mask) with all rows before.

    Numbers, times and lengths of texts: distance and two-sample test of Kolmogorov and Smirnov. Categories, booleans,
    and whether a value is missing: total variation distance and chi-squared test of independence; if it expects fewer
    than 5 rows of some value, Fisher's exact test for two values and random tables for more.

    Times, and the column of a split by time, are expected to increase: only a shift to earlier values counts. With a
    split by time the other columns may vary over time: the distance is the excess over that of the most different of up
    to 20 earlier windows of equal length. Rows of a group are alike, so with a split by group one row of each group is
    used. More than 100,000 rows are sampled.
    """
    contract, fresh = now.contract, Chosen(now.table, np.flatnonzero(new))
    columns = {name: column for name, column in shared(before.contract, contract).items() if not isinstance(column, Id)}
    earlier = _windows(before.table, contract, fresh.num_rows)
    tables = [_independent(table, contract, list(columns)) for table in (before.table, fresh, *earlier)]
    part = fresh.num_rows / before.table.num_rows
    looks: dict[tuple[str, str], tuple[float, float]] = {}
    for name, column in columns.items():
        values = [known(table[name], column) for table in tables]
        looks[name, "values"] = drift(values, part, goes_on=contract.goes_on(name))
        if tables[0][name].null_count + tables[1][name].null_count:
            gaps = [np.asarray(pc.is_null(table[name])) for table in tables]
            looks[name, "missing"] = drift(gaps, part, goes_on=False)
    found = [p for _, p in looks.values()]
    q = dict(zip(looks, false_discovery_control(found, method="by"), strict=True)) if found else {}
    return [
        Shift(
            name,
            looks[name, "values"][0],
            float(q[name, "values"]),
            before.table[name].null_count / before.table.num_rows,
            fresh[name].null_count / max(fresh.num_rows, 1),
            float(q.get((name, "missing"), 1.0)),
        )
        for name in columns
    ]


def class_shares(labels: pa.ChunkedArray) -> dict[str, float]:
    """Return the share of each label."""
    return {one["values"]: one["counts"] / len(labels) for one in labels.value_counts().to_pylist()}


def _independent(table: Rows, contract: Contract, names: list[str]) -> pa.Table:
    """Return rows that can be assumed independent, at most SAMPLE of them."""
    if contract.split.by == "group" and contract.split.column in table.column_names:
        groups = row_keys(table, [str(contract.split.column)], SALT)
        # The row that represents a group is chosen by content, so that the order in the file has no effect.
        order = np.lexsort((_sum_of_cells(table, names), groups))
        table = table.take(pa.array(order[np.unique(groups[order], return_index=True)[1]]))
    return sample(table, SAMPLE, seed=0)


def _windows(table: Rows, contract: Contract, length: int) -> list[Rows]:
    """Return windows of `length` rows, spread over the whole time; none without a split by time."""
    number = min(WINDOWS, table.num_rows // max(length, 1))
    if contract.split.by != "time" or contract.split.column not in table.column_names or number < 2:
        return []
    ordered = np.asarray(pc.sort_indices(table[str(contract.split.column)]))
    starts = [start * (table.num_rows // number) for start in range(number)]
    return [Chosen(table, np.sort(ordered[start : start + length])) for start in starts]


def known(values: pa.ChunkedArray, column: Column) -> np.ndarray:
    """Return the values that are not missing: labels as objects, everything else as numbers."""
    values = values.drop_null()
    if isinstance(column, Boolean | Category):
        return np.array(values.cast(pa.string()).to_pylist(), dtype=object)
    if pa.types.is_string(values.type):
        values = pc.utf8_length(values)
    elif pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    return np.asarray(values.to_numpy())
