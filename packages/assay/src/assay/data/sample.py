"""Samples of rows, where more would only cost time."""

import numpy as np
import pyarrow as pa

from assay.contract.spec import Contract
from assay.data.split import row_keys
from assay.data.stored import Rows, Stored


def sample(table: Rows, most: int, seed: int) -> pa.Table:
    """Return at most `most` random rows, in their order."""
    return table.take(pa.array(sampled(table.num_rows, most, seed)))


def sampled(number: int, most: int, seed: int) -> np.ndarray:
    """Return where the rows are that `sample` draws from a number of rows."""
    return np.sort(np.random.default_rng(seed).choice(number, min(number, most), replace=False))


def drawn(rows: Stored, share: float, contract: Contract) -> Rows:
    """Return the rows that a hash of their values draws, about this share of all, of each group too.

    A row that was drawn stays drawn, whatever rows are added or removed, and a smaller share is part of a larger one.
    """
    if share >= 1:
        return rows
    names = [name for name in contract.all_columns if name in rows.column_names]
    kept = [batch.filter(pa.array(row_keys(batch, names, "drawn") / 2.0**64 < share)) for batch in rows.batches()]
    table: Rows = pa.concat_tables(kept)
    return table
