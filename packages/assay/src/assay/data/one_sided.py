"""One-sided changes: rows that were not rewritten or removed at random, but in one direction or in one place."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.stats import binomtest

from assay.contract.spec import Boolean, Category, Column, Id
from assay.data.split import row_keys
from assay.data.versions import Changes, Version, known, shared
from assay.statistics.drift import drift

# With fewer such rows, a direction or a place says little.
FEWEST = 10


@dataclass(frozen=True)
class OneSided:
    """A rewritten column whose change is not random: what shows it, and the p-value, corrected for all looks."""

    column: str
    rows: int
    what: str
    p: float


def one_sided(before: Version, now: Version, found: Changes, *, limit: float, significance: float) -> list[OneSided]:
    """Return the columns rewritten in at most a share `limit` of the rows, but in a direction, or in one place.

    Direction: labels that are rewritten are as frequent as they were, and numbers rise as often as they fall, if the
    rows were chosen at random. Place: the rewritten rows are spread over the values of each other column as all kept
    rows are. P-values are corrected for the number of looks at all columns (Bonferroni); with a split by group, one row
    of each group counts. Of a column the strongest sign is returned.
    """
    few = [name for name, count in found.rewritten.items() if count <= limit * found.kept]
    looks = [sign for name in few for sign in _signs(before, now, found, name)]
    strongest: dict[str, OneSided] = {}
    for sign in looks:
        p = min(1.0, sign.p * len(looks))
        if p <= significance and (sign.column not in strongest or p < strongest[sign.column].p):
            strongest[sign.column] = OneSided(sign.column, sign.rows, sign.what, p)
    return sorted(strongest.values(), key=lambda sign: sign.p)


def one_sided_removal(
    before: Version, now: Version, found: Changes, *, limit: float, significance: float
) -> OneSided | None:
    """Return the strongest sign that rows were removed in one place, at most a share `limit` of all; None without one.

    Place and corrections are those of `one_sided`; the target is a place too. It is expected that the oldest rows go.
    """
    table, split = before.table, before.contract.split
    once = _one_of_each(_groups(before), np.arange(table.num_rows))
    gone = once[found.removed[once]]
    if len(gone) < FEWEST or found.removed.sum() > limit * table.num_rows:
        return None
    if split.by == "time":
        moments = table[str(split.column)].to_numpy()
        if moments[found.removed].max() <= moments[~found.removed].min():
            return None
    looks = list(_places(table, shared(before.contract, now.contract), once, gone))
    if not looks:
        return None
    p, column, what = min(looks)
    corrected = min(1.0, p * len(looks))
    return OneSided(column, len(gone), f"{what} rows before", corrected) if corrected <= significance else None


def _groups(version: Version) -> np.ndarray:
    split = version.contract.split
    if split.by != "group":
        return np.arange(version.table.num_rows)
    return row_keys(version.table, [str(split.column)], "groups")


def _one_of_each(groups: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return those of some rows that are the first of their group."""
    return rows[np.unique(groups[rows], return_index=True)[1]]


def _signs(old_version: Version, new_version: Version, found: Changes, name: str) -> Iterator[OneSided]:
    before, now = old_version.table, new_version.table
    columns, groups = shared(old_version.contract, new_version.contract), _groups(new_version)
    once = np.unique(groups[found.cells[name][1]], return_index=True)[1]
    old, new = (rows[once] for rows in found.cells[name])
    if len(new) < FEWEST:
        return
    kept = _one_of_each(groups, np.flatnonzero(~found.added))
    was, became = before[name].take(pa.array(old)), now[name].take(pa.array(new))
    column = columns[name]
    if isinstance(column, Boolean | Category):
        steps = Counter(zip(was.to_pylist(), became.to_pylist(), strict=True))
        (start, end), count = steps.most_common(1)[0]
        expected = known(before[name].filter(pa.array(~found.removed)), column)
        p = drift([expected, known(was, column)], 0.0, goes_on=False)[1]
        yield OneSided(name, len(new), f"{count} of {len(new)} from {start!r} to {end!r}", p)
    else:
        both = was.is_valid().to_numpy() & became.is_valid().to_numpy()
        one, other = (known(side.filter(pa.array(both)), column) for side in (was, became))
        if one.dtype.kind in "fi" and len(one) >= FEWEST:
            rises, falls = int((other > one).sum()), int((other < one).sum())
            if rises + falls:
                p = float(binomtest(max(rises, falls), rises + falls).pvalue)
                what = f"{max(rises, falls)} of {rises + falls} {'up' if rises > falls else 'down'}"
                yield OneSided(name, len(new), what, p)
    others = {place: other for place, other in columns.items() if place != name}
    for p, _, what in _places(now, others, kept, new):
        yield OneSided(name, len(new), f"{what} kept rows", p)


def _places(
    table: pa.Table, columns: Mapping[str, Column], everywhere: np.ndarray, here: np.ndarray
) -> Iterator[tuple[float, str, str]]:
    """Yield how unlike all rows some rows are in each column: the p-value, the column, and where they are."""
    for name, column in columns.items():
        if isinstance(column, Id):
            continue
        usual, there = (known(table[name].take(pa.array(rows)), column) for rows in (everywhere, here))
        if len(there):
            yield drift([usual, there], 0.0, goes_on=False)[1], name, _place(name, usual, there)


def _place(name: str, everywhere: np.ndarray, here: np.ndarray) -> str:
    if here.dtype == object:
        shares = {value: count / len(here) for value, count in Counter(here.tolist()).items()}
        usual = {value: float((everywhere == value).mean()) for value in shares}
        most = max(shares, key=lambda value: shares[value] - usual[value])
        return f"{shares[most]:.0%} of them where {name} is {most!r}, which is so in {usual[most]:.0%} of all"
    share = float((everywhere <= np.median(here)).mean())
    return f"half of them in the {'lowest' if share < 0.5 else 'highest'} {min(share, 1 - share):.0%} of {name} of all"
