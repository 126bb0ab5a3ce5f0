"""Samples of rows, where more would only cost time."""

import numpy as np
import pyarrow as pa


def sample(table: pa.Table, most: int, seed: int) -> pa.Table:
    """Return at most `most` random rows, in their order."""
    if table.num_rows <= most:
        return table
    index = np.random.default_rng(seed).choice(table.num_rows, most, replace=False)
    return table.take(pa.array(np.sort(index)))
