"""Predictions for files that several machines share: each piece of the files is predicted by itself."""

import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assay.base.errors import InputError
from assay.data.batches import Piece, read_piece
from assay.data.engine import Engine, map_write
from assay.data.outputs import writer
from assay.data.stored import State
from assay.inference.batch import BatchScorer, Scored

PREDICTED, REFUSED = "predicted", "refused"


@dataclass(frozen=True)
class Job:
    """What a worker needs to know to predict a piece; its results go to `folder`, which all machines share."""

    models: Path
    root: Path
    version: str
    is_plain: bool
    before: Mapping[Path, State]
    folder: Path


def score_pieces(
    job: Job, pieces: Sequence[Piece], engine: Engine, address: str | None, workers: int
) -> Generator[Scored, None, None]:
    """Yield the predictions for pieces in their order, which an engine makes."""
    if not pieces:
        return
    first = 0
    numbered = list(enumerate(pieces))
    for number, (rows, refused_rows) in enumerate(map_write(partial(_score, job), numbered, engine, address, workers)):
        if not rows:
            continue
        predicted, refused = (pq.ParquetFile(_path(job.folder, number, kind)) for kind in (PREDICTED, REFUSED))
        yield Scored(_moved(predicted.schema_arrow.empty_table(), first), _moved(refused.read(), first), refused_rows)
        nothing = refused.schema_arrow.empty_table()
        for batch in predicted.iter_batches():
            yield Scored(_moved(pa.Table.from_batches([batch]), first), nothing, 0)
        first += rows
        for kind in (PREDICTED, REFUSED):
            _path(job.folder, number, kind).unlink()


def _moved(table: pa.Table, by: int) -> pa.Table:
    """Return a table whose rows have numbers in the whole input, not in their piece."""
    return table.set_column(0, "row", pc.add(table["row"], by))


def _path(folder: Path, number: int, kind: str) -> Path:
    return folder / f"{number}.{kind}.parquet"


# A worker keeps the model of its last job.
@lru_cache(maxsize=1)
def model_of(models: Path, root: Path, version: str) -> BatchScorer:
    """Return the model of a folder; raises InputError if its version is not the given one."""
    model = BatchScorer(models, root)
    if model.version != version:
        raise InputError(f"{models}: a worker has the version {model.version} of the model there, and not {version}")
    return model


def _score(job: Job, numbered: tuple[int, Piece]) -> tuple[int, int]:
    """Predict a piece and write the results; return the numbers of rows, and of those refused."""
    number, piece = numbered
    model = model_of(job.models, job.root, job.version)
    tables = read_piece(piece, model.names(), job.before)
    made = {kind: _path(job.folder, number, kind) for kind in (PREDICTED, REFUSED)}
    return write_scored(model, tables, made, job.folder, is_plain=job.is_plain)


def write_scored(
    model: BatchScorer, tables: Iterable[pa.Table], made: Mapping[str, Path], folder: Path, *, is_plain: bool
) -> tuple[int, int]:
    """Write the predictions for tables, and the refused rows, to two files; return the numbers of rows and of refused.

    The files are complete once they have their names; until then they are in `folder`. Without rows there are none.
    """
    rows = refused = 0
    # The same rows may be predicted by two workers, if one was thought to be lost.
    unfinished = {kind: folder / f"{os.urandom(8).hex()}{path.suffix}" for kind, path in made.items()}
    write: dict[str, Callable[[pa.Table], None]] = {}
    try:
        with ExitStack() as files:
            for table in tables:
                found = model.score(table, rows + 1, is_plain=is_plain, keep=None)
                for kind, part in ((PREDICTED, found.predictions), (REFUSED, found.refused)):
                    if kind not in write:
                        write[kind] = files.enter_context(writer(unfinished[kind], part.schema))
                    write[kind](part)
                rows, refused = rows + table.num_rows, refused + found.refused_rows
        for kind in write:
            unfinished[kind].replace(made[kind])
    except OSError as error:
        raise InputError(f"{folder}: a worker cannot write here: {error.strerror or error}") from None
    return rows, refused
