"""Split the rows into train, validation and test, without leaks."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assay.base.errors import InputError
from assay.base.files import replacing
from assay.base.progress import say
from assay.contract.spec import Contract, load_contract
from assay.data.reading import read_table
from assay.data.split import parts
from assay.project.layout import SPLIT
from assay.project.params import load_params

OTHER = "other shares or, unless the split is by time, another salt"


def main() -> None:
    """Write one Parquet file per side."""
    params, contract = load_params(), load_contract()
    table, _ = read_table(contract.data, contract)
    split = parts(table, contract, params.prepare)
    for name, part in split.items():
        _require_enough(name, part, contract)
    for name, part in split.items():
        with replacing(SPLIT / f"{name}.parquet") as temporary:
            pq.write_table(part, temporary, compression="zstd")
    counts = [f"{name} {part.num_rows} rows ({part.num_rows / table.num_rows:.1%})" for name, part in split.items()]
    say(f"  {', '.join(counts)}")


def _require_enough(name: str, part: pa.Table, contract: Contract) -> None:
    """Raise InputError for a side with too few rows, or without some class."""
    where = f"params.yaml: prepare leaves the {name} side"
    if part.num_rows < 2:
        raise InputError(f"{where} {part.num_rows} rows; it needs more data or {OTHER}")
    empty = [column for column in contract.features if part[column].null_count == part.num_rows]
    if empty and name == "train":
        raise InputError(f"{where} no value of column {empty[0]!r}; ignore that column, or try {OTHER}")
    if contract.task != "regression":
        absent = set(contract.classes) - set(pc.unique(part[contract.target.name]).to_pylist())
        if absent:
            raise InputError(f"{where} no row of class {min(absent)!r}; it needs more data or {OTHER}")
