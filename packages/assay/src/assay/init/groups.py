"""Columns that name what several rows belong to, such as a patient or a household, found by name and by content."""

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import f_oneway
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from assay.data.columns import LARGEST
from assay.init.kinds import IDS, ORDERED, UNITS_OF_GROUPS, Column

FEWEST = 10
FEWEST_BY_CONTENT = 30
# Rows per value, on average, from which rows of one value can be compared.
ROWS_PER_VALUE = 2
NUMBERING = {*IDS, "no", "nr", "num", "number", "code", "key", "name", "ref"}
# What later rows will have again: a value in many rows is knowledge, not a person.
RECURRING = set(
    "brand make model product item sku category type kind class city town zip zipcode postcode postal region state "
    "country province county district area zone neighbourhood neighborhood borough location place street airport "
    "origin destination route carrier airline shop store branch department dept team club job occupation profession "
    "title colour color language currency channel campaign supplier vendor manufacturer station genre day weekday "
    "date".split()
)
YEARS = set("year yr jahr année annee año anno ano jaar".split())
# A split by years needs some to learn from, and at least one for each of validation and test.
FEWEST_YEARS = 5
# Share of the pairs of unit and year that a panel has at least.
COMPLETE = 0.5
# Share of what the features leave unexplained that rows of one value have in common, from which they belong together.
SHARED = 0.2
SHARED_AT_ALL = 0.05
SURE = 1e-6
# With more features a line through them takes too long, for each column that may name groups.
MOST_IN_LINE = 100
# Each takes a model.
MOST_MEASURED = 20
MOST_UNEVEN = 1.0
ALIKE = 0.95
SAMPLE = 4000
MOST_CLASSES = 5
# Missing values, for a model that cannot have them.
BELOW_ALL = -1e30


def named(columns: Sequence[Column], rows: int) -> list[Column]:
    """Return the columns whose name is that of a person or thing with several rows, such as `patient` or `user_id`."""
    names = set(UNITS_OF_GROUPS)
    return [
        column
        for column in _possible(columns, rows)
        if FEWEST < column.distinct < 0.9 * rows and column.words & names and column.words <= names | NUMBERING
    ]


def found(columns: Sequence[Column], goal: np.ndarray, rows: int) -> Iterator[tuple[Column, str]]:
    """Yield the columns whose rows of one value belong together, each with the reason.

    `goal` has a column for a number, or one for each class. The rows of one value have much of the target in common
    beyond what the other features explain: the intra-class correlation of the residuals, from a model that saw no row
    of the value, is at least 0.2 (and significant). Or they have some of it in common, and agree in a number that
    differs from value to value. They may have it in common only once a line through the features is subtracted: what
    grows with time differs little between them at one time. Most texts of fewer than 30 values are plain categories:
    only the one whose rows have most of the target in common is tried. Measured numbers come last: they name nothing,
    but if many rows agree in one, these rows may belong together.
    """
    features = [column for column in columns if column.kind in ("number", "integer", "boolean", "category", "time")]
    names = [column for column in [*_possible(columns, rows), *_measured(columns)] if _may_name(column, rows)]
    few = [column for column in names if column.distinct < FEWEST_BY_CONTENT]
    best = max(few, key=lambda column: _shared_by(column, goal), default=None)
    for column in names:
        if column.distinct < FEWEST_BY_CONTENT and column is not best:
            continue
        codes = _codes(column.values)
        some = _whole_groups(codes)
        groups, wanted = codes[some], goal[some]
        others = [other for other in features if other is not column or column.kind in ("integer", "number")]
        if others in ([], [column]):
            continue
        is_shared = _shared(wanted, groups) >= SHARED_AT_ALL
        if not is_shared and len(others) > MOST_IN_LINE:
            continue
        matrix = np.column_stack([_numbers(other.values)[some] for other in others])
        if not is_shared and _shared(_beside_line(matrix, wanted), groups) < SHARED_AT_ALL:
            continue
        alike = next((other.name for other in others if other is not column and _are_alike(other, codes)), None)
        if alike is not None:
            yield column, f"rows of one value agree in {alike!r}, and in much of the target"
            continue
        model = ExtraTreesRegressor(50, min_samples_leaf=5, random_state=0)
        goals = wanted if wanted.shape[1] > 1 else wanted.ravel()
        known = np.nan_to_num(matrix, nan=BELOW_ALL)
        guesses = cross_val_predict(model, known, goals, groups=groups, cv=GroupKFold(3)).reshape(wanted.shape)
        share = _shared(wanted - guesses, groups)
        if share >= SHARED:
            yield column, f"rows of one value share {share:.0%} of what the other features leave unexplained"


def _may_name(column: Column, rows: int) -> bool:
    """Say whether the values of a column may be names of what several rows belong to, judged by name and number."""
    sizes = np.bincount(_codes(column.values))
    return not (
        not FEWEST <= len(sizes) <= rows / ROWS_PER_VALUE
        or (len(sizes) < FEWEST_BY_CONTENT and (column.kind not in ("category", "text") or column.is_code))
        or (sizes.std() > MOST_UNEVEN * sizes.mean() and not column.words & IDS)
        or column.words & RECURRING
        or (column.words & set(ORDERED) - NUMBERING and column.kind != "number")
        or (pa.types.is_integer(column.values.type) and not _are_codes(column, sizes))
    )


def _shared_by(column: Column, goal: np.ndarray) -> float:
    codes = _codes(column.values)
    some = _whole_groups(codes)
    return _shared(goal[some], codes[some])


def years(columns: Sequence[Column]) -> list[Column]:
    """Return the columns of whole numbers that are years, by their name, and are several."""
    return [
        column
        for column in columns
        if column.kind == "integer"
        and column.words <= YEARS
        and not column.values.null_count
        and column.distinct >= FEWEST_YEARS
        and column.values.type == pa.int64()
        and pc.subtract(pc.max(column.values), pc.min(column.values)).as_py() < 2 * column.distinct
    ]


def panel(columns: Sequence[Column], rows: int) -> tuple[Column, Column] | None:
    """Return the years and the units of a panel: each row is another pair of both, and most pairs are there."""
    for year in years(columns):
        of_year = _codes(year.values).astype(np.int64)
        for unit in _possible(columns, rows):
            if unit is not year and COMPLETE * unit.distinct * year.distinct <= rows:
                pairs = np.unique(of_year * unit.distinct + _codes(unit.values))
                if len(pairs) == rows:
                    return year, unit
    return None


def _possible(columns: Sequence[Column], rows: int) -> list[Column]:
    """Return the columns without gaps whose values could be names of groups."""
    kinds = ("id", "category", "integer", "text")
    return [
        column
        for column in columns
        if (column.kind in kinds or column.may_group) and not column.values.null_count and 1 < column.distinct < rows
    ]


def _measured(columns: Sequence[Column]) -> list[Column]:
    """Return numbers without gaps: what was measured once, such as a height, may tell several rows of one person."""
    found = [column for column in columns if column.kind == "number" and not column.values.null_count]
    return found if len(found) <= MOST_MEASURED else []


def _are_codes(column: Column, sizes: np.ndarray) -> bool:
    """Say whether whole numbers look like codes.

    They do if their name says so, if they are nearly consecutive or all of equally many digits, or if each has as many
    rows as any other.
    """
    low, high = pc.min_max(column.values).as_py().values()
    return bool(
        column.words <= NUMBERING
        or high - low < 1.1 * len(sizes)
        or (low >= 100 and len(str(low)) == len(str(high)))
        or np.ptp(sizes) == 0
    )


def _codes(values: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(values.combine_chunks().dictionary_encode().indices)


def _whole_groups(codes: np.ndarray) -> np.ndarray:
    """Return the indices of all rows of some values, of about `SAMPLE` rows."""
    order = np.random.default_rng(0).permutation(int(codes.max()) + 1)
    sizes = np.bincount(codes)[order]
    chosen = order[: max(FEWEST, int(np.searchsorted(np.cumsum(sizes), SAMPLE)) + 1)]
    return np.flatnonzero(np.isin(codes, chosen))


def _shared(values: np.ndarray, groups: np.ndarray) -> float:
    """Return the largest significant intra-class correlation (one-way, Shrout and Fleiss 1979) of some columns."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order])) + 1
    best = 0.0
    for one in values.T:
        parts = [part for part in np.split(one[order], starts) if len(part) > 1]
        size = np.mean([len(part) for part in parts]) if parts else 0.0
        if len(parts) < FEWEST or not one.std():
            continue
        with warnings.catch_warnings():
            # Where all rows of a value are equal, the ratio is infinite.
            warnings.simplefilter("ignore")
            ratio, chance = f_oneway(*parts)
        if chance < SURE:
            best = max(best, 1.0 if np.isinf(ratio) else float((ratio - 1) / (ratio - 1 + size)))
    return best


def _beside_line(matrix: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return what a linear function of the features leaves of the target."""
    # The square of a larger number would be infinite.
    known = np.clip(matrix, -LARGEST, LARGEST)
    line = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), Ridge())
    return np.asarray(wanted - line.fit(known, wanted).predict(known).reshape(wanted.shape))


def _are_alike(other: Column, codes: np.ndarray) -> bool:
    """Say whether a number is the same in all rows of nearly every value, and differs from value to value."""
    if other.kind not in ("number", "integer") or other.distinct < 0.3 * (int(codes.max()) + 1):
        return False
    values = _numbers(other.values)
    number = int(codes.max()) + 1
    low, high = np.full(number, np.inf), np.full(number, -np.inf)
    # A missing value says nothing of the others.
    np.fmin.at(low, codes, values)
    np.fmax.at(high, codes, values)
    several = np.bincount(codes) > 1
    return bool(several.any()) and float((low == high)[several].mean()) >= ALIKE


def _numbers(values: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_string(values.type):
        return _codes(values.fill_null("")).astype(np.float64)
    if pa.types.is_date(values.type) or pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("us")).cast(pa.int64())
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def goal_of(values: pa.ChunkedArray, *, is_number: bool) -> np.ndarray:
    """Return a target as columns of numbers: itself, or one column for each of its most frequent classes."""
    if is_number:
        return np.asarray(values.to_numpy(), dtype=np.float64)[:, None]
    codes = _codes(values)
    most = np.argsort(-np.bincount(codes), kind="stable")[:MOST_CLASSES]
    # With two classes the second column says nothing new.
    return np.asarray(codes[:, None] == (most[:1] if len(most) == 2 else most), dtype=np.float64)
