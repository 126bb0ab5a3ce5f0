"""Scores from the exported model. Needs onnxruntime, and nothing that it was made with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from assay.contract.spec import Contract
from assay.data.columns import Columns, single, stacked
from assay.modelling.features import encode
from assay.project.room import NO_ROOM, Room

Score = Callable[[Columns], np.ndarray]
# The one input of the graph.
NUMBERS = "packed numbers"


@dataclass(frozen=True)
class Scorer:
    """A function from columns to scores, as `assay.modelling.fitting.scores` gives them, that runs the graph.

    It has two parts: `prepare` makes what the graph takes, `run` runs it, and needs no interpreter meanwhile.
    """

    prepare: Callable[[Columns], np.ndarray]
    run: Callable[[np.ndarray], np.ndarray]

    def __call__(self, data: Columns) -> np.ndarray:
        """Return the scores of rows."""
        return self.run(self.prepare(data))


def scorer(model: bytes | Path, contract: Contract, room: Room = NO_ROOM) -> Scorer:
    """Load a graph.

    One thread: a service has one worker a processor, and a prediction takes microseconds. A row gets the same score to
    the last bit whatever rows are with it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    source = model if isinstance(model, bytes) else str(model)
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    wanted = [session.get_outputs()[-1].name]
    is_number = contract.task == "regression"

    def run(packed: np.ndarray) -> np.ndarray:
        rows = len(packed)
        if rows == 1:
            # A single row goes another way through the library's linear algebra, and would be rounded otherwise.
            packed = np.concatenate([packed, packed])
        result = np.asarray(session.run(wanted, {NUMBERS: packed})[0][:rows], dtype=np.float64)
        return result[:, 0] if is_number else result

    return Scorer(lambda data: matrix(encode(data, contract, room)), run)


def matrix(inputs: Columns) -> np.ndarray:
    """Return what the graph takes: float32 of shape (rows, inputs), in the order of inputs."""
    return single(stacked(list(inputs.values())).T)
