"""What a model answers to rows: run in the folder of that model, with the code of that folder.

`python -m assay.gates.answers FOLDER` answers each Parquet file in FOLDER by an .npz file of the same name. A champion
is run so, for its code may differ from the candidate's; this file is all that the two have to agree on.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from assay.base.errors import InputError
from assay.base.files import read_json, replacing
from assay.contract.spec import Contract, load_contract
from assay.data.columns import Columns, columns
from assay.data.reading import typed
from assay.modelling.fitting import decide, scores
from assay.modelling.store import load_pipeline
from assay.project.layout import PIPELINE, THRESHOLD
from assay.project.room import load_room


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
    """Answer the Parquet files of a folder."""
    contract = load_contract()
    model = Model(contract)
    for path in sorted(folder.glob("*.parquet")):
        table = pq.read_table(path)
        lacking = sorted(set(contract.features) - set(table.column_names))
        if lacking:
            raise InputError(f"the rows have no column {lacking[0]!r}, which this model needs")
        given = model.scores(columns(typed(table, contract)[0], contract))
        with replacing(path.with_suffix(".npz")) as temporary, temporary.open("wb") as file:
            np.savez(file, scores=given, decision=model.decide(given))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except InputError as error:
        sys.exit(str(error))
