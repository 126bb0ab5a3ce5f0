"""Predictions for files that several machines share: each piece of the files is predicted by itself."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assay.base.errors import InputError
from assay.data.batches import Piece, State, read_piece
from assay.data.engine import Engine, map_write
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
) -> Iterator[Scored]:
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
def _model(models: Path, root: Path, version: str) -> BatchScorer:
    model = BatchScorer(models, root)
    if model.version != version:
        raise InputError(f"{models}: a worker has the version {model.version} of the model there, and not {version}")
    return model


def _score(job: Job, numbered: tuple[int, Piece]) -> tuple[int, int]:
    """Predict a piece and write the results; return the numbers of rows, and of those refused."""
    number, piece = numbered
    model = _model(job.models, job.root, job.version)
    rows = refused = 0
    made = {kind: _path(job.folder, number, kind) for kind in (PREDICTED, REFUSED)}
    # The same piece may be predicted by two workers, if one was thought to be lost.
    unfinished = {kind: path.with_suffix(f".{os.urandom(4).hex()}") for kind, path in made.items()}
    writers: dict[str, pq.ParquetWriter] = {}
    try:
        for table in read_piece(piece, model.names(), job.before):
            found = model.score(table, rows + 1, is_plain=job.is_plain, keep=None)
            for kind, part in ((PREDICTED, found.predictions), (REFUSED, found.refused)):
                writers[kind] = writers.get(kind) or pq.ParquetWriter(unfinished[kind], part.schema)
                writers[kind].write_table(part)
            rows, refused = rows + table.num_rows, refused + found.refused_rows
    except OSError as error:
        raise InputError(f"{job.folder}: a worker cannot write here: {error.strerror or error}") from None
    finally:
        for writer in writers.values():
            writer.close()
    for kind in writers:
        unfinished[kind].replace(made[kind])
    return rows, refused
