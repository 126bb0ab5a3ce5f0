"""Predictions of the model in the current folder, with the src/model of that folder.

`python -m assay.gates.answers FOLDER` writes predictions for each Parquet file in FOLDER to an .npz file of the same
name, and those for the model's stored examples to `stored.npy`. The champion runs in this separate process because its
src/model may differ from the candidate's.
"""

import sys
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq

from assay.base.errors import InputError
from assay.base.files import read_json, replacing
from assay.contract.spec import Contract, load_contract
from assay.data.columns import Columns, columns
from assay.data.reading import typed
from assay.inference.rows import RowReader
from assay.modelling.fitting import decide, scores
from assay.modelling.store import load_trained
from assay.project.layout import MODELS
from assay.project.room import load_room

EXAMPLES = MODELS / "examples.json"
STORED_ROWS = "stored.npy"
VALIDATION = "validation"


class JudgedModel:
    """The trained model of the current folder."""

    def __init__(self, contract: Contract) -> None:
        """Load the pipeline and its threshold."""
        self.contract = contract
        self.room = load_room()
        self.trained = load_trained(self.room)
        self.threshold = self.trained.threshold

    def scores(self, data: Columns) -> np.ndarray:
        """Return probabilities of shape (rows, classes), or numbers of shape (rows,)."""
        return scores(self.trained.pipeline, data, self.contract, self.room)

    def scores_of(self, name: str, data: Columns) -> np.ndarray:
        """Return the scores of the rows that `Evidence` calls `name`; validation rows get those of `train_only`."""
        model = self.trained.train_only if name == VALIDATION else self.trained.pipeline
        return scores(model, data, self.contract, self.room)

    def decide(self, given: np.ndarray) -> np.ndarray:
        """Return the decisions for scores, shape (rows,): class indices, or the numbers."""
        return decide(given, self.contract, self.threshold)


def main(folder: Path) -> None:
    """Write the predictions for the Parquet files of a folder."""
    contract = load_contract()
    model = JudgedModel(contract)
    for path in sorted(folder.glob("*.parquet")):
        table = pq.read_table(path)
        lacking = sorted(set(contract.features) - set(table.column_names))
        if lacking:
            raise InputError(f"the rows have no column {lacking[0]!r}, which this model needs")
        given = model.scores_of(path.stem, columns(typed(table, contract)[0], contract))
        with replacing(path.with_suffix(".npz")) as temporary, temporary.open("wb") as file:
            np.savez(file, scores=given, decision=model.decide(given))
    with replacing(folder / STORED_ROWS) as temporary, temporary.open("wb") as file:
        np.save(file, model.scores(_stored_rows(contract)))


def _stored_rows(contract: Contract) -> Columns:
    """Return the model's stored examples, parsed like a request."""
    rows = read_json(EXAMPLES)["rows"]
    reader = RowReader(contract, len(rows))
    return reader.columns(reader.read(msgspec.json.encode({"rows": rows})))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except InputError as error:
        sys.exit(str(error))
