"""Scores from the exported model. Needs onnxruntime, but not scikit-learn."""

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

    It has two parts: `prepare` makes the input of the graph, `run` runs the graph and releases the interpreter.
    """

    prepare: Callable[[Columns], np.ndarray]
    run: Callable[[np.ndarray], np.ndarray]

    def __call__(self, data: Columns) -> np.ndarray:
        """Return the scores of rows."""
        return self.run(self.prepare(data))


def scorer(model: bytes | Path, contract: Contract, room: Room = NO_ROOM) -> Scorer:
    """Load a graph.

    It uses one thread: a service has one worker per processor, and a prediction takes microseconds. A row gets the same
    score to the last bit, whatever other rows are in the batch.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Errors alone: its coloured warnings are about how it simplifies the graph.
    options.log_severity_level = 3
    source = model if isinstance(model, bytes) else str(model)
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    wanted = [session.get_outputs()[-1].name]
    is_number = contract.task == "regression"

    def run(packed: np.ndarray) -> np.ndarray:
        rows = len(packed)
        if rows == 1:
            # The library's linear algebra handles a single row differently and would round it differently.
            packed = np.concatenate([packed, packed])
        result = np.asarray(session.run(wanted, {NUMBERS: packed})[0][:rows], dtype=np.float64)
        return result[:, 0] if is_number else result

    return Scorer(lambda data: matrix(encode(data, contract, room)), run)


def matrix(inputs: Columns) -> np.ndarray:
    """Return the input of the graph: float32 of shape (rows, inputs), in the order of inputs."""
    return single(stacked(list(inputs.values())).T)
