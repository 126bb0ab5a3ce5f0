"""One-sided changes: rows that were not rewritten or removed at random, but in one direction or in one place."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from scipy.stats import binomtest

from assay.contract.spec import Boolean, Category, Column, Id
from assay.data.split import row_keys
from assay.data.versions import SAMPLE, Changes, Version, known, shared
from assay.statistics.drift import drift

# With fewer such rows, a direction or a place says little.
FEWEST = 10


@dataclass(frozen=True)
class OneSided:
    """A change that is not random: the column that shows it, its rows, where they are, and the corrected p-value."""

    column: str
    rows: int
    what: str
    p: float


class _Look(NamedTuple):
    """A look at a change of a column; `say` tells what it shows, which takes longer than the p-value."""

    column: str
    rows: int
    say: Callable[[], str]
    p: float


def one_sided(before: Version, now: Version, found: Changes, *, limit: float, significance: float) -> list[OneSided]:
    """Return the columns rewritten in at most a share `limit` of the rows, but in a direction, or in one place.

    Direction: labels that are rewritten are as frequent as they were, and numbers rise as often as they fall, if the
    rows were chosen at random. Place: the rewritten rows are spread over the values of each other column as all kept
    rows are. P-values are corrected for the number of looks at all columns (Bonferroni); with a split by group, one row
    of each group counts. Of a column the strongest sign is returned.
    """
    few = [name for name, count in found.rewritten.items() if count <= limit * found.kept]
    return _strongest([look for name in few for look in _looks(before, now, found, name)], significance)


def one_sided_removal(before: Version, now: Version, found: Changes, *, significance: float) -> OneSided | None:
    """Return the strongest sign that rows were removed in one place; None without one.

    Place and corrections are those of `one_sided`; the target is a place too. With a split by time the oldest rows may
    go: they do not count.
    """
    table, split = before.table, before.contract.split
    there = np.ones(table.num_rows, dtype=bool)
    if split.by == "time" and not found.removed.all():
        moments = table[str(split.column)].to_numpy()
        there = ~(found.removed & (moments <= moments[~found.removed].min()))
    # A group is gone, too, if some of its rows are.
    rows = np.flatnonzero(there)
    once = _one_of_each(_groups(before), rows[np.argsort(~found.removed[rows], kind="stable")])
    gone = once[found.removed[once]]
    if len(gone) < FEWEST:
        return None
    among = f"in {len(gone)} groups: " if split.by == "group" else ""
    looks = [
        _Look(name, int(found.removed[rows].sum()), partial(_said, among, say, "rows before"), p)
        for name, say, p in _places(table, shared(before.contract, now.contract), once, gone)
    ]
    return next(iter(_strongest(looks, significance)), None)


def _strongest(looks: Sequence[_Look], significance: float) -> list[OneSided]:
    """Return the significant sign of each column with the smallest p-value, corrected for all looks."""
    strongest: dict[str, _Look] = {}
    for look in looks:
        if look.p * len(looks) <= significance and (look.column not in strongest or look.p < strongest[look.column].p):
            strongest[look.column] = look
    signs = [OneSided(look.column, look.rows, look.say(), look.p * len(looks)) for look in strongest.values()]
    return sorted(signs, key=lambda sign: sign.p)


def _said(before: str, say: Callable[[], str], after: str) -> str:
    return f"{before}{say()} {after}"


def _groups(version: Version) -> np.ndarray:
    split = version.contract.split
    if split.by != "group":
        return np.arange(version.table.num_rows)
    return row_keys(version.table, [str(split.column)], "groups")


def _one_of_each(groups: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return those of some rows that are the first of their group."""
    return rows[np.unique(groups[rows], return_index=True)[1]]


def _looks(old_version: Version, new_version: Version, found: Changes, name: str) -> Iterator[_Look]:
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
        yield _Look(name, len(new), partial("{} of {} from {!r} to {!r}".format, count, len(new), start, end), p)
    else:
        both = was.is_valid().to_numpy() & became.is_valid().to_numpy()
        one, other = (known(side.filter(pa.array(both)), column) for side in (was, became))
        if one.dtype.kind in "fi" and len(one) >= FEWEST:
            rises, falls = int((other > one).sum()), int((other < one).sum())
            if rises + falls:
                p = float(binomtest(max(rises, falls), rises + falls).pvalue)
                way = "up" if rises > falls else "down"
                yield _Look(name, len(new), partial("{} of {} {}".format, max(rises, falls), rises + falls, way), p)
    others = {place: other for place, other in columns.items() if place != name}
    for _, say, p in _places(now, others, kept, new):
        yield _Look(name, len(new), partial(_said, "", say, "kept rows"), p)


def _places(
    table: pa.Table, columns: Mapping[str, Column], everywhere: np.ndarray, here: np.ndarray
) -> Iterator[tuple[str, Callable[[], str], float]]:
    """Yield how unlike all rows some rows are in each column: the column, a function that says where, the p-value.

    Of more than 100,000 rows a sample stands for all.
    """
    if len(everywhere) > SAMPLE:
        everywhere = np.random.default_rng(0).choice(everywhere, SAMPLE, replace=False)
    for name, column in columns.items():
        if isinstance(column, Id):
            continue
        usual, there = (known(table[name].take(pa.array(rows)), column) for rows in (everywhere, here))
        if len(there):
            yield name, partial(_place, name, usual, there), drift([usual, there], 0.0, goes_on=False)[1]


def _place(name: str, everywhere: np.ndarray, here: np.ndarray) -> str:
    if here.dtype == object:
        shares, usual = (
            {value: count / len(values) for value, count in Counter(values.tolist()).items()}
            for values in (here, everywhere)
        )
        most = max(shares, key=lambda value: shares[value] - usual.get(value, 0.0))
        often = f"{usual.get(most, 0.0):.0%} of all"
        return f"{shares[most]:.0%} of them where {name} is {most!r}, which is so in {often}"
    share = float((everywhere <= np.median(here)).mean())
    return f"half of them in the {'lowest' if share < 0.5 else 'highest'} {min(share, 1 - share):.0%} of {name} of all"
