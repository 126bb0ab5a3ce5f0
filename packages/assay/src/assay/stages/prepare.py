"""Split the rows into train, validation and test, without leaks."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assay.base.errors import InputError
from assay.base.files import replacing
from assay.base.progress import say
from assay.contract.spec import Contract, load_contract
from assay.data.engine import cluster_at
from assay.data.reading import opened
from assay.data.split import SIDES, assign, places
from assay.data.stored import Batched, Chosen, Rows, in_batches
from assay.project.layout import SPLIT
from assay.project.params import load_params

OTHER = "other shares or, unless the split is by time, another salt"


def main() -> None:
    """Write one Parquet file per side."""
    params, contract = load_params(), load_contract()
    with opened(contract.data, contract, cluster_at(params.engine.address)) as (rows, _):
        sides = assign(rows, contract, params.prepare)
        split = {name: Chosen(rows, index) for name, index in places(sides).items()}
        for name, part in split.items():
            _require_enough(name, part, contract)
        with ExitStack() as stack:
            files = [stack.enter_context(replacing(SPLIT / f"{name}.parquet")) for name in SIDES]
            write_sides(files, rows, sides)
    counts = [f"{name} {part.num_rows} rows ({part.num_rows / rows.num_rows:.1%})" for name, part in split.items()]
    say(f"  {', '.join(counts)}")


def write_sides(files: Sequence[Path], rows: pa.Table | Batched, sides: np.ndarray) -> None:
    """Write the rows of each side to its file."""
    schema, done = next(in_batches(rows)).schema, 0
    with ExitStack() as stack:
        writers = [stack.enter_context(pq.ParquetWriter(file, schema, compression="zstd")) for file in files]
        for batch in in_batches(rows):
            here = sides[done : done + batch.num_rows]
            for number, writer in enumerate(writers):
                if (here == number).any():
                    writer.write_table(batch.filter(pa.array(here == number)))
            done += batch.num_rows


def _require_enough(name: str, part: Rows, contract: Contract) -> None:
    """Raise InputError for a side with too few rows, or without some class."""
    where = f"params.yaml: prepare leaves the {name} side"
    if part.num_rows < 2:
        raise InputError(f"{where} {part.num_rows} rows; it needs more data or {OTHER}")
    if name == "train":
        for column in contract.features:
            if part[column].null_count == part.num_rows:
                raise InputError(f"{where} no value of column {column!r}; ignore that column, or try {OTHER}")
    if contract.task != "regression":
        absent = set(contract.classes) - set(pc.unique(part[contract.target.name]).to_pylist())
        if absent:
            raise InputError(f"{where} no row of class {min(absent)!r}; it needs more data or {OTHER}")
