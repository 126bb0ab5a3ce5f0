"""A fitted model is stored and exported, and both answer as the model does."""

from pathlib import Path

import numpy as np
import onnx
from sklearn.pipeline import Pipeline

from assay.contract.spec import Contract
from assay.data.columns import Columns
from assay.export.onnx import agrees, convert, hard_rows, parity
from assay.inference.scorer import scorer
from assay.modelling.fitting import scores
from assay.modelling.store import load_pipeline, save_pipeline
from assay.project.params import Export


def assert_stored_and_exported(model: Pipeline, data: Columns, made: Contract, folder: Path) -> None:
    """Store and export a model, and compare the answers to rows that are hard for an export."""
    save_pipeline(model, folder / "model.skops")
    back = load_pipeline(folder / "model.skops")
    rows = hard_rows(data, made, 1)
    np.testing.assert_array_equal(scores(back, rows, made), scores(model, rows, made))
    graph = convert(model, rows, made)
    onnx.checker.check_model(onnx.load_from_string(graph))
    assert graph == convert(back, rows, made)
    found = parity(
        lambda given: scores(model, given, made),
        scorer(graph, made),
        rows,
        made,
        threshold=0.5 if made.task == "binary" else None,
        limits=Export(tolerance=1e-5, parity_rows=40),
    )
    assert agrees(found, 1e-5), found
