"""Explanations: what each column of a row contributes to its score.

Shapley values by permutation (Strumbelj, Kononenko 2014; Lundberg, Lee 2017): a row of the background is turned into
the row in question column by column, in a random order and in its reverse, and the change of the score at each step is
credited to the column. The contributions of a row add up to its score minus the mean score of the background.
"""

from typing import Any

import numpy as np

from assay.base.rounding import significant
from assay.data.columns import Columns, length, take
from assay.inference.package import Package


def contributions(package: Package, data: Columns, seed: int = 0) -> list[dict[str, Any]]:
    """Return for each row its score, the mean score of the background, and each column's share of the difference.

    The score is the probability of the positive class, of the most probable one of more than two, or the predicted
    number. The column with the largest contribution comes first.
    """
    return [_explained(package, take(data, np.array([row])), seed) for row in range(length(data))]


def _explained(package: Package, row: Columns, seed: int) -> dict[str, Any]:
    names = list(package.contract.features)
    background = package.background
    n, k = length(background), len(names)
    rng = np.random.default_rng(seed)
    # Two walks start at each row of the background and take k steps each.
    order = np.array([rng.permutation(k) for _ in range(n)])
    rank = np.argsort(np.concatenate([order, order[:, ::-1]]), axis=1)
    start = np.tile(np.arange(n), 2)
    # At step s of walk w the column c has the value of the explained row if rank[w, c] < s.
    from_row = rank[:, None, :] < np.arange(k + 1)[None, :, None]
    walks = {}
    for index, name in enumerate(names):
        mixed = np.where(from_row[:, :, index], row[name][0], background[name][start][:, None])
        walks[name] = mixed.reshape(-1).astype(row[name].dtype)
    scores = package.score(walks)
    classes = package.contract.classes
    label = None
    if classes:
        which = 1 if len(classes) == 2 else int(package.score(row)[0].argmax())
        scores, label = scores[:, which], classes[which]
    steps = scores.reshape(2 * n, k + 1)
    moved = np.take_along_axis(np.diff(steps, axis=1), rank, axis=1).mean(axis=0)
    shares = sorted(zip(names, moved.tolist(), strict=True), key=lambda pair: -abs(pair[1]))
    return {
        "explains": label or package.contract.target.name,
        "score": float(steps[0, -1]),
        "background": float(steps[:, 0].mean()),
        "contributions": [{"column": name, "contribution": significant(share)} for name, share in shares],
    }
