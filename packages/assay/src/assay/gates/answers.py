"""What a model answers to rows: run in the folder of that model, with the src/model of that folder.

`python -m assay.gates.answers FOLDER` answers each Parquet file in FOLDER by an .npz file of the same name. A champion
is run so, by the candidate's Assay: its src/model may differ from the candidate's.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from assay.base.errors import InputError
from assay.base.files import read_json, replacing
from assay.contract.spec import Contract, load_contract
from assay.data.columns import Columns, columns
from assay.data.reading import typed
from assay.modelling.fitting import decide, scores
from assay.modelling.store import load_pipeline
from assay.project.layout import MODELS, PIPELINE, THRESHOLD
from assay.project.room import load_room

# Scores that are closer than this are the same; other versions of a library may differ in the last digits.
SAME = 1e-6


class Model:
    """The trained model of the current folder, which gives scores and decisions for columns."""

    def __init__(self, contract: Contract) -> None:
        """Load the pipeline and its threshold."""
        self.contract = contract
        self.room = load_room()
        self.pipeline = load_pipeline(PIPELINE, self.room)
        self.threshold: float | None = read_json(THRESHOLD)

    def scores(self, data: Columns) -> np.ndarray:
        """Return probabilities of shape (rows, classes), or numbers of shape (rows,)."""
        return scores(self.pipeline, data, self.contract, self.room)

    def decide(self, given: np.ndarray) -> np.ndarray:
        """Return what is answered with these scores: the index of a class, or the number."""
        return decide(given, self.contract, self.threshold)


def main(folder: Path) -> None:
    """Answer the Parquet files of a folder; raises InputError for a model that this Assay reads differently."""
    contract = load_contract()
    model = Model(contract)
    _require_stored_answers(model)
    for path in sorted(folder.glob("*.parquet")):
        table = pq.read_table(path)
        lacking = sorted(set(contract.features) - set(table.column_names))
        if lacking:
            raise InputError(f"the rows have no column {lacking[0]!r}, which this model needs")
        given = model.scores(columns(typed(table, contract)[0], contract))
        with replacing(path.with_suffix(".npz")) as temporary, temporary.open("wb") as file:
            np.savez(file, scores=given, decision=model.decide(given))


def _require_stored_answers(model: Model) -> None:
    """Hold a model to the scores that were stored when it was made."""
    stored = read_json(MODELS / "examples.json")
    rows, _ = typed(pa.Table.from_pylist(stored["rows"]), model.contract)
    given, wanted = model.scores(columns(rows, model.contract)), np.array(stored["scores"])
    if not np.allclose(given, wanted, rtol=SAME, atol=SAME):
        apart = np.abs(given - wanted).max()
        raise InputError(
            f"this Assay scores the rows of its examples.json differently than its own did: by {apart:.3g}"
        )


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except InputError as error:
        sys.exit(str(error))
