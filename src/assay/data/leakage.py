"""Signs that the data tells the model what it could not know: target copies, near copies, ids, repeated rows."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.contract.spec import Category, Contract, Integer, Text
from assay.data.columns import columns, target
from assay.data.split import row_keys
from assay.outcomes import Outcome
from assay.params import Validate

SAMPLE = 100_000
NEAREST = 2
STEPS = 32


def duplicates(table: pa.Table, contract: Contract, limits: Validate) -> Outcome:
    """Count rows that repeat another in every feature, and those among them that disagree on the target."""
    names = list(contract.features)
    rows = row_keys(table, names, "duplicates")
    full = row_keys(table, [*names, contract.target.name], "duplicates")
    repeated = len(rows) - len(np.unique(rows))
    contradicting = len(np.unique(full)) - len(np.unique(rows))
    share = repeated / len(rows)
    over = share > limits.duplicate_share
    return Outcome(
        "duplicates",
        "HOLD" if over else "PROMOTE",
        f"{repeated} of {len(rows)} rows repeat the features of another ({share:.1%}, limit "
        f"{limits.duplicate_share:.1%}); {contradicting} times with another target",
        {"repeated": repeated, "share": share, "contradicting": contradicting},
        {"share": limits.duplicate_share},
    )


def overlap(train: pa.Table, test: pa.Table, contract: Contract, limits: Validate) -> Outcome:
    """Count test rows that equal a training row in every feature: the model has seen them, whatever their id."""
    known, asked = (row_keys(side, list(contract.features), "duplicates") for side in (train, test))
    seen = int(np.isin(asked, known).sum())
    share = seen / max(len(asked), 1)
    return Outcome(
        "overlap",
        "HOLD" if share > limits.duplicate_share else "PROMOTE",
        f"{seen} of {len(asked)} test rows equal a training row in every feature ({share:.1%}, limit "
        f"{limits.duplicate_share:.1%})",
        {"rows": seen, "share": share},
        {"share": limits.duplicate_share},
    )


def class_shares(table: pa.Table, contract: Contract, limits: Validate) -> Outcome:
    """Hold the share of the rarest class to its limit."""
    if contract.task == "regression":
        return Outcome("class shares", "SKIP", "the target is a number and has no classes")
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


def leakage(table: pa.Table, contract: Contract, limits: Validate) -> Outcome:
    """Look for single features that give the target away, and for features that only tell rows apart.

    A feature's score is the share of the target's variance (regression) or Gini impurity (classes: Goodman and
    Kruskal's tau) that the rows with the nearest values explain, in a half of the rows that does not hold the row
    itself; 1 is a copy. Up to 100,000 rows are looked at.
    """
    # Shuffled, for a file may alternate cases and controls: every second row would then be of one class.
    sample = table.take(pa.array(np.random.default_rng(0).permutation(table.num_rows)[:SAMPLE]))
    wanted = target(sample, contract)
    scores = {
        name: share_explained(values, wanted, len(contract.classes))
        for name, values in columns(sample, contract).items()
    }
    suspects = sorted((name for name in scores if scores[name] >= limits.leakage_score), key=lambda n: -scores[n])
    ids = [name for name in contract.features if _is_id_like(sample, name, contract, limits.id_like_share)]
    top = max(scores, key=lambda name: scores[name])
    measured = {"scores": scores, "id_like": ids}
    limit = {"score": limits.leakage_score, "id_like_share": limits.id_like_share}
    if suspects:
        listed = ", ".join(f"{name} ({scores[name]:.3f})" for name in suspects)
        reason = f"alone nearly gives the target away (limit {limits.leakage_score}): {listed}"
        return Outcome("leakage", "REJECT", reason, measured, limit)
    if ids:
        reason = f"takes another value in nearly every row, as an id does: {', '.join(ids)}"
        return Outcome("leakage", "HOLD", reason, measured, limit)
    reason = f"the single feature that says most is {top}, with {scores[top]:.3f} (limit {limits.leakage_score})"
    return Outcome("leakage", "PROMOTE", reason, measured, limit)


def share_explained(values: np.ndarray, wanted: np.ndarray, n_classes: int) -> float:
    """Return a feature's score, as `leakage` describes it; `n_classes` is 0 for a regression target."""
    goal = np.eye(n_classes)[wanted] if n_classes else wanted[:, None]
    spread = float(((goal - goal.mean(axis=0)) ** 2).sum())
    if not spread or len(goal) < 4:
        return 0.0
    ranks = _ranks(values)
    folds = np.arange(len(goal)) % 2
    # The nearest rows find a copy, sharp as its edges are; wide windows average the noise of what only helps.
    widths = (NEAREST, len(goal) // STEPS) if values.dtype != object else (0,)
    guesses = [
        sum(_guess(ranks, goal, folds != fold, width) * (folds == fold)[:, None] for fold in (0, 1)) for width in widths
    ]
    explained = max(1 - float(((goal - guess) ** 2).sum()) / spread for guess in guesses)
    return round(min(max(explained, 0.0), 1.0), 6)


def _guess(ranks: np.ndarray, goal: np.ndarray, seen: np.ndarray, width: int) -> np.ndarray:
    """Return the mean goal of the seen rows of the same rank, or of the `width` nearest ones where those are fewer."""
    order = np.argsort(ranks[seen], kind="stable")
    known = ranks[seen][order]
    total = np.concatenate([np.zeros((1, goal.shape[1])), np.cumsum(goal[seen][order], axis=0)])
    low, high = np.searchsorted(known, ranks, side="left"), np.searchsorted(known, ranks, side="right")
    more = np.maximum(0, width - (high - low) + 1) // 2
    low, high = np.maximum(low - more, 0), np.minimum(high + more, len(known))
    count = (high - low)[:, None]
    return np.asarray(np.where(count > 0, (total[high] - total[low]) / np.maximum(count, 1), goal[seen].mean(axis=0)))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value; all missing values are one, the highest."""
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
