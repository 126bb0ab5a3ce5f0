"""Why the model answers as it does: what each column of a row contributes to its score.

Shapley values by permutation (Strumbelj, Kononenko 2014; Lundberg, Lee 2017): a row of the background is turned into
the row in question column by column, in a random order and in its reverse, and what the score moves at each step is
credited to the column. The values of a row add up to its score minus the mean score of the background.
"""

from typing import Any

import numpy as np

from assay.base.rounding import significant
from assay.data.columns import Columns, length, take
from assay.inference.package import Package


def contributions(package: Package, data: Columns, seed: int = 0) -> list[dict[str, Any]]:
    """Return for each row its score, the mean score of the background, and each column's share of the difference.

    The score is the probability of the positive class, of the likeliest where there are more than two, or the number
    that is predicted. Columns come in the order of their weight.
    """
    return [_explained(package, take(data, np.array([row])), seed) for row in range(length(data))]


def _explained(package: Package, row: Columns, seed: int) -> dict[str, Any]:
    names = list(package.contract.features)
    background = package.background
    n, k = length(background), len(names)
    rng = np.random.default_rng(seed)
    # Each row of the background is walked twice, in k steps; before the first it is itself.
    order = np.array([rng.permutation(k) for _ in range(n)])
    rank = np.argsort(np.concatenate([order, order[:, ::-1]]), axis=1)
    start = np.tile(np.arange(n), 2)
    # Of the step s of walk w the column c is that of the row where rank[w, c] < s.
    from_row = rank[:, None, :] < np.arange(k + 1)[None, :, None]
    walks = {}
    for place, name in enumerate(names):
        mixed = np.where(from_row[:, :, place], row[name][0], background[name][start][:, None])
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
