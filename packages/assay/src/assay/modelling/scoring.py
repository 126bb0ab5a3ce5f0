"""Scores of rows that need not fit into memory; the service, which scores other rows, does not need this module."""

from functools import partial

import numpy as np
import pyarrow as pa
from sklearn.pipeline import Pipeline

from assay.contract.spec import Contract
from assay.data.columns import columns
from assay.data.stored import Batched, by_part, in_batches
from assay.modelling.fitting import scores
from assay.project.room import NO_ROOM, Room


def scores_of_rows(
    pipeline: Pipeline, rows: pa.Table | Batched, contract: Contract, room: Room = NO_ROOM
) -> np.ndarray:
    """Return what `scores` does, a batch of rows after the other; the cluster of the rows does it, if they have one."""
    return np.concatenate(by_part(partial(_scores_of_part, pipeline, contract, room), rows))


def _scores_of_part(pipeline: Pipeline, contract: Contract, room: Room, part: pa.Table | Batched) -> np.ndarray:
    return np.concatenate([scores(pipeline, columns(batch, contract), contract, room) for batch in in_batches(part)])
