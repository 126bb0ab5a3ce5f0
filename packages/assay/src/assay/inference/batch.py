"""Predictions for tables of any size: in the order of the rows, in several processes, and in bounded memory."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.base.errors import InputError
from assay.contract import rules
from assay.contract.spec import Contract
from assay.data.columns import Columns, RequestColumns, take
from assay.data.violations import Violation
from assay.inference.package import Package, load_package
from assay.inference.predictor import PredictionBatch, Predictor
from assay.inference.rows import RowReader
from assay.inference.tables import predicted, read_columns
from assay.project.room import Room
from assay.project.settings import load_packed_contract, load_settings

# Tables that wait for each other process: enough that none is idle.
AHEAD = 3
# Predictions that wait for those before them, which another process makes: few enough for memory.
WAITING = 100
# Keeps predictions of a package for columns.
Keep = Callable[[Package, PredictionBatch, Columns], None]
# Columns of the output for any task.
ALWAYS = ("row", "prediction", "prediction_id", "model_version", "warnings")
REFUSED = pa.schema([("row", pa.int64()), ("column", pa.string()), ("reason", pa.string())])


def output_names(ids: Sequence[str], classes: Sequence[str]) -> dict[str, str]:
    """Return the names of the id columns in the output, with the prefix "id " where another column has the name.

    Databases and engines ignore the case of column names.
    """
    made = {name.lower() for name in _made(classes)}
    names: dict[str, str] = {}
    for name in ids:
        taken = made | {one.lower() for one in (*ids, *names.values()) if one != name}
        names[name] = name
        while names[name].lower() in taken:
            names[name] = f"id {names[name]}"
    return names


def _made(classes: Sequence[str]) -> list[str]:
    """Return the columns of the output besides the ids."""
    return [*ALWAYS, *(("decision",) if classes else ()), *(f"probability {label}" for label in classes)]


def _texts(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return values.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InputError(f"column {name!r}: ids of the type {values.type} cannot be copied as text") from None


@dataclass(frozen=True)
class Scored:
    """The predictions for a table, and for each refused row its number, column and reason; rows count from 1."""

    predictions: pa.Table
    refused: pa.Table
    refused_rows: int


class BatchScorer:
    """Scores tables with one model, as the service does."""

    def __init__(self, models: Path, root: Path) -> None:
        """Load the model of a folder; `root` is the project, whose src/model may hold features."""
        settings = load_settings(models)
        reader = RowReader(load_packed_contract(models), settings.serve.max_rows)
        self._package: Package = load_package(models, reader, None, settings.export.tolerance, Room(root))
        self._predictor = Predictor(self._package)
        self.ids = output_names(self.contract.given_ids, self.contract.classes)

    @property
    def contract(self) -> Contract:
        """The contract of the rows."""
        return self._package.contract

    @property
    def version(self) -> str:
        """The version of the model."""
        return self._package.version

    def names(self) -> tuple[str, ...]:
        """Return the columns that are read: the features, and the ids, which are copied."""
        return (*self.contract.features, *self.ids)

    def output_columns(self) -> list[str]:
        """Return the columns of the output, in no order."""
        return [*_made(self.contract.classes), *self.ids.values()]

    def score(self, table: pa.Table, first: int, *, is_plain: bool, keep: Keep | None) -> Scored:
        """Return the predictions for the rows of a table; its first row has the number `first`."""
        features = table.select([name for name in table.column_names if name in self.contract.features])
        data, kept, refused = separated(features, self.contract, is_plain=is_plain)
        scores = self._package.score(data) if len(kept) else np.zeros((0, len(self.contract.classes) or 1))
        finite = np.asarray(np.isfinite(scores).all(axis=tuple(range(1, scores.ndim))))
        if not finite.all():
            refused += [(int(row), "", "too extreme: the model gives no finite score") for row in kept[~finite]]
            data, kept, scores = take(data, finite), kept[finite], scores[finite]
        ids = {name: _texts(name, table[name].take(pa.array(kept))) for name in table.column_names if name in self.ids}
        if keep and ids.keys() == self.ids.keys():
            data = RequestColumns(data, ids=[ids[name].to_pylist() for name in self.ids])
        predictions = self._predictions(data, scores, keep)
        copied = {self.ids[name]: texts for name, texts in ids.items()}
        made = {"row": pa.array(kept + first)} | copied | predictions
        return Scored(pa.table(made), _refused(refused, first), len({row for row, _, _ in refused}))

    def _predictions(self, data: Columns, scores: np.ndarray, keep: Keep | None) -> dict[str, pa.Array]:
        if self.contract.task == "regression":
            scores = scores.reshape(-1)
        warnings = self._predictor.warnings(data)[0] if len(scores) else {}
        batch = self._predictor.batch(scores, warnings)
        if keep and len(scores):
            keep(self._package, batch, data)
        made = predicted(batch, self.contract.classes)
        ids, warnings = made.pop("prediction_id"), made.pop("warnings")
        version = pa.repeat(self.version, len(scores))
        # CSV has no lists.
        return made | {"prediction_id": ids, "model_version": version, "warnings": pc.binary_join(warnings, "; ")}


def _refused(found: Sequence[tuple[int, str, str]], first: int) -> pa.Table:
    rows, columns, reasons = zip(*sorted(found), strict=True) if found else ((), (), ())
    return pa.table([[row + first for row in rows], columns, reasons], schema=REFUSED)


Separated = tuple[Columns, np.ndarray, list[tuple[int, str, str]]]


def separated(table: pa.Table, contract: Contract, *, is_plain: bool) -> Separated:
    """Return the rows that keep to the contract, their places, and place, column and reason of those that do not.

    A check tells whether some row of a table breaks the contract. Halving the table finds which ones.
    """
    data, kept, refused = _halved(table, 0, contract, is_plain)
    places = np.array(sorted(kept), dtype=np.int64)
    if data is None:
        data = read_columns(table.take(pa.array(places)), contract, is_plain=is_plain)[0] if len(places) else {}
    return data, places, refused


def _halved(
    table: pa.Table, first: int, contract: Contract, is_plain: bool
) -> tuple[Columns | None, list[int], list[tuple[int, str, str]]]:
    data, violations = read_columns(table, contract, is_plain=is_plain)
    if not violations:
        return data, list(range(first, first + table.num_rows)), []
    if table.num_rows == 1:
        return None, [], [(first, one.column, _reason(one)) for one in violations]
    # The others are right in all rows: the fewer columns, the faster the search.
    wrong = {one.column: contract.columns[one.column] for one in violations}
    table, contract = table.select(list(wrong)), contract.model_copy(update={"columns": wrong})
    middle = table.num_rows // 2
    _, kept, refused = _halved(table.slice(0, middle), first, contract, is_plain)
    _, more, others = _halved(table.slice(middle), first + middle, contract, is_plain)
    return None, kept + more, refused + others


def _reason(found: Violation) -> str:
    if found.rule == rules.ALL_MISSING:
        return rules.MISSING
    return f"{found.rule}: {', '.join(found.examples)}"


# A process has one model.
scorer = cache(BatchScorer)


def _score(models: Path, root: Path, table: pa.Table, first: int, *, is_plain: bool, keep: Keep | None) -> Scored:
    return scorer(models, root).score(table, first, is_plain=is_plain, keep=keep)


def score_in_order(
    tables: Iterable[pa.Table], models: Path, root: Path, *, processes: int, is_plain: bool, keep: Keep | None = None
) -> Generator[Scored, None, None]:
    """Yield the predictions for tables in their order, from several processes with a session each; this is one of them.

    `keep` is called in these processes, in no order.
    """
    score = partial(_score, models, root, is_plain=is_plain, keep=keep)
    if processes == 1:
        yield from (score(table, first) for table, first in _numbered(tables))
        return
    others, before = processes - 1, multiprocessing.active_children()
    # A forked process would lack the threads of libraries, so each one is a new process.
    with ProcessPoolExecutor(others, multiprocessing.get_context("spawn"), _end_with_parent) as pool:
        try:
            yield from _in_order(pool, _numbered(tables), AHEAD * others, score)
        except BrokenProcessPool:
            raise InputError(
                "a process that predicts has ended, perhaps for want of memory; try again with fewer --processes"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)
            # Without memory, nothing here takes their results, and they would never end.
            for left in multiprocessing.active_children():
                if left not in before:
                    left.terminate()


def _end_with_parent() -> None:
    """End this process when its parent has ended, also after kill -9: otherwise it would wait for work indefinitely."""

    def wait() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _numbered(tables: Iterable[pa.Table]) -> Iterator[tuple[pa.Table, int]]:
    """Yield tables with the number of their first row in the input."""
    first = 1
    for table in tables:
        yield table, first
        first += table.num_rows


def _in_order(
    pool: Executor, tables: Iterable[tuple[pa.Table, int]], ahead: int, score: Callable[[pa.Table, int], Scored]
) -> Iterator[Scored]:
    """Yield what `score` makes of tables: in the pool, and here while `ahead` tables wait there."""
    made: deque[Future[Scored] | Scored] = deque()
    given: set[Future[Scored]] = set()
    for table, first in tables:
        given = {one for one in given if not one.done()}
        if len(given) < ahead:
            given.add(future := pool.submit(_score_packed, score, _packed(table), first))
            made.append(future)
        else:
            made.append(score(table, first))
        while made and (_is_there(made[0]) or len(made) > WAITING):
            yield _result(made.popleft())
    yield from map(_result, made)


def _is_there(made: Future[Scored] | Scored) -> bool:
    return isinstance(made, Scored) or made.done()


def _result(made: Future[Scored] | Scored) -> Scored:
    return made if isinstance(made, Scored) else made.result()


def _packed(table: pa.Table) -> bytes:
    """Return a table as bytes; pickling a slice of a table would send all of it to the other process."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _score_packed(score: Callable[[pa.Table, int], Scored], packed: bytes, first: int) -> Scored:
    return score(pa.ipc.open_stream(packed).read_all(), first)
