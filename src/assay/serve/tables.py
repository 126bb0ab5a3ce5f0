"""Big batches: tables in Arrow's stream format or as Parquet, in and out. pyarrow is loaded with the first of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.contract.spec import Contract
from assay.data.columns import Columns, columns
from assay.serve.answering import Answer
from assay.serve.refusal import Refused

if TYPE_CHECKING:
    from assay.data.violations import Violation

STREAM, PARQUET = b"application/vnd.apache.arrow.stream", b"application/vnd.apache.parquet"
ARROW = (STREAM, PARQUET)


def read_table(body: bytes, kind: bytes, contract: Contract, max_rows: int) -> "tuple[Columns, list[Violation]]":
    """Return the features of a table and what in it breaks the contract; raises Refused for what is no table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from assay.data.check import check
    from assay.data.reading import typed

    try:
        if kind == STREAM:
            table = pa.ipc.open_stream(body).read_all()
        else:
            file = pq.ParquetFile(pa.BufferReader(body))
            if file.metadata.num_rows > max_rows:
                raise _too_many(file.metadata.num_rows, max_rows)
            table = file.read()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Refused(
            400, f"the body is no whole table: {' '.join(str(error).split())[:200]}", reason="contract"
        ) from None
    if table.num_rows > max_rows:
        raise _too_many(table.num_rows, max_rows)
    features, target = contract.model_copy(update={"columns": contract.features}), contract.target.name
    # Columns that the contract knows and the model does not use may be there; others are for somebody to look at.
    unused = (set(contract.columns) | {target}) - set(contract.features)
    made, violations = typed(table.select([name for name in table.column_names if name not in unused]), features)
    violations = [found for found in (*violations, *check(made, features)) if found.column != target]
    return ({} if violations else columns(made, features)), violations


def write_table(told: list[Answer], scores: np.ndarray, classes: Sequence[str], version: str, kind: bytes) -> bytes:
    """Return answers as a table: a column for the probability of each class."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    made: dict[str, Any] = {"prediction": [one.prediction for one in told]}
    if classes:
        made["decision"] = [one.decision for one in told]
    made["prediction_id"] = [one.prediction_id for one in told]
    for number, label in enumerate(classes):
        made[f"probability {label}"] = scores[:, number]
    made["warnings"] = [one.warnings for one in told]
    table = pa.table(made).replace_schema_metadata({"model_version": version})
    sink = pa.BufferOutputStream()
    if kind == STREAM:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


def _too_many(rows: int, most: int) -> Refused:
    return Refused(413, f"at most {most} rows are answered at once, got {rows}", reason="too large")
