"""Signs that the data tells the model what it could not know: target copies, near copies, ids, repeated rows."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.tree import DecisionTreeRegressor

from assay.contract.spec import Category, Contract, Integer, Text
from assay.data.columns import columns, target
from assay.data.split import row_keys
from assay.outcomes import Outcome
from assay.params import Validate

SAMPLE = 100_000
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
    Kruskal's tau) that a step function of it explains on rows it was not fitted to; 1 is a copy. Up to 100,000 rows are
    looked at.
    """
    # Shuffled, for a file may alternate cases and controls: every second row would then be of one class.
    sample = table.take(pa.array(np.random.default_rng(0).permutation(table.num_rows)[:SAMPLE]))
    wanted = target(sample, contract)
    scores = {name: _score(values, wanted, len(contract.classes)) for name, values in columns(sample, contract).items()}
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


def _score(values: np.ndarray, wanted: np.ndarray, n_classes: int) -> float:
    goal = np.eye(n_classes)[wanted] if n_classes else wanted[:, None]
    spread = float(((goal - goal.mean(axis=0)) ** 2).sum())
    if not spread or len(goal) < 4:
        return 0.0
    guess = np.zeros_like(goal, dtype=np.float64)
    folds = np.arange(len(goal)) % 2
    for fold in (0, 1):
        seen, held_out = folds != fold, folds == fold
        guess[held_out] = _guess(_ranks(values), goal, seen)[held_out]
    explained = 1 - float(((goal - guess) ** 2).sum()) / spread
    if not n_classes and values.dtype == np.float64:
        # Steps blur a copy of a continuous target; a straight line does not.
        known = ~np.isnan(values)
        if known.sum() > 2 and np.ptp(values[known]) and np.ptp(wanted[known]):
            explained = max(explained, float(np.corrcoef(values[known], wanted[known])[0, 1] ** 2 * known.mean()))
    return round(min(max(explained, 0.0), 1.0), 6)


def _guess(ranks: np.ndarray, goal: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return the mean goal of the seen rows in the same step: of a tree for numbers, of the same text for texts."""
    if ranks.dtype == np.float64:
        # The steps have to follow the target: fixed ones straddle the edge between two classes that a copy has.
        tree = DecisionTreeRegressor(max_leaf_nodes=STEPS, random_state=0)
        made: np.ndarray = tree.fit(ranks[seen, None], goal[seen]).predict(ranks[:, None]).reshape(goal.shape)
        return made
    size = int(ranks.max()) + 1
    total = np.stack([np.bincount(ranks[seen], column, size) for column in goal[seen].T], axis=1)
    count = np.bincount(ranks[seen], minlength=size)[:, None]
    means = np.where(count > 0, total / np.maximum(count, 1), goal[seen].mean(axis=0))
    return np.take(means, ranks, axis=0)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value: float64 with NaN for missing for numbers and times, a whole number for texts."""
    if values.dtype == object:
        return np.unique([str(value) for value in values], return_inverse=True)[1]
    # Ranks, for a tree reads its input as float32, in which close numbers are one.
    missing = np.isnat(values) if values.dtype.kind == "M" else np.isnan(values)
    return np.where(missing, np.nan, np.unique(values, return_inverse=True)[1].astype(np.float64))


def _is_id_like(table: pa.Table, name: str, contract: Contract, share: float) -> bool:
    """Say whether a category, text or whole number is different in nearly every row."""
    column = contract.features[name]
    if not isinstance(column, Category | Text | Integer) or table.num_rows < 50:
        return False
    if isinstance(column, Text) and (pc.mean(pc.utf8_length(table[name])).as_py() or 0) > 40:
        return False
    return bool(pc.count_distinct(table[name]).as_py() >= share * table.num_rows)
