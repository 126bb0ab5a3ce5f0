"""Scores from the exported model. Needs onnxruntime, and nothing that it was made with."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

from assay.contract.spec import Contract
from assay.data.columns import Columns, single, stacked
from model.features import encode

Score = Callable[[Columns], np.ndarray]
# The one input of the graph.
NUMBERS = "packed numbers"


def scorer(model: bytes | Path, contract: Contract) -> Score:
    """Return a function from columns to scores, as `assay.training.fitting.scores` gives them, that runs the graph.

    One thread: a service has one worker a processor, and a prediction takes microseconds. A row gets the same score to
    the last bit whatever rows are with it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    source = model if isinstance(model, bytes) else str(model)
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    wanted = [session.get_outputs()[-1].name]
    is_number = contract.task == "regression"

    def score(data: Columns) -> np.ndarray:
        packed = matrix(encode(data, contract))
        rows = len(packed)
        if rows == 1:
            # A single row goes another way through the library's linear algebra, and would be rounded otherwise.
            packed = np.concatenate([packed, packed])
        result = np.asarray(session.run(wanted, {NUMBERS: packed})[0][:rows], dtype=np.float64)
        return result[:, 0] if is_number else result

    return score


def matrix(inputs: Columns) -> np.ndarray:
    """Return what the graph takes: float32 of shape (rows, inputs), in the order of inputs."""
    return single(stacked(list(inputs.values())).T)
