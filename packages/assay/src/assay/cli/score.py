"""Predictions for a file of any size."""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.base.errors import InputError
from assay.base.progress import Rate, say

if TYPE_CHECKING:
    import pyarrow as pa

    from assay.inference.batch import Scored

MOST_REFUSED = 0.05
# Below this size one process is done before others have started.
SMALL_BYTES = 10_000_000
KINDS = (".csv", ".parquet", ".arrow")


@click.command()
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
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
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def score(source: Path, output: Path, models: Path, processes: int | None, most_refused: float, as_json: bool) -> None:
    """Predict all rows of INPUT, a CSV or Parquet file or a folder of such files, and write OUTPUT.

    OUTPUT is a .csv, .parquet or .arrow file in the order of the input: the number of the row from 1, its ids, and its
    prediction. Rows that break the contract go to a file beside it, OUTPUT.refused.csv, with column and reason. Both
    appear once they are complete. It uses bounded memory.
    """
    from assay.data.batches import batches, count_rows, is_plain, parts, require_columns
    from assay.inference.batch import score_in_order, scorer

    if output.suffix.lower() not in KINDS:
        raise InputError(f"{output}: expected a .csv, .parquet or .arrow file")
    files, began = parts(source), time.monotonic()
    _require_apart(files, source, output)
    model = scorer(models, Path())
    if unknown := require_columns(files, model.contract):
        say(f"not used, because the contract has no such column: {', '.join(unknown[:10])}")
    scored = score_in_order(
        batches(files, model.names()),
        models,
        Path(),
        processes=processes or _processes(files),
        is_plain=is_plain(files, model.contract),
    )
    rows, refused = _write(scored, source, output, most_refused, Rate("rows", count_rows(files)))
    took = time.monotonic() - began
    result: dict[str, Any] = {
        "rows": rows,
        "refused": refused,
        "output": str(output),
        "refused_rows": str(_beside(output)) if refused else None,
        "model_version": model.version,
        "seconds": round(took, 3),
    }
    if as_json:
        print(json.dumps(result, indent=2))
        return
    print(f"{rows - refused:,} rows predicted in {took:.1f} s ({rows / took:,.0f} rows/s): {output}")
    if refused:
        print(f"{refused:,} row{'s' * (refused != 1)} refused: {_beside(output)}")


def _require_apart(files: Sequence[Path], source: Path, output: Path) -> None:
    """Raise InputError if the output, or the file of refused rows, would replace the input or become a part of it."""
    made = [output, _beside(output)]
    if any(one.exists() and file.samefile(one) for file in files for one in made):
        raise InputError(f"{output}: this would replace the input {source}; name another output")
    if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
        raise InputError(f"{output}: it would be a part of the input {source}; name an output in another folder")


def _processes(files: Sequence[Path]) -> int:
    is_small = sum(file.stat().st_size for file in files) < SMALL_BYTES
    return 1 if is_small else os.cpu_count() or 1


def _beside(output: Path) -> Path:
    return output.with_name(f"{output.stem}.refused.csv")


def _write(scored: "Iterator[Scored]", source: Path, output: Path, most_refused: float, rate: Rate) -> tuple[int, int]:
    """Write the predictions, and the rows that were refused; return the numbers of rows, and of those refused.

    With too many refused rows only their file is written, and InputError raised.
    """
    with _work_folder(output) as folder:
        predicted, beside = folder / output.name, folder / _beside(output).name
        rows, refused = _write_parts(scored, predicted, beside, rate)
        if not rows:
            raise InputError(f"{source}: there are no rows")
        if refused:
            beside.replace(_beside(output))
        else:
            _beside(output).unlink(missing_ok=True)
        if refused > most_refused * rows:
            raise InputError(
                f"{refused:,} of {rows:,} rows break the contract ({refused / rows:.1%}, limit {most_refused:.1%}): "
                f"{_beside(output)} has the reasons, {output} was not written; --most-refused changes the limit"
            )
        predicted.replace(output)
    return rows, refused


def _write_parts(scored: "Iterator[Scored]", predicted: Path, beside: Path, rate: Rate) -> tuple[int, int]:
    from assay.inference.batch import REFUSED

    rows = refused = 0
    write: Callable[[pa.Table], None] | None = None
    with ExitStack() as files:
        write_refused = files.enter_context(_writer(beside, REFUSED))
        for found in scored:
            write = write or files.enter_context(_writer(predicted, found.predictions.schema))
            write(found.predictions)
            write_refused(found.refused)
            rows += found.predictions.num_rows + found.refused_rows
            refused += found.refused_rows
            rate.at(rows)
    return rows, refused


@contextmanager
def _work_folder(output: Path) -> Iterator[Path]:
    """Yield a folder beside an output that is written by nobody else; raises InputError while somebody does.

    What a process that was killed left there is removed.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = output.with_name(f".{output.name}.unfinished")
    folder.mkdir(exist_ok=True)
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(opened)
        raise InputError(f"{output}: another `assay score` is writing it; wait until it has ended") from None
    try:
        yield folder
    except OSError as error:
        raise InputError(f"{output}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(opened)


@contextmanager
def _writer(path: Path, schema: "pa.Schema") -> "Iterator[Callable[[pa.Table], None]]":
    """Yield a function that writes a table to a file."""
    import pyarrow as pa
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    writer: Any
    match path.suffix.lower():
        case ".csv":
            writer = pacsv.CSVWriter(path, schema)
        case ".parquet":
            writer = pq.ParquetWriter(path, schema)
        case _:
            writer = pa.ipc.new_file(path, schema)
    with writer:
        yield writer.write_table


COMMANDS = (score,)
