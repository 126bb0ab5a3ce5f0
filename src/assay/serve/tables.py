"""Big batches: tables in Arrow's stream format or as Parquet, in and out. pyarrow may be missing until one comes."""

from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.contract import rules
from assay.contract.spec import Category, Contract, Feature, Text, Time
from assay.data.columns import Columns, columns
from assay.serve.answering import Told
from assay.serve.refusal import Refused
from assay.serve.rows import finite_limits

if TYPE_CHECKING:
    import pyarrow as pa

    from assay.data.violations import Violation

STREAM, PARQUET = b"application/vnd.apache.arrow.stream", b"application/vnd.apache.parquet"
ARROW = (STREAM, PARQUET)


def read_table(
    body: bytes, kind: bytes, contract: Contract, max_rows: int
) -> "tuple[Columns, pa.Table, list[Violation]]":
    """Return the features of a table, as columns and in the types of the contract, and what in it breaks the contract.

    Raises Refused for what is no table.
    """
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
    asked = table.select([name for name in table.column_names if name not in unused])
    # Mostly nothing is wrong, and that is seen in a fifth of the time that it takes to find all that is.
    if (data := _right(asked, features)) is not None:
        return data, asked, []
    made, violations = typed(asked, features)
    violations = [found for found in (*violations, *check(made, features)) if not _is_no_matter(found, features)]
    return ({} if violations else columns(made, features)), made, violations


def _right(table: "pa.Table", contract: Contract) -> Columns | None:
    """Return the columns of a table that has those of the contract, in the same types, and nothing wrong in them."""
    from assay.data.reading import arrow_type

    wanted = contract.features
    if sorted(table.column_names) != sorted(wanted) or not table.num_rows:
        return None
    if any(table.schema.field(name).type != arrow_type(column) for name, column in wanted.items()):
        return None
    try:
        data = columns(table, contract)
    except ValueError:
        # A whole number that is not exact as a float.
        return None
    markers = frozenset(contract.missing_markers)
    return data if all(_keeps(data[name], column, markers) for name, column in wanted.items()) else None


def _keeps(values: np.ndarray, column: Feature, markers: frozenset[str]) -> bool:
    """Say whether all values of a column are such as the contract allows."""
    match column:
        case Category():
            return {*column.values, *_missing(column)}.issuperset(values.tolist())
        case Text():
            found = set(values.tolist())
            longest = max((len(text) for text in found if text is not None), default=0)
            return longest <= column.max_length and found.isdisjoint({*markers, None} - _missing(column))
        case Time():
            low, high = np.array(column.range or (datetime.min, datetime.max), dtype="datetime64[us]")
            missing = np.isnat(values)
        case _:
            low, high = finite_limits(column)
            missing = np.isnan(values)
    # No comparison is true of what is missing.
    return not ((values < low) | (values > high)).any() and (column.missing == "allow" or not missing.any())


def _missing(column: Feature) -> set[None]:
    return {None} if column.missing == "allow" else set()


def _is_no_matter(found: "Violation", contract: Contract) -> bool:
    """Say whether what is wrong with data is not so with a request: no target, or a column that has no value at all."""
    if found.column == contract.target.name:
        return True
    return found.rule == rules.ALL_MISSING and contract.features[found.column].missing == "allow"


def write_table(told: Told, classes: Sequence[str], version: str, kind: bytes) -> bytes:
    """Return answers as a table: a column for the probability of each class."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    made: dict[str, Any] = answered([told])
    made |= {f"probability {label}": told.scores[:, number] for number, label in enumerate(classes)}
    table = pa.table(made).replace_schema_metadata({"model_version": version})
    sink = pa.BufferOutputStream()
    if kind == STREAM:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


def answered(told: Sequence[Told]) -> "dict[str, pa.Array]":
    """Return as columns what is answered to the rows of some requests, besides probabilities."""
    import pyarrow as pa
    import pyarrow.compute as pc

    labels, made = pa.array(told[0].labels, pa.string()), {}
    if any(one.best is None for one in told):
        made["prediction"] = pa.array(np.concatenate([one.scores for one in told]))
    else:
        made["prediction"] = labels.take(pa.array(np.concatenate([one.best for one in told])))
        made["decision"] = labels.take(pa.array(np.concatenate([one.decided for one in told])))
    numbers = pa.array(np.arange(max(len(one.scores) for one in told))).cast(pa.string())
    ids = [pc.binary_join_element_wise(one.name, numbers.slice(0, len(one.scores)), "-") for one in told]
    return made | {"prediction_id": pa.concat_arrays(ids), "warnings": _warned(told)}


def _warned(told: Sequence[Told]) -> "pa.ListArray":
    import pyarrow as pa

    # Mostly there are none, and a list for each row would cost more than all the rest of a table.
    found = [np.zeros(len(one.scores), dtype=np.int32) for one in told]
    for one, numbers in zip(told, found, strict=True):
        for row, warnings in one.warnings.items():
            numbers[row] = len(warnings)
    texts = list(chain.from_iterable(one.warnings[row] for one in told for row in sorted(one.warnings)))
    ends = np.cumsum(np.concatenate([[0], *found]), dtype=np.int32)
    return pa.ListArray.from_arrays(ends, pa.array(texts, pa.string()))


def _too_many(rows: int, most: int) -> Refused:
    return Refused(413, f"at most {most} rows are answered at once, got {rows}", reason="too large")
