"""Big batches: tables in Arrow's stream format or as Parquet, in and out. pyarrow may be missing until one comes."""

import struct
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.contract import rules
from assay.contract.spec import Category, Contract, Feature, Text, Time
from assay.data.columns import Asked, Columns, columns
from assay.inference.answers import Told
from assay.inference.rows import finite_limits
from assay.serve.refusal import Refused
from assay.serve.unpacking import (
    flat_columns,
    is_words,
    most_unpacked,
    plain_bytes,
    read_parquet,
    rows_of_stream,
    too_large,
    too_many,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from assay.data.violations import Violation

STREAM, PARQUET = b"application/vnd.apache.arrow.stream", b"application/vnd.apache.parquet"
ARROW = (STREAM, PARQUET)
# Numbers of so many rows are kept as texts.
KEPT = 2**14


def read_table(body: bytes, kind: bytes, contract: Contract, max_rows: int) -> "tuple[Columns, list[Violation]]":
    """Return the features of a table, and what in it breaks the contract.

    Raises Refused for what is no table, and for one without rows, with too many, with a column twice, or that unpacks
    to much more than a request may hold.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from assay.data.check import check
    from assay.data.reading import first_twice, is_readable, plain, typed
    from assay.data.violations import violation

    most = most_unpacked(body, max_rows, len(contract.columns))
    features, target = contract.model_copy(update={"columns": contract.features}), contract.target.name
    # Columns that the contract knows and the model does not use may be there; others are for somebody to look at.
    unused = (set(contract.columns) | {target}) - set(contract.features)
    try:
        if kind == STREAM:
            rows, schema = rows_of_stream(body, max_rows, most), pa.ipc.open_stream(body).schema
        else:
            file = pq.ParquetFile(pa.BufferReader(body))
            rows, schema = file.metadata.num_rows, file.schema_arrow
        if rows > max_rows:
            raise too_many(rows, max_rows)
        if rows < 1:
            raise Refused(422, "rows: expected at least 1 row, got none", reason="contract")
        if (twice := first_twice(schema.names)) is not None:
            raise Refused(422, f"column {twice!r} is there twice", reason="contract")
        wanted = {name: schema.field(name).type for name in schema.names if name in features.columns}
        flat = dict.fromkeys(wanted, 0) if kind == STREAM else flat_columns(file, wanted)
        # What has another form is not even read: Arrow does not have all that it needs for every type.
        if odd := [name for name, given in wanted.items() if name not in flat or not is_readable(given)]:
            return {}, [
                violation(name, rules.wrong_type(features.columns[name]), rows, [wanted[name]], 0) for name in odd
            ]
        if kind == STREAM:
            # With no fields all are read.
            places = [place for place, name in enumerate(schema.names) if name in wanted]
            options = pa.ipc.IpcReadOptions(included_fields=places)
            table = pa.ipc.open_stream(body, options=options).read_all().select(list(wanted))
        else:
            table = read_parquet(body, file, flat, max_rows, most)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, LookupError, struct.error) as error:
        raise Refused(
            400, f"the body is no whole table: {' '.join(str(error).split())[:200]}", reason="contract"
        ) from None
    if wanted and table.num_rows != rows:
        raise Refused(400, f"the body is no whole table: {table.num_rows} rows instead of {rows}", reason="contract")
    if sum(map(plain_bytes, table.columns)) > most:
        raise too_large(most)
    others = {name: pa.nulls(rows) for name in schema.names if name not in unused and name not in wanted}
    asked = table
    if others or any(map(is_words, wanted.values())):
        asked = pa.table({name: plain(table[name]) for name in wanted} | others)
    # Mostly nothing is wrong, and that is seen in a fifth of the time that it takes to find all that is.
    if (data := _right(asked, features)) is not None:
        return data, []
    made, violations = typed(asked, features)
    violations = [found for found in (*violations, *check(made, features)) if not _is_no_matter(found, features)]
    return ({} if violations else Asked(columns(made, features))), violations


def _right(table: "pa.Table", contract: Contract) -> Columns | None:
    """Return the columns of a table that has those of the contract, in the same types, and nothing wrong in them."""
    from assay.data.reading import arrow_type

    wanted = contract.features
    if sorted(table.column_names) != sorted(wanted) or not table.num_rows:
        return None
    if any(table.schema.field(name).type != arrow_type(column) for name, column in wanted.items()):
        return None
    try:
        data = Asked(columns(table, contract))
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

    made: dict[str, Any] = {}
    if told.best is None or told.decided is None:
        made["prediction"] = told.scores
    else:
        labels = pa.array(told.labels, pa.string())
        made |= {"prediction": labels.take(pa.array(told.best)), "decision": labels.take(pa.array(told.decided))}
    made |= {"prediction_id": prediction_ids([told]), "warnings": warned([told])}
    made |= {f"probability {label}": told.scores[:, number] for number, label in enumerate(classes)}
    table = pa.table(made).replace_schema_metadata({"model_version": version})
    sink = pa.BufferOutputStream()
    if kind == STREAM:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


def prediction_ids(told: Sequence[Told]) -> "pa.StringArray":
    """Return as a column what the predictions of some requests are called."""
    import pyarrow as pa

    # Made as one text, in a tenth of the time that pyarrow takes to join them one by one.
    text, lengths = "", []
    for one in told:
        rows = len(one.scores)
        # What only the largest tables need is not kept.
        numbers, digits = (_numbers if rows < KEPT else _numbers.__wrapped__)(rows.bit_length())
        text += f"{one.name}-".join(("", *numbers[:rows]))
        lengths.append(digits[:rows] + len(one.name) + 1)
    ends = np.cumsum(np.concatenate([[0], *lengths]), dtype=np.int32)
    return pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(text.encode()))


@cache
def _numbers(bits: int) -> tuple[list[str], np.ndarray]:
    """Return the numbers below a power of two as texts, and how long each is."""
    numbers = list(map(str, range(1 << bits)))
    return numbers, np.array(list(map(len, numbers)))


def warned(told: Sequence[Told]) -> "pa.ListArray":
    """Return as a column the warnings of some requests."""
    import pyarrow as pa

    # Mostly there are none, and a list for each row would cost more than all the rest of a table.
    found = [np.zeros(len(one.scores), dtype=np.int32) for one in told]
    for one, numbers in zip(told, found, strict=True):
        for row, warnings in one.warnings.items():
            numbers[row] = len(warnings)
    texts = list(chain.from_iterable(one.warnings[row] for one in told for row in sorted(one.warnings)))
    ends = np.cumsum(np.concatenate([[0], *found]), dtype=np.int32)
    return pa.ListArray.from_arrays(ends, pa.array(texts, pa.string()))
