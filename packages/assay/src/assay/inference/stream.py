"""Predictions for files that arrive in a folder: for each one a file in another folder, exactly once.

Spark says which files have arrived, and numbers their batches. Workers write the predictions for a batch to a folder
that nobody reads. Once all are there, the folder gets the number of the batch; then its files are moved to the output.
If a run is killed before the folder has its number, the next run predicts the batch again; if it is killed later, the
next run moves the remaining files.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

from assay.base.errors import InputError
from assay.base.files import lock_alone, read_json, write_json, writes_to
from assay.base.progress import say
from assay.data.batches import Piece, files_in, is_data, is_plain, read_piece, require_columns, states
from assay.data.engine import map_write
from assay.data.spark import each_arrival
from assay.inference.pieces import PREDICTED, REFUSED, model_of, write_scored

# Readers of a folder leave out names that begin like these.
UNFINISHED = "_unfinished"
REFUSED_FOLDER = "_refused"
# The part of an unfinished batch that is complete.
DONE = "done"
# In a folder of results, how many there are.
COUNTS = "counts.json"
# Says what the checkpoint belongs to.
RECORD = "assay.json"
# Spark recognises a file by its name, so it never predicts one again that was moved away and put back.
REMEDY = "correct the file, or move it away for good, and run it again"
NAMES = "*.{[cC][sS][vV],[pP][aA][rR][qQ][uU][eE][tT]}"


@dataclass(frozen=True)
class Stream:
    """What is predicted by which model, and where it goes: folders by their whole paths, which all machines share."""

    models: Path
    root: Path
    version: str
    source: Path
    output: Path
    checkpoint: Path
    most_refused: float


# Takes the numbers of `files`, `rows` and `refused` rows of a batch.
Count = Callable[..., None]


def score_stream(stream: Stream, count: Count, address: str | None, *, goes_on: bool) -> None:
    """Predict the files that are in the source, and if it `goes_on` also those that come, until an interrupt.

    The file NAME becomes NAME.parquet in the output, and its refused rows _refused/NAME.csv. Raises InputError for a
    file that cannot be predicted, or that has too many refused rows; then no file of its batch is in the output.
    """
    _require_apart(stream)
    with writes_to(stream.output):
        stream.output.mkdir(parents=True, exist_ok=True)
        with lock_alone(
            stream.output, f"{stream.output}: another `assay score` is writing it; wait until it has ended"
        ):
            _claim(stream)
            for abandoned in _unfinished(stream.output):
                if not abandoned.name.isdecimal():
                    shutil.rmtree(abandoned, ignore_errors=True)
            if others := [str(file) for file in files_in(stream.source) if not is_data(file)]:
                say(f"not predicted, because they are no .csv or .parquet files: {', '.join(others[:10])}")
            take = partial(_take, stream, count, address)
            each_arrival(stream.source, NAMES, stream.checkpoint, take, address, goes_on=goes_on)


def _require_apart(stream: Stream) -> None:
    """Raise InputError unless the source is a folder, and no folder is a part of another one."""
    if not stream.source.is_dir():
        raise InputError(f"{stream.source}: there is no such folder; a stream reads the files that arrive in a folder")
    folders = (stream.source, stream.output, stream.checkpoint)
    for folder in folders:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: this is a file; name a folder")
        for other in folders:
            if folder is not other and folder.is_relative_to(other):
                raise InputError(f"{folder}: it would be a part of {other}; name a folder of its own")


def _claim(stream: Stream) -> None:
    """Raise InputError if the checkpoint belongs to something else; a new one is made for an empty output."""
    ours = {"input": str(stream.source), "output": str(stream.output), "model_version": stream.version}
    file = stream.checkpoint / RECORD
    if file.exists():
        for what, here in read_json(file).items():
            if ours.get(what) != here:
                raise InputError(
                    f"{stream.checkpoint}: this checkpoint belongs to the {what.replace('_', ' ')} {here}, and not to "
                    f"{ours.get(what)}; name another checkpoint and another output"
                )
        return
    for folder in (stream.checkpoint, stream.output):
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(
                f"{folder}: this folder is not empty, and {stream.checkpoint} is no checkpoint of it; name an empty one"
            )
    write_json(file, ours)


def _unfinished(output: Path) -> list[Path]:
    return list((output / UNFINISHED).glob("*"))


def _take(stream: Stream, count: Count, address: str | None, number: int, files: Sequence[Path]) -> None:
    """Predict a batch of files, unless that was done before, and move the predictions to the output."""
    # Spark leaves them out, now and later.
    for file in files_in(stream.source):
        if is_data(file) and _is_empty(file):
            raise InputError(f"{file}: the file is empty; {REMEDY}")
    with writes_to(stream.output):
        ready = stream.output / UNFINISHED / str(number)
        # An earlier run may have ended while it moved them.
        if not ready.exists():
            _predict(stream, address, [str(file.relative_to(stream.source)) for file in files], ready)
        count(**read_json(ready / COUNTS))
        # Refused rows first: they are there once the predictions for a file are.
        there = (one for one in ready.rglob("*") if one.is_file() and one != ready / COUNTS)
        for made in sorted(there, key=lambda one: one.suffix):
            into = stream.output / made.relative_to(ready)
            into.parent.mkdir(parents=True, exist_ok=True)
            made.replace(into)
        for older in _unfinished(stream.output):
            if older != ready:
                shutil.rmtree(older, ignore_errors=True)


def _is_empty(file: Path) -> bool:
    try:
        return file.stat().st_size == 0
    except FileNotFoundError:
        # It was moved away meanwhile.
        return False


def _predict(stream: Stream, address: str | None, names: Sequence[str], ready: Path) -> None:
    """Predict files and leave the results, and the numbers of files and rows, in the folder `ready`."""
    # A worker of a run that was killed, or that was thought to be lost, may still write to its folder.
    place = ready.with_name(uuid4().hex)
    done = place / DONE
    done.mkdir(parents=True)
    work = partial(_score, stream, place)
    counts = list(map_write(work, names, "spark", address, 1)) if names else []
    for name, (rows, refused) in zip(names, counts, strict=True):
        reasons = stream.output / REFUSED_FOLDER / f"{name}.csv"
        # An earlier try may have left them, before the file was corrected.
        reasons.unlink(missing_ok=True)
        if refused > stream.most_refused * rows:
            reasons.parent.mkdir(parents=True, exist_ok=True)
            (done / REFUSED_FOLDER / f"{name}.csv").replace(reasons)
            raise InputError(
                f"{stream.source / name}: {refused:,} of {rows:,} rows break the contract ({refused / rows:.1%}, "
                f"limit {stream.most_refused:.1%}): {reasons} has the reasons; {REMEDY}, "
                "or change the limit with --most-refused"
            )
    rows, refused = (sum(one[place] for one in counts) for place in (0, 1))
    write_json(done / COUNTS, {"files": len(names), "rows": rows, "refused": refused})
    done.rename(ready)


def _score(stream: Stream, place: Path, name: str) -> tuple[int, int]:
    """Predict a file and write the results; return the numbers of rows, and of those refused."""
    file = stream.source / name
    made = {
        PREDICTED: place / DONE / f"{name}.parquet",
        REFUSED: place / DONE / REFUSED_FOLDER / f"{name}.csv",
    }
    model = model_of(stream.models, stream.root, stream.version)
    try:
        before = states([file])
        require_columns([file], model.contract)
        plain = is_plain([file], model.contract.features, model.contract)
    except InputError as error:
        raise InputError(f"{error}; {REMEDY}") from None
    with writes_to(place):
        for path in made.values():
            path.parent.mkdir(parents=True, exist_ok=True)
    rows, refused = write_scored(model, read_piece(Piece(file), model.names(), before), made, place, is_plain=plain)
    if rows and not refused:
        made[REFUSED].unlink()
    return rows, refused
