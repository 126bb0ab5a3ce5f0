"""Predictions for a file of any size."""

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from assay.base.errors import InputError
from assay.base.files import lock_alone, writes_to
from assay.base.process import interrupts
from assay.base.progress import Rate, say
from assay.base.words import public
from assay.project.limits import MOST_REFUSED

if TYPE_CHECKING:
    import pyarrow as pa

    from assay.contract.spec import Contract
    from assay.data.batches import Part, Piece
    from assay.data.outputs import Output
    from assay.inference.batch import BatchScorer, Scored

# Below this size one process is done before others have started.
SMALL_BYTES = 10_000_000


@click.command()
@click.argument("source", metavar="INPUT")
@click.argument("output")
@click.option(
    "--models", default="models", show_default=True, type=click.Path(path_type=Path), help="The model to predict with."
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    help="Processes that predict; by default one per processor, and one for a small input.",
)
@click.option(
    "--most-refused",
    default=MOST_REFUSED,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Largest share of rows that may break the contract; beyond it there is no output.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "dask", "spark"]),
    default="local",
    show_default=True,
    help="Where to predict; Dask and Spark predict on other machines, which share the folders of this one.",
)
@click.option("--address", help="The cluster of the engine; without one Dask has workers here, and Spark its own.")
@click.option(
    "--stream",
    metavar="CHECKPOINT",
    help="Predict the files that arrive in the folder INPUT, each one once, into the folder OUTPUT, until Ctrl-C; with "
    "Spark. The folder CHECKPOINT holds what was done, for the next run.",
)
@click.option("--available-now", is_flag=True, help="With --stream: predict the files that are there, then stop.")
@click.option("--table", help="The table of a database, the sheet of a workbook or the file of an archive.")
@click.option("--encoding", help="The encoding of a text file, if it is not detected correctly.")
@click.option("--log", type=click.Path(path_type=Path), help="Also write the predictions to the log in this folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def score(source: str, output: str, **options: Any) -> None:
    """Predict all rows of INPUT and write OUTPUT.

    INPUT is a CSV or Parquet file, or a folder of such files, which are read in bounded memory. It may be anything else
    that `assay init` reads, such as a workbook, JSON or a database: that is read as a whole. OUTPUT is a .csv, .parquet
    or .arrow file in the order of the input: the number of the row from 1, its ids, and its prediction. It may also be
    a table, sqlite:///FILE#TABLE or postgresql://USER@HOST/DATABASE#TABLE, or a Delta table, FOLDER.delta. INPUT may be
    at an address, such as https://HOST/FILE, and both at s3://, gs:// or az://. Rows that break the contract go to
    OUTPUT.refused.csv, with column and reason: beside OUTPUT, or for an address or a database in the current folder.
    Both files appear once they are complete.
    """
    if options["stream"] or options["available_now"]:
        _score_stream(source, output, options)
        return
    from assay.data.addresses import path_or_address
    from assay.data.outputs import output_of
    from assay.inference.batch import ALWAYS, scorer

    source, output = path_or_address(source), path_or_address(output)
    into = output_of(output, ALWAYS)
    # Otherwise an empty variable of a shell would be the current folder.
    if not source:
        raise InputError("INPUT is empty; name a file, a folder or a URL")
    began = time.monotonic()
    model = scorer(options["models"], Path())
    into.require(model.output_columns())
    for name, other in model.ids.items():
        if name != other:
            say(f"the id {name!r} is called {other!r} in the output, which has another column of its name")
    rows, refused = _score_rows(source, output, into, model, options)
    took = time.monotonic() - began
    result: dict[str, Any] = {
        "rows": rows,
        "refused": refused,
        "output": into.name,
        "refused_rows": str(_beside(into.file)) if refused else None,
        "model_version": model.version,
        "seconds": round(took, 3),
    }
    if options["as_json"]:
        print(json.dumps(result, indent=2))
        return
    print(f"{rows - refused:,} rows predicted in {took:.1f} s ({rows / took:,.0f} rows/s): {into.name}")
    if refused:
        print(f"{refused:,} row{'s' * (refused != 1)} refused: {_beside(into.file)}")


def _score_rows(
    source: str, output: str, into: "Output", model: "BatchScorer", options: Mapping[str, Any]
) -> tuple[int, int]:
    """Write the predictions for an input; return the numbers of rows, and of those refused."""
    from assay.data.addresses import fetched
    from assay.data.batches import batches, count_rows, is_plain, most_rows, require_columns, states
    from assay.inference.batch import score_in_order
    from assay.inference.pieces import Job, score_pieces
    from assay.init.files import DATABASES
    from assay.predictions.batch import publish, unpublished, write

    models, log = options["models"], options["log"]
    with ExitStack() as stack:
        folder = None
        if "://" in source and not DATABASES.match(source):
            if f"{output}/".startswith(f"{source.rstrip('/')}/"):
                raise InputError(
                    f"{public(output)}: this would replace the input, or a part of it; name another output"
                )
            # Workers of an engine see this folder too.
            folder = stack.enter_context(_work_folder(into.file))
            source = str(stack.enter_context(fetched(source, folder / "input")))
        made = stack.enter_context(TemporaryDirectory())
        files = _parts(source, model.contract, options["table"], options["encoding"], Path(made))
        # First: pieces are made of what the files are then.
        before = states(files)
        shared = _shared(files, source, options) if options["engine"] != "local" else []
        _require_apart(files, source, Path(output), _beside(into.file))
        if unknown := require_columns(files, model.contract):
            say(f"not used, because the contract has no such column: {', '.join(unknown[:10])}")
        # Only now: nothing that was refused leaves a folder.
        folder = folder or stack.enter_context(_work_folder(into.file))
        kept = stack.enter_context(unpublished(log, into.file)) if log else None
        processes = options["processes"] or _processes(files)
        plain = is_plain(files, model.contract.features, model.contract)
        if options["engine"] == "local":
            keep = partial(write, kept) if kept else None
            tables = batches(files, model.names(), before)
            scored = score_in_order(tables, models, Path(), processes=processes, is_plain=plain, keep=keep)
        else:
            seen = {file.resolve(): state for file, state in before.items()}
            # A worker of a run that was killed may still write to the folder of that run.
            place = folder.resolve() / uuid4().hex
            place.mkdir()
            job = Job(models.resolve(), Path().resolve(), model.version, plain, seen, place)
            scored = score_pieces(job, shared, options["engine"], options["address"], processes)
        # An error here ends the workers in an orderly way; left to Python's exit, they would show theirs.
        stack.enter_context(closing(scored))
        rate, limit = Rate("rows", count_rows(files)), Limit(options["most_refused"], partial(most_rows, files))
        written = _write(scored, source, into, folder, limit, rate)
        if kept:
            publish(kept)
        _say_what_came(source, files)
    return written


def _score_stream(source: str, output: str, options: dict[str, Any]) -> None:
    """Predict files as they arrive, and say after each batch how many there were."""
    from assay.data.addresses import path_or_address
    from assay.inference.batch import scorer
    from assay.inference.stream import Stream, score_stream

    if not options["stream"]:
        raise InputError("--available-now: only with --stream CHECKPOINT")
    if options["engine"] != "spark":
        raise InputError("--stream: only with --engine spark")
    for name in ("log", "table", "encoding", "processes"):
        if options[name]:
            raise InputError(f"--{name}: not with --stream")
    source, output, checkpoint = map(path_or_address, (source, output, options["stream"]))
    for name, given in (("INPUT", source), ("OUTPUT", output), ("CHECKPOINT", checkpoint)):
        if not given:
            raise InputError(f"{name} is empty; name a folder")
        if "://" in given:
            raise InputError(
                f"{public(given)}: {name} of a stream cannot be at an address; name a folder of this machine"
            )
    began, models, root = time.monotonic(), options["models"].resolve(), Path().resolve()
    stream = Stream(
        models=models,
        root=root,
        version=scorer(models, root).version,
        source=Path(source).resolve(),
        output=Path(output).resolve(),
        checkpoint=Path(checkpoint).resolve(),
        most_refused=options["most_refused"],
    )
    done = Counter(files=0, rows=0, refused=0)

    def count(**more: int) -> None:
        done.update(more)
        if more["files"]:
            say(f"  {_said(done)}")

    score_stream(stream, count, options["address"], goes_on=not options["available_now"])
    result = {
        **done,
        "output": output,
        "model_version": stream.version,
        "seconds": round(time.monotonic() - began, 3),
    }
    print(json.dumps(result, indent=2) if options["as_json"] else f"{_said(done)}: {output}")


def _said(done: Mapping[str, int]) -> str:
    files, rows, refused = done["files"], done["rows"], done["refused"]
    return f"{files:,} file{'s' * (files != 1)} with {rows:,} rows, {refused:,} of them refused"


def _parts(
    source: str, contract: "Contract", table: str | None, encoding: str | None, folder: Path
) -> "Sequence[Part]":
    """Return the files of an input, which are read in batches; or its table, of a large text as a file in a folder."""
    from assay.contract.spec import Boolean, Integer, Number, Time
    from assay.data.batches import Whole, can_be_streamed, parts
    from assay.init.files import Source, read_stored

    path = Path(source)
    if table is None and encoding is None and path.exists() and can_be_streamed(path, contract):
        return parts(path)
    numbers = Boolean | Integer | Number | Time
    as_text = tuple(name for name, column in contract.columns.items() if not isinstance(column, numbers))
    found, notes = read_stored(Source(source, next(iter(contract.features)), table, encoding, as_text), folder)
    for note in notes:
        say(note)
    return [Whole(public(source), found)]


def _shared(files: "Sequence[Part]", source: str, options: Mapping[str, Any]) -> "Sequence[Piece]":
    """Return the pieces of an input for an engine; raises InputError if it cannot predict them."""
    from assay.data.batches import pieces

    if options["log"]:
        raise InputError(f"--log: not with --engine {options['engine']}; predict with --engine local")
    # A worker has another current folder.
    paths = [one.resolve() for one in files if isinstance(one, Path)]
    if len(paths) < len(files):
        raise InputError(
            f"{public(source)}: --engine {options['engine']} predicts CSV files with commas and Parquet files"
        )
    return pieces(paths)


def _require_apart(files: "Sequence[Part]", source: str, output: Path, reasons: Path) -> None:
    """Raise InputError if the output, or the file of refused rows, would replace the input or become a part of it."""
    if reasons.is_dir():
        raise InputError(f"{reasons}: this is a folder; name another output")
    inputs = [one for one in (Path(source), *files) if isinstance(one, Path) and one.exists()]
    if any(one.exists() and file.samefile(one) for file in inputs for one in (output, reasons)):
        raise InputError(f"{output}: this would replace the input {source}; name another output")
    if Path(source).is_dir() and reasons.resolve().is_relative_to(Path(source).resolve()):
        raise InputError(f"{output}: it would be a part of the input {source}; name an output in another folder")


def _say_what_came(source: str, files: "Sequence[Part]") -> None:
    """Name a file that came into the folder of the input too late."""
    from assay.data.batches import parts

    if Path(source).is_dir() and any(isinstance(one, Path) for one in files):
        with suppress(InputError):
            if new := [one for one in parts(Path(source)) if one not in files]:
                say(f"not predicted, because it came into {source} meanwhile: {', '.join(map(str, new[:10]))}")


def _processes(files: "Sequence[Part]") -> int:
    is_small = sum(_bytes_of(file) for file in files) < SMALL_BYTES
    return 1 if is_small else os.cpu_count() or 1


def _bytes_of(file: "Part") -> int:
    return file.stat().st_size if isinstance(file, Path) else file.size()


def _beside(output: Path) -> Path:
    return output.with_name(f"{output.stem}.refused.csv")


class Limit:
    """The largest share of rows that may be refused."""

    def __init__(self, share: float, most_rows: Callable[[], int]) -> None:
        """Take the share, and a function that tells how many rows there are at most, which may take some time."""
        self.share = share
        self._most_rows = cache(most_rows)

    def is_exceeded(self, refused: int, rows: int) -> bool:
        """Say whether too many of the first rows are refused, even if all others are right."""
        return refused > self.share * rows and refused > self.share * max(rows, self._most_rows())


def _write(
    scored: "Iterator[Scored]", source: str, into: "Output", folder: Path, limit: Limit, rate: Rate
) -> tuple[int, int]:
    """Write the predictions, and the rows that were refused; return the numbers of rows, and of those refused.

    With too many refused rows only their file is written, and InputError raised.
    """
    predicted, reasons = folder / into.file.name, _beside(into.file)
    beside = folder / reasons.name
    rows, refused, is_whole = _write_parts(scored, predicted, beside, limit, rate)
    if not rows:
        raise InputError(f"{public(source)}: there are no rows")
    if refused:
        beside.replace(reasons)
    else:
        reasons.unlink(missing_ok=True)
    if refused > limit.share * rows:
        raise InputError(
            f"{refused:,} of {'' if is_whole else 'the first '}{rows:,} rows break the contract "
            f"({refused / rows:.1%}, limit {limit.share:.1%}{'' if is_whole else ' of all rows'}): "
            f"{reasons} has the reasons, {into.name} was not written; --most-refused changes the limit"
        )
    try:
        into.publish(predicted)
    except InputError as error:
        kept = into.file.with_name(f"{into.file.stem}.not-written{into.file.suffix}")
        predicted.replace(kept)
        raise InputError(f"{error}; the predictions are kept in {kept}") from None
    return rows, refused


def _write_parts(
    scored: "Iterator[Scored]", predicted: Path, beside: Path, limit: Limit, rate: Rate
) -> tuple[int, int, bool]:
    """Return the numbers of rows and of those refused, and whether these were all rows: not beyond the limit."""
    from assay.data.outputs import writer
    from assay.inference.batch import REFUSED

    rows = refused = 0
    write: Callable[[pa.Table], None] | None = None
    with ExitStack() as files:
        write_refused = files.enter_context(writer(beside, REFUSED))
        for found in scored:
            write = write or files.enter_context(writer(predicted, found.predictions.schema))
            write(found.predictions)
            write_refused(found.refused)
            rows += found.predictions.num_rows + found.refused_rows
            refused += found.refused_rows
            rate.at(rows)
            if limit.is_exceeded(refused, rows):
                return rows, refused, next(scored, None) is None
    return rows, refused, True


@contextmanager
def _work_folder(output: Path) -> Iterator[Path]:
    """Yield a folder beside an output that is written by nobody else; raises InputError while somebody does.

    What a process that was killed left there is removed.
    """
    # Outputs whose names differ in their ends share the file of refused rows.
    folder = output.with_name(f".{output.stem}.unfinished")
    with writes_to(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(exist_ok=True)
        with lock_alone(folder, f"{output}: another `assay score` is writing it; wait until it has ended"):
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)


@click.command()
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1), help="Workers, each one a process.")
@click.option(
    "--port",
    default=8786,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Where the scheduler listens; 0 is any free port.",
)
def cluster(workers: int, port: int) -> None:
    """Run a Dask cluster on this machine, for `assay score --engine dask` and the stages, until Ctrl-C."""
    from assay.data.cluster import dask_cluster

    with dask_cluster(workers, port) as address, interrupts() as interrupted:
        print(
            f"{workers} workers; Ctrl-C ends them: assay score INPUT OUTPUT --engine dask --address {address}",
            flush=True,
        )
        interrupted.wait()


COMMANDS = (score, cluster)
