"""Columns that reveal what is unknown when the target is predicted."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import spearmanr

from assay.data.leakage import share_explained
from assay.init.kinds import words_of

SURE = 0.98
SURE_OF_MISSING = 0.6
# A good model of two effects that add may explain nearly as much of a number.
SURE_OF_NUMBER = 0.999
# How closely a sum has to match the target not to be by chance.
EXACT = 1e-6
# The largest rounding unit of the target that counts as fine, as a share of its standard deviation.
FINE = 0.05
# How near to 1 the weight of a column in a sum, or its exponent in a product, has to be.
UNIT = 0.05
EXPONENTS = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)
# The largest rest of a sum or product, in 95% of the rows, as a share of the standard deviation of the target.
SMALL = 0.05
# Most values of a rest that is a fee or a tax, and the largest share of the target that 12 values may cover.
MOST_FEES = 12
MOST_OF_FEES = 0.5
SPARSE = 3
ROWS_WITH_FEE = 300
# Pairs are looked at among this many numbers, in this many rows.
MOST_PAIRED = 15
ROWS_PAIRED = 2000
# Classes and columns of yes and no that are compared.
MOST_LABELS, MOST_FLAGS = 20, 200
# Share of what a number leaves unexplained that its pair with another may leave.
LEFT_BY_PAIR = 0.25
# Share of the target that a column explains if it says anything at all.
TELLING = 0.02
# Share of rows in which one time is not before another, from which it is the later of the two.
LATER = 0.999
EXPLAINED_BY_TIME = 0.5
# A part of the target's range has at least this many rows, or rows fall into parts by chance.
FEWEST_IN_PART, FEWEST_PARTS = 8, 3
# Parts touch if the median gap is at most this many steps wide. In fewer rows those of an honest feature may touch by
# chance: in 4% of tables of 100 rows and 1% of 200, with the noise that makes it most frequent.
TOUCHING, ENOUGH_TO_TOUCH = 2.0, 200
# A column stands out if it explains this much of the target, and leaves at most this share of what any other leaves.
OUTSTANDING, LEFT_BY_OUTSTANDING = 0.6, 0.4
# Names of what is always known only afterwards, and of what may be.
AFTERWARDS = set(
    "resolved closed cancelled canceled settled settlement refund refunded payout recovered recoveries discharged "
    "death died deceased chargeoff writeoff terminated termination ended storniert storno erstattung erstattet "
    "rückzahlung rückerstattung gekündigt kündigungsgrund ablehnungsgrund remboursement remboursé résilié résiliation "
    "annulé reembolso devolución cancelado anulado rimborso".split()
)
PERHAPS_AFTERWARDS = set(
    "outcome result resolution paid discharge duration final collection exit finished completed elapsed dauer durée "
    "duración durata duração duur ergebnis résultat resultado risultato bezahlt beendet".split()
)
BEFORE = set(
    "previous prev last past prior former historical due expiry expires expiration until deadline scheduled planned "
    "expected estimated promised requested target letzte letzter letztes vorige voriger frühere vorher geplant "
    "erwartet précédent précédente dernier dernière prévu ancien anterior último última previo previsto".split()
)
DERIVED = {"per", "ratio", "rate", "share", "pct", "percent", "percentage", "index", "pro", "je", "par", "por"}


def alone(values: pa.ChunkedArray, target: pa.ChunkedArray, *, is_number: bool) -> float:
    """Return the share of the target that a column explains; from `SURE` on the column must be a copy."""
    return share_explained(_array(values), *_goal(target, is_number))


def is_binned(values: pa.ChunkedArray, target: pa.ChunkedArray) -> bool | None:
    """Say whether each value of a column has a part of the target's range of its own, as if the target was binned.

    The column may be a category, or a number that rounds the target. The parts of a binned target touch: what lies
    between two of them is as wide as what lies between two values of one part. Of a good but honest feature they lie
    apart; in a small table chance decides, and the answer is None.
    """
    goal, codes = target.to_numpy(), _codes(values)
    # In a file in order of the target, any number that grows with the row has parts of it.
    if (goal[1:] >= goal[:-1]).all() or (goal[1:] <= goal[:-1]).all():
        return False
    sizes = np.sort(np.bincount(codes))
    # Two groups often differ that much, above all where rows are in order of both.
    if len(sizes) < FEWEST_PARTS or sizes[:-1].sum() < FEWEST_IN_PART or len(sizes) > len(goal) / FEWEST_IN_PART:
        return False
    low, high = np.full(len(sizes), np.inf), np.full(len(sizes), -np.inf)
    np.minimum.at(low, codes, goal)
    np.maximum.at(high, codes, goal)
    order = np.lexsort((high, low))
    low, high = low[order], high[order]
    if (high[:-1] >= low[1:]).any():
        return False
    known = np.unique(goal)
    width, steps = high - low, np.searchsorted(known, high) - np.searchsorted(known, low)
    step = (width[:-1] + width[1:]) / np.maximum(steps[:-1] + steps[1:], 1)
    is_near = float(np.median((low[1:] - high[:-1]) - TOUCHING * step)) <= 0
    return is_near if is_near and len(goal) >= ENOUGH_TO_TOUCH else None


def outstanding(shares: Mapping[str, float]) -> tuple[str, str] | None:
    """Return the column that explains far more of a target than any other, and the next one; None if there is none."""
    if len(shares) < 2:
        return None
    best, second = sorted(shares, key=lambda name: -shares[name])[:2]
    is_far = 1 - shares[best] <= LEFT_BY_OUTSTANDING * (1 - shares[second])
    return (best, second) if shares[best] >= OUTSTANDING and is_far else None


def missing_alone(values: pa.ChunkedArray, target: pa.ChunkedArray, is_number: bool) -> float | None:
    """Return the share of the target explained by whether a value is missing, if it is large."""
    share = share_explained(values.is_null().cast(pa.float64()).to_numpy(), *_goal(target, is_number))
    return share if share >= SURE_OF_MISSING else None


def parts_of_sum(numbers: Mapping[str, pa.ChunkedArray], target: pa.ChunkedArray) -> list[str]:
    """Return the columns whose linear combination is the target, found by least squares; else none.

    The combination may be any if it is exact up to rounding. If columns are added or subtracted as they are, the rest
    may be small.
    """
    if len(numbers) < 2:
        return []
    matrix, goal = _matrix(numbers), target.to_numpy()
    spread = float(goal.std())
    # The square of a number beyond all measure is infinite.
    with np.errstate(over="ignore"):
        scale = matrix.std(axis=0)
    usable = (scale > 0) & np.isfinite(scale)
    if not spread or len(goal) < 3 * matrix.shape[1]:
        return []
    names = [name for name, there in zip(numbers, usable, strict=True) if there]
    matrix, scale = matrix[:, usable], scale[usable]
    weights, rest = _least_squares(matrix / scale, goal)
    exact, unit = EXACT * max(spread, float(np.abs(goal).max())), _unit(goal)
    # A good model legitimately comes within a coarse rounding unit.
    near = max(exact, unit if unit < FINE * spread else 0.0)
    if float(np.quantile(np.abs(rest), 0.99)) <= near:
        return [name for name, weight in zip(names, weights, strict=True) if abs(weight) > max(1e-3 * spread, near)]
    signs = np.round(weights / scale)
    chosen = (np.abs(signs) == 1) & (np.abs(weights / scale - signs) <= UNIT) & (np.abs(weights) > SMALL * spread)
    rest = goal - matrix[:, chosen] @ signs[chosen]
    if chosen.sum() < 2 or _spread(rest) > SMALL * spread:
        return []
    return [name for name, there in zip(names, chosen, strict=True) if there]


def indicators(columns: Mapping[str, pa.ChunkedArray], target: pa.ChunkedArray) -> list[str]:
    """Return the columns that say which class a target has: yes for one class alone, or for the others together.

    That is what one-hot coding of the target, or of what it was made from, leaves in a table.
    """
    flags = {name: flag for name, values in columns.items() if (flag := _flag(values)) is not None}
    found: dict[str, None] = {}
    for label in sorted(pc.unique(target).to_pylist())[:MOST_LABELS]:
        is_label = np.asarray(pc.equal(target, label))
        alone = [name for name, flag in flags.items() if (flag == is_label).all()]
        # Of one-hot columns only one says yes, so those of other classes do not where this class is.
        others = {name: pa.array(flag * 1.0) for name, flag in flags.items() if not (flag & is_label).any()}
        together = parts_of_sum(others, pa.array(is_label * 1.0)) if len(others) <= MOST_FLAGS else []
        found |= dict.fromkeys([*alone, *together])
    return list(found)


def _flag(values: pa.ChunkedArray) -> np.ndarray | None:
    """Return a column of yes and no, or of ones and zeros, as booleans; None for another one."""
    if pa.types.is_string(values.type) or values.null_count or set(pc.unique(values).to_pylist()) != {0, 1}:
        return None
    return np.asarray(values.cast(pa.float64())) > 0


def parts_with_fee(numbers: Mapping[str, pa.ChunkedArray], target: pa.ChunkedArray) -> list[str]:
    """Return up to three columns that, added or subtracted, are the target but for a fee; else none.

    The fee takes a few values only, as a tax or a surcharge does, with many between them that would be possible; the
    target takes many values.
    """
    if not numbers:
        return []
    some = np.random.default_rng(0).permutation(len(target))[:ROWS_WITH_FEE]
    matrix, goal = _matrix(numbers), target.to_numpy()
    counts = np.sort(np.unique(goal[some], return_counts=True)[1])
    if counts[-MOST_FEES:].sum() > MOST_OF_FEES * len(some):
        return []
    unit = _unit(goal)
    names = list(numbers)[:MOST_PAIRED]
    few = matrix[some]
    for number in range(1, 4):
        for chosen in combinations(range(len(names)), number):
            for signs in product((1, -1), repeat=number):
                for rows, wanted in ((few, goal[some]), (matrix, goal)):
                    rest = wanted - rows[:, chosen] @ signs
                    if not _is_fee(rest, unit) or _spread(rest) > float(goal.std()):
                        break
                else:
                    return [names[index] for index in chosen]
    return []


def _is_fee(rest: np.ndarray, unit: float) -> bool:
    """Say whether 19 of 20 values are among a few, and these do not fill the range between them."""
    values, counts = np.unique(rest.round(6), return_counts=True)
    order = np.argsort(-counts)
    fees = 1 + int(np.searchsorted(np.cumsum(counts[order]), 0.95 * len(rest)))
    span = float(np.ptp(values[order[:fees]]))
    return fees <= MOST_FEES and (fees == 1 or span >= SPARSE * fees * unit)


def _unit(values: np.ndarray) -> float:
    """Return the unit to which numbers are rounded, 0 if it is finer than a thousandth."""
    exact = EXACT * max(float(values.std()), float(np.abs(values).max()))
    return next((10.0**-digits for digits in range(4) if np.abs(values - values.round(digits)).max() <= exact), 0.0)


def parts_of_product(numbers: Mapping[str, pa.ChunkedArray], target: pa.ChunkedArray) -> list[str]:
    """Return the columns of positive numbers whose product or ratio, perhaps of squares, is nearly the target."""
    goal = target.to_numpy()
    positive = {name: values for name, values in numbers.items() if (pc.min(values).as_py() or 0) > 0}
    if len(positive) < 2 or goal.min() <= 0 or len(goal) < 3 * len(positive):
        return []
    filled = {name: pc.fill_null(values, pc.mean(values).as_py()) for name, values in positive.items()}
    logs, wanted = np.log(_matrix(filled)), np.log(goal)
    spread, scale = float(wanted.std()), logs.std(axis=0)
    if not spread or not scale.all():
        return []
    weights, _ = _least_squares(logs / scale, wanted)
    nearest = np.array([min(EXPONENTS, key=lambda power: abs(power - weight)) for weight in weights / scale])
    chosen = (np.abs(weights / scale - nearest) <= UNIT) & (np.abs(weights) > SMALL * spread)
    if chosen.sum() < 2 or _spread(wanted - logs[:, chosen] @ nearest[chosen]) > SMALL * spread:
        return []
    return [name for name, there in zip(positive, chosen, strict=True) if there]


def pairs(
    numbers: Mapping[str, pa.ChunkedArray], shares: Mapping[str, float], target: pa.ChunkedArray, *, is_number: bool
) -> tuple[str, str, str] | None:
    """Return two numbers whose sum, difference, product or ratio determines the target, and which of these does.

    Alone, each of them explains much less. A number has to rise or fall with the sum (or the like), as its logarithm
    does; a class may depend on it in any way, as on who of two has won.
    """
    names = sorted(numbers, key=lambda name: -shares[name])[:MOST_PAIRED]
    matrix = _matrix({name: numbers[name] for name in names}) if len(names) > 1 else np.zeros((0, 0))
    goal, classes = _goal(target, is_number)
    few = slice(0, ROWS_PAIRED)
    with np.errstate(all="ignore"):
        for i, j in combinations(range(len(matrix.T)), 2):
            single = max(shares[names[i]], shares[names[j]])
            for what, join in JOINS.items():
                values = join(matrix[:, i], matrix[:, j])
                if not np.isfinite(values).all():
                    continue
                for rows in (few, slice(None)):
                    if not np.ptp(values[rows]) or not np.ptp(goal[rows]):
                        break
                    share = (
                        float(spearmanr(values[rows], goal[rows]).statistic) ** 2
                        if is_number
                        else share_explained(values[rows], goal[rows], classes)
                    )
                    if share < (SURE_OF_NUMBER if is_number else SURE) or 1 - share > LEFT_BY_PAIR * (1 - single):
                        break
                else:
                    return names[i], names[j], what
    return None


JOINS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "difference": np.subtract,
    "sum": np.add,
    "product": np.multiply,
    "ratio": np.divide,
}


def is_later(time: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    """Say whether a time is hardly ever before another one, and mostly after it."""
    gap = _array(time) - _array(other)
    gap = gap[np.isfinite(gap)]
    return len(gap) > 0 and float((gap >= 0).mean()) >= LATER and float((gap > 0).mean()) > 0.5


def between(time: pa.ChunkedArray, other: pa.ChunkedArray, target: pa.ChunkedArray, *, is_number: bool) -> float:
    """Return the share of the target that the time between two moments explains."""
    return share_explained(_array(time) - _array(other), *_goal(target, is_number))


def derived(names: Sequence[str], target: str) -> list[str]:
    """Return those of some columns whose name says that they were computed from the target; all if none says so.

    >>> derived(["area", "price_per_m2"], "price")
    ['price_per_m2']
    """
    root = target.lower()
    found = [name for name in names if (len(root) > 2 and root in name.lower()) or DERIVED & set(words_of(name))]
    return found or list(names)


def after_the_fact(words: Sequence[str], share: float, *, is_best: bool) -> bool | None:
    """Say whether a column is known only afterwards, judged by its name; None if the name leaves it open.

    A name that may mean something else counts only if no other column explains as much of the target.
    """
    found = set(words)
    if found & BEFORE or not found & (AFTERWARDS | PERHAPS_AFTERWARDS):
        return False
    if found & AFTERWARDS or (is_best and share >= TELLING):
        return True
    return None


def _matrix(numbers: Mapping[str, pa.ChunkedArray]) -> np.ndarray:
    return np.column_stack(
        [np.nan_to_num(v.cast(pa.float64()).to_numpy(zero_copy_only=False)) for v in numbers.values()]
    )


def _least_squares(matrix: np.ndarray, goal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights, fitted again without the twentieth of the rows that are farthest off, and what remains of all."""
    kept = np.ones(len(goal), dtype=bool)
    for _ in range(2):
        center, mean = matrix[kept].mean(axis=0), goal[kept].mean()
        weights, *_ = np.linalg.lstsq(matrix[kept] - center, goal[kept] - mean, rcond=None)
        rest = goal - mean - (matrix - center) @ weights
        kept = np.abs(rest) <= np.quantile(np.abs(rest), 0.95)
    return weights, rest


def _spread(rest: np.ndarray) -> float:
    """Return how far 95% of the values are from their median."""
    return float(np.quantile(np.abs(rest - np.median(rest)), 0.95))


def _goal(target: pa.ChunkedArray, is_number: bool) -> tuple[np.ndarray, int]:
    if is_number:
        return target.to_numpy(), 0
    codes = target.combine_chunks().dictionary_encode()
    return np.asarray(codes.indices), len(codes.dictionary)


def _array(values: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_string(values.type):
        return _codes(values).astype(str).astype(object)
    if pa.types.is_date(values.type) or pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("us")).cast(pa.int64())
    return np.asarray(pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def _codes(values: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(values.combine_chunks().dictionary_encode(null_encoding="encode").indices)
