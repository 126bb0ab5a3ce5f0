"""Large batches as streams of Arrow, in and out.

A request cannot expand to a table larger than itself. Compressed buffers, dictionaries and views, where a few bytes may
expand to gigabytes, are refused before they are read; everything else lies in the body, and pyarrow does not copy it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from assay.base.errors import one_line
from assay.contract.spec import Contract
from assay.inference.predictor import PredictionBatch
from assay.inference.rows import Columns, RequestColumns
from assay.inference.tables import Violation, first_twice, predicted, read_columns, wrong_types
from assay.serve.refusal import Refused

if TYPE_CHECKING:
    # The service starts without it, and loads it before the first table comes.
    import pyarrow as pa

ARROW = b"application/vnd.apache.arrow.stream"
# A compressed buffer starts with its size: these bytes make it negative, which pyarrow refuses.
FILLER = b"\xfe"


def read_table(body: bytes, contract: Contract, max_rows: int) -> tuple[Columns, list[Violation]]:
    """Return the features of a table, and its violations of the contract.

    Raises Refused for a body that is not a complete stream, is compressed or may expand, or holds no rows, too many
    rows, or two columns of one name.
    """
    import pyarrow as pa

    try:
        return _read(body, contract, max_rows)
    except (pa.ArrowException, OSError, ValueError, LookupError, EOFError) as error:
        raise _refused(f"the body is not a complete Arrow stream: {one_line(error)}") from None


def _read(body: bytes, contract: Contract, max_rows: int) -> tuple[Columns, list[Violation]]:
    import pyarrow as pa

    schema = pa.ipc.open_stream(body).schema
    rows, blank = _measured(body, max_rows)
    if not rows:
        raise Refused(422, "rows: expected at least 1 row, got none", reason="contract")
    if (twice := first_twice(schema.names)) is not None:
        raise Refused(422, f"column {twice!r} occurs twice", reason="contract")
    wanted = {name: schema.field(name).type for name in schema.names if name in contract.features}
    for name, kind in wanted.items():
        if pa.types.is_dictionary(kind) or pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
            raise _refused(f"column {name!r} has type {kind}; send plain values")
    if violations := wrong_types(wanted, contract, rows):
        return {}, violations
    # Columns of the contract that the model does not use are allowed; any other column is a violation.
    known = {*contract.features, *contract.unused}
    columns: dict[str, Any] = {name: pa.nulls(rows) for name in schema.names if name not in known}
    ids = [name for name in contract.given_ids if name in schema.names and _is_id(schema.field(name).type)]
    given: list[list[Any]] = []
    # With no fields pyarrow would read all of them.
    if wanted:
        options = pa.ipc.IpcReadOptions(included_fields=[schema.get_field_index(name) for name in (*wanted, *ids)])
        try:
            for _ in pa.ipc.open_stream(blank, options=options):
                pass
        except (pa.ArrowException, OSError):
            raise _refused("the table is compressed, or its buffers are out of bounds; send it uncompressed") from None
        table = pa.ipc.open_stream(body, options=options).read_all()
        table.validate(full=True)
        if table.num_rows != rows or table.nbytes > len(body):
            raise ValueError("its buffers overlap")
        columns |= {name: table[name] for name in wanted}
        given = [table[name].to_pylist() for name in ids]
    data, violations = read_columns(pa.table(columns) if columns else pa.table({}), contract)
    # The log takes all ids or none.
    return RequestColumns(data, ids=given if ids == contract.given_ids else ()), violations


def _is_id(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind))


def _measured(body: bytes, max_rows: int) -> tuple[int, bytes]:
    """Return the number of rows of a stream, and a copy of it in which every buffer holds FILLER.

    pyarrow does not say whether a batch is compressed. It can read the copy only if no buffer is: otherwise it fails at
    the sizes, before it decompresses anything.
    """
    import pyarrow as pa

    rows, parts = 0, list[bytes]()
    for message in pa.ipc.MessageReader.open_stream(pa.py_buffer(body)):
        if message.type not in ("schema", "record batch"):
            raise _refused(f"the stream has a message of type {message.type}; send plain values only")
        content = message.body.size if message.body is not None else 0
        if message.type == "record batch":
            # Without columns only the number of rows is read.
            batch = pa.ipc.read_record_batch(message, pa.schema([])).num_rows
            if batch < 0:
                raise ValueError("a batch with a negative number of rows")
            rows += batch
            if rows > max_rows:
                raise Refused(413, f"at most {max_rows} rows per request, got {rows}", reason="too large")
        metadata = message.metadata.to_pybytes()
        parts += (b"\xff" * 4 + len(metadata).to_bytes(4, "little"), metadata, FILLER * content)
    return rows, b"".join(parts)


def _refused(error: str) -> Refused:
    return Refused(400, error, reason="contract")


def write_table(batch: PredictionBatch, classes: Sequence[str], version: str) -> bytes:
    """Return predictions as an Arrow stream, with a column for the probability of each class."""
    import pyarrow as pa

    table = pa.table(predicted(batch, classes)).replace_schema_metadata({"model_version": version})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())
