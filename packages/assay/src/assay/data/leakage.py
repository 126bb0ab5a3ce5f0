"""Signs of leakage in the data: copies and near copies of the target, ids, repeated rows."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.spatial import KDTree

from assay.base.outcomes import Outcome
from assay.contract.spec import Category, Contract, Integer, Text
from assay.data.columns import columns, target
from assay.data.split import row_keys, with_cells
from assay.data.stored import Rows
from assay.project.params import Validate

SAMPLE = 100_000
NEIGHBOURS = 200_000
NEAR = 0.02
CROWD = 16
# The position of missing values: near other missing values, and nothing else.
FAR = 1e9
NEAREST = 2
STEPS = 32


def feature_keys(table: Rows, contract: Contract) -> np.ndarray:
    """Return a 64-bit key for each row: rows with the same features have the same key."""
    return row_keys(table, list(contract.features), "duplicates")


def duplicates(table: Rows, contract: Contract, limits: Validate, keys: np.ndarray | None = None) -> Outcome:
    """Count rows that repeat another in every feature, and how often they contradict each other in the target.

    `keys` are the `feature_keys` of the table, for which all of it is read unless they are known.
    """
    rows = feature_keys(table, contract) if keys is None else keys
    different = _distinct(rows)
    full = with_cells(rows, table, contract.target.name, "duplicates")
    repeated, contradicting = len(rows) - different, _distinct(full) - different
    share = repeated / len(rows)
    over = share > limits.duplicate_share
    return Outcome(
        "duplicates",
        "HOLD" if over else "PROMOTE",
        f"{repeated} of {len(rows)} rows have the same features as another ({share:.1%}, limit "
        f"{limits.duplicate_share:.1%}); {contradicting} times with a different target",
        {"repeated": repeated, "share": share, "contradicting": contradicting},
        {"share": limits.duplicate_share},
    )


def _distinct(keys: np.ndarray) -> int:
    """Return the number of different keys; `np.unique` would take far longer, with a table of hashes."""
    return int((np.diff(np.sort(keys)) != 0).sum()) + 1


def overlap(
    train: Rows,
    test: Rows,
    contract: Contract,
    limits: Validate,
    keys: tuple[np.ndarray, np.ndarray] | None = None,
) -> Outcome:
    """Count test rows that equal a training row in every feature: the model has seen them, whatever their id.

    Rows also count if every number lies within 2 % of its interquartile range: a copy with a little noise is a copy.
    Where few features make such neighbours common, they do not count. Compares up to 200,000 training rows. `keys` are
    the `feature_keys` of both sides, if they are known.
    """
    known, asked = map(np.sort, keys or (feature_keys(side, contract) for side in (train, test)))
    equal = int((np.searchsorted(known, asked, "right") > np.searchsorted(known, asked, "left")).sum())
    near = max(0, _near(train, test, contract) - equal)
    share = (equal + near) / max(len(asked), 1)
    return Outcome(
        "overlap",
        "HOLD" if share > limits.duplicate_share else "PROMOTE",
        f"{equal} of {len(asked)} test rows equal a training row in every feature, {near} more nearly ({share:.1%}, "
        f"limit {limits.duplicate_share:.1%})",
        {"rows": equal, "near": near, "share": share},
        {"share": limits.duplicate_share},
    )


def _near(train: Rows, test: Rows, contract: Contract) -> int:
    """Return how many test rows have a training row closer than chance explains.

    By chance, at least as many rows lie between one and two distances as within one: equally many in one dimension, and
    more in more dimensions. A copy lies within one distance only. The excess must be significant at a level of 1 %.
    """
    if not train.num_rows or not test.num_rows:
        return 0
    known = columns(_first(train, NEIGHBOURS), contract)
    asked = columns(_first(test, SAMPLE), contract)
    positions = [_positions(known[name], asked[name]) for name in known]
    seen, looked = np.column_stack([a for a, _ in positions]), np.column_stack([b for _, b in positions])
    found = KDTree(seen).query(looked, k=CROWD, p=np.inf, distance_upper_bound=2 * NEAR)[0]
    within, around = (found <= NEAR).sum(axis=1), np.isfinite(found).sum(axis=1)
    # Too many neighbours to tell copies from chance.
    more = np.where(around == CROWD, 0, np.minimum(within - (around - within), 1))
    share = float(more.mean())
    return round(share * test.num_rows) if share > 2.33 * float(more.std()) / np.sqrt(len(more)) else 0


def _first(rows: Rows, most: int) -> pa.Table:
    return rows.take(pa.array(np.arange(min(rows.num_rows, most))))


def _positions(known: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of a feature as positions: numbers in interquartile ranges, categories far apart."""
    if known.dtype == object:
        codes = np.unique([str(value) for value in [*known, *asked]], return_inverse=True)[1].astype(np.float64)
        return codes[: len(known)], codes[len(known) :]
    numbers = [_numbers(values) for values in (known, asked)]
    there = numbers[0][~np.isnan(numbers[0])]
    low, high = np.quantile(there, [0.25, 0.75]) if len(there) else (0.0, 0.0)
    spread = (high - low) or (there.std() if len(there) else 0.0) or 1.0
    first, second = (np.where(np.isnan(values), FAR, values / spread) for values in numbers)
    return first, second


def _numbers(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.float64:
        return values
    return np.where(np.isnat(values), np.nan, values.astype(np.int64).astype(np.float64))


def class_shares(table: Rows, contract: Contract, limits: Validate) -> Outcome:
    """Compare the share of the rarest class with its limit."""
    if contract.task == "regression":
        return Outcome("class shares", "SKIP", "a regression target has no classes")
    counts = dict.fromkeys(contract.target.classes, 0)
    for entry in pc.value_counts(table[contract.target.name]).to_pylist():
        counts[entry["values"]] = entry["counts"]
    shares = {label: count / table.num_rows for label, count in counts.items()}
    rarest = min(shares, key=lambda label: shares[label])
    under = shares[rarest] < limits.smallest_class_share
    return Outcome(
        "class shares",
        "HOLD" if under else "PROMOTE",
        f"the rarest class is {rarest!r} with {shares[rarest]:.1%} of the rows "
        f"(limit {limits.smallest_class_share:.1%})",
        {"shares": shares},
        {"smallest": limits.smallest_class_share},
    )


def leakage(table: Rows, contract: Contract, limits: Validate) -> Outcome:
    """Look for single features that reveal the target, and for features that only identify rows.

    A feature's score is the share of the target's variance (regression) or Gini impurity (classes: Goodman and
    Kruskal's tau) that the rows with the nearest values explain, taken from the half of the rows without the row
    itself; 1 is a copy. Uses up to 100,000 rows. The time of a split by time is skipped: it may explain everything
    between two rows, but future rows come after all of them.
    """
    # Shuffled, because a file may alternate cases and controls: then every second row has the same class.
    sample = table.take(pa.array(np.random.default_rng(0).permutation(table.num_rows)[:SAMPLE]))
    wanted = target(sample, contract)
    scores = {
        name: share_explained(values, wanted, len(contract.classes))
        for name, values in columns(sample, contract).items()
        if not (contract.split.by == "time" and name == contract.split.column)
    }
    suspects = sorted((name for name in scores if scores[name] >= limits.leakage_score), key=lambda n: -scores[n])
    ids = [name for name in contract.features if _is_id_like(sample, name, contract, limits.id_like_share)]
    measured = {"scores": scores, "id_like": ids}
    limit = {"score": limits.leakage_score, "id_like_share": limits.id_like_share}
    if suspects:
        listed = ", ".join(f"{name} ({scores[name]:.3f})" for name in suspects)
        reason = f"a single feature nearly determines the target (limit {limits.leakage_score}): {listed}"
        return Outcome("leakage", "REJECT", reason, measured, limit)
    if ids:
        reason = f"has a different value in nearly every row, like an id: {', '.join(ids)}"
        return Outcome("leakage", "HOLD", reason, measured, limit)
    if not scores:
        return Outcome("leakage", "PROMOTE", "the only feature is the time of the row", measured, limit)
    top = max(scores, key=lambda name: scores[name])
    reason = f"the most predictive single feature is {top}, with {scores[top]:.3f} (limit {limits.leakage_score})"
    return Outcome("leakage", "PROMOTE", reason, measured, limit)


def share_explained(values: np.ndarray, wanted: np.ndarray, n_classes: int) -> float:
    """Return a feature's score, as `leakage` describes it; `n_classes` is 0 for a regression target."""
    goal = np.eye(n_classes)[wanted] if n_classes else wanted[:, None]
    spread = float(((goal - goal.mean(axis=0)) ** 2).sum())
    if not spread or len(goal) < 4:
        return 0.0
    ranks = _ranks(values)
    folds = np.arange(len(goal)) % 2
    # The nearest rows detect a copy even with sharp edges; wide windows average out noise.
    widths = (NEAREST, len(goal) // STEPS) if values.dtype != object else (0,)
    guesses = [
        sum(_guess(ranks, goal, folds != fold, width) * (folds == fold)[:, None] for fold in (0, 1)) for width in widths
    ]
    explained = max(1 - float(((goal - guess) ** 2).sum()) / spread for guess in guesses)
    return round(min(max(explained, 0.0), 1.0), 6)


def _guess(ranks: np.ndarray, goal: np.ndarray, seen: np.ndarray, width: int) -> np.ndarray:
    """Return the mean goal of the known rows with the same rank, or of the `width` nearest if there are fewer."""
    order = np.argsort(ranks[seen], kind="stable")
    known = ranks[seen][order]
    total = np.concatenate([np.zeros((1, goal.shape[1])), np.cumsum(goal[seen][order], axis=0)])
    low, high = np.searchsorted(known, ranks, side="left"), np.searchsorted(known, ranks, side="right")
    more = np.maximum(0, width - (high - low) + 1) // 2
    low, high = np.maximum(low - more, 0), np.minimum(high + more, len(known))
    count = (high - low)[:, None]
    return np.asarray(np.where(count > 0, (total[high] - total[low]) / np.maximum(count, 1), goal[seen].mean(axis=0)))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value; missing values share the highest."""
    comparable = [str(value) for value in values] if values.dtype == object else values
    return np.unique(comparable, return_inverse=True)[1]


def _is_id_like(table: pa.Table, name: str, contract: Contract, share: float) -> bool:
    """Say whether a category, text or whole number is different in nearly every row."""
    column = contract.features[name]
    if not isinstance(column, Category | Text | Integer) or table.num_rows < 50:
        return False
    if isinstance(column, Text) and (pc.mean(pc.utf8_length(table[name])).as_py() or 0) > 40:
        return False
    return bool(pc.count_distinct(table[name]).as_py() >= share * table.num_rows)
