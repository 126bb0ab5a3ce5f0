"""Arrow tables: from the table of a request to columns, and from predictions to columns of a table."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from assay.contract import rules
from assay.contract.cleaning import markers_of
from assay.contract.spec import Category, Contract, Feature, Text, Time
from assay.data.columns import Columns, RequestColumns, columns
from assay.data.violations import Violation, first_twice, violation
from assay.inference.predictor import PredictionBatch
from assay.inference.rows import finite_limits

if TYPE_CHECKING:
    # The service starts without pyarrow and imports it before the first table arrives.
    import pyarrow as pa

# `Violation` and `first_twice` are re-exported for the service.
__all__ = ["Violation", "first_twice", "predicted", "read_columns", "wrong_types"]


def load_arrow() -> None:
    """Import what reads tables, if it is installed."""
    with suppress(ImportError):
        import pyarrow as pa

        import assay.data.check
        import assay.data.reading  # noqa: F401

        # With its first array pyarrow imports pandas if it is installed.
        pa.array([])


def wrong_types(given: "Mapping[str, pa.DataType]", contract: Contract, rows: int) -> list[Violation]:
    """Return a violation for each column whose Arrow type cannot be read."""
    from assay.data.reading import is_readable

    return [
        violation(name, rules.wrong_type(contract.features[name]), rows, [kind], 0)
        for name, kind in given.items()
        if not is_readable(kind)
    ]


def read_columns(
    table: "pa.Table", contract: Contract, *, is_plain: bool | None = None
) -> tuple[Columns, list[Violation]]:
    """Return the features of a table and its violations of the contract; no columns if there is a violation.

    `is_plain` is that of `typed`. The target may be missing, and so may every value of a column that allows missing
    values.
    """
    from assay.data.check import check
    from assay.data.reading import typed

    features = contract.model_copy(update={"columns": contract.features})
    # Mostly there is no violation. To see that takes a fifth of the time of a full check.
    if (data := _right(table, features)) is not None:
        return data, []
    made, violations = typed(table, features, is_plain=is_plain)
    violations = [found for found in (*violations, *check(made, features)) if not _is_allowed(found, features)]
    return ({} if violations else RequestColumns(columns(made, features))), violations


def _right(table: "pa.Table", contract: Contract) -> Columns | None:
    """Return the columns of a table that matches the contract in columns, types and values; None if it does not."""
    from assay.data.reading import arrow_type

    wanted = contract.features
    if sorted(table.column_names) != sorted(wanted) or not table.num_rows:
        return None
    if any(table.schema.field(name).type != arrow_type(column) for name, column in wanted.items()):
        return None
    try:
        data = RequestColumns(columns(table, contract))
    except ValueError:
        # A whole number that a float cannot hold exactly.
        return None
    everywhere = contract.missing_markers
    return (
        data
        if all(_keeps(data[name], column, markers_of(column, everywhere)) for name, column in wanted.items())
        else None
    )


def _keeps(values: np.ndarray, column: Feature, markers: frozenset[str]) -> bool:
    """Say whether the contract allows all values of a column."""
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
    # Comparisons with missing values are false.
    return not ((values < low) | (values > high)).any() and (column.missing == "allow" or not missing.any())


def _missing(column: Feature) -> set[None]:
    return {None} if column.missing == "allow" else set()


def _is_allowed(found: "Violation", contract: Contract) -> bool:
    """Say whether requests may have a violation that data may not: no target, or a column without values."""
    if found.column == contract.target.name:
        return True
    return found.rule == rules.ALL_MISSING and contract.features[found.column].missing == "allow"


def predicted(batch: PredictionBatch, classes: Sequence[str]) -> "dict[str, pa.Array]":
    """Return predictions as columns, with one for the probability of each class."""
    import pyarrow as pa

    made: dict[str, pa.Array] = {}
    if batch.best is None or batch.decided is None:
        made["prediction"] = pa.array(batch.scores)
    else:
        labels = pa.array(batch.labels, pa.string())
        made |= {"prediction": labels.take(pa.array(batch.best)), "decision": labels.take(pa.array(batch.decided))}
    made |= {"prediction_id": prediction_ids([batch]), "warnings": warned([batch])}
    return made | {f"probability {label}": pa.array(batch.scores[:, number]) for number, label in enumerate(classes)}


def prediction_ids(batches: Sequence[PredictionBatch]) -> "pa.StringArray":
    """Return the ids of the predictions of some requests as a column."""
    import pyarrow as pa

    # Built as one text, in a tenth of the time of joining them with pyarrow.
    lengths = [np.full(len(one.scores), one.names.find(",") if "," in one.names else len(one.names)) for one in batches]
    ends = np.cumsum(np.concatenate([[0], *lengths]), dtype=np.int32)
    text = "".join(one.names for one in batches).replace(",", "")
    return pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(text.encode()))


def warned(batches: Sequence[PredictionBatch]) -> "pa.ListArray":
    """Return the warnings of some requests as a column."""
    import pyarrow as pa

    # Mostly there are none, and a list for each row would cost more than the rest of the table.
    found = [np.zeros(len(one.scores), dtype=np.int32) for one in batches]
    for one, numbers in zip(batches, found, strict=True):
        for row, warnings in one.warnings.items():
            numbers[row] = len(warnings)
    texts = list(chain.from_iterable(one.warnings[row] for one in batches for row in sorted(one.warnings)))
    ends = np.cumsum(np.concatenate([[0], *found]), dtype=np.int32)
    return pa.ListArray.from_arrays(ends, pa.array(texts, pa.string()))
