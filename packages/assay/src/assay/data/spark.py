"""Spark, an optional package: work on its workers, and batches of the files that arrive in a folder."""

import re
import socket
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from assay.base.errors import InputError, one_line
from assay.base.process import interrupts

Item = TypeVar("Item")
# What a worker returns for an item.
DONE = pa.schema([("id", pa.int64()), ("found", pa.list_(pa.int64())), ("said", pa.string())])
# The rows of Spark's source of files; their content is never asked for.
FILES = "path string, modificationTime timestamp, length long, content binary"
# Files of a batch of a stream: many for each worker, and few enough that their predictions are soon there.
MOST_FILES = 100


def each(
    work: Callable[[Item], tuple[int, ...]], items: Sequence[Item], address: str | None
) -> Iterator[tuple[int, ...]]:
    """Yield what `work` returns for each item, in their order, as `assay.data.engine.map_write` says."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch["id"].to_pylist():
                try:
                    found, said = list(work(items[number])), None
                except InputError as error:
                    # Spark would show this as a traceback.
                    found, said = [], str(error)
                yield pa.RecordBatch.from_pylist([{"id": number, "found": found, "said": said}], DONE)

    with _session(address) as session:
        rows = (
            session.range(0, len(items), 1, len(items))
            .mapInArrow(run, "id long, found array<long>, said string")
            .collect()
        )
    for row in sorted(rows, key=lambda row: row["id"]):
        if row["said"] is not None:
            raise InputError(row["said"])
        yield tuple(row["found"])


def each_arrival(
    folder: Path,
    names: str,
    checkpoint: Path,
    take: Callable[[int, list[Path]], None],
    address: str | None,
    *,
    goes_on: bool,
) -> None:
    """Call `take` with the number of each batch of files that arrive in a folder, and with the files; uses Spark.

    `names` is a glob pattern. A file is in one batch, and the batches have the numbers 0, 1 and so on. The folder
    `checkpoint` holds what was taken. A batch in which the process ended is there again with its number, and without
    files that are gone meanwhile. Empty files are in no batch. It ends once all files are taken or, if it `goes_on`,
    with Ctrl-C or SIGTERM. Raises InputError if Spark is missing or ends early, or if `take` raises it.
    """
    raised: list[InputError] = []

    def take_batch(batch: Any, number: int) -> None:
        try:
            take(number, sorted(Path(row["path"].removeprefix("file:")) for row in batch.collect()))
        except InputError as error:
            raised.append(error)
            # Spark would show it as a traceback, in its log too.
            batch.sparkSession.sparkContext.setLogLevel("OFF")
            raise

    try:
        with _session(address) as session:
            files = (
                session.readStream.format("binaryFile")
                .schema(FILES)
                .option("recursiveFileLookup", "true")
                .option("pathGlobFilter", names)
                .option("maxFilesPerTrigger", MOST_FILES)
                # By default files that were written a week before the newest one are left out.
                .option("maxFileAge", "36500d")
                # Without file:// it would be a folder of HDFS where that is Spark's file system.
                .load("file://" + re.sub(r"([\\*?\[\]{}])", r"\\\1", str(folder)))
            )
            stream = files.select("path").writeStream.foreachBatch(take_batch)
            stream = stream.option("checkpointLocation", f"file://{checkpoint}")
            if not goes_on:
                stream.trigger(availableNow=True).start().awaitTermination()
                return
            # Interrupted while it waits for Spark, it would log tracebacks.
            with interrupts() as interrupted:
                query = stream.trigger(processingTime="1 second").start()
                while not interrupted.is_set() and not query.awaitTermination(1):
                    pass
                query.stop()
    except InputError as error:
        raise (raised or [error])[0] from None


@contextmanager
def _session(address: str | None) -> Iterator[Any]:
    """Yield the session of Spark; raises InputError if there is none, and instead of errors of Spark in the block."""
    try:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        raise InputError("--engine spark: it is not installed here; `pip install pyspark` installs it") from None
    if address and not address.startswith(("spark://", "k8s://", "local", "yarn")):
        raise InputError(f"--address {address}: expected spark://HOST:PORT, k8s://HOST:PORT, yarn or local[N]")
    # Nothing here uses pandas.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    shows = str(sys.stderr.isatty()).lower()
    builder = SparkSession.builder.appName("assay").config("spark.ui.showConsoleProgress", shows)
    try:
        if address and address.startswith("spark://") and not SparkSession.getActiveSession():
            _require_answer(address)
        session = (builder.master(address) if address else builder).getOrCreate()
        session.sparkContext.setLogLevel("ERROR")
        yield session
    except (PySparkException, Py4JError, OSError, RuntimeError) as error:
        raise _ended(one_line(error)) from None


def _require_answer(address: str) -> None:
    """Raise InputError if nobody listens at spark://HOST:PORT, or at any of several: Spark would try for a minute."""
    said = ""
    for master in address.removeprefix("spark://").split(","):
        host, _, port = master.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except (OSError, ValueError, OverflowError) as error:
            said = one_line(error)
        else:
            return
    raise _ended(f"{address}: {said}")


def _ended(why: str) -> InputError:
    return InputError(f"--engine spark: {why}; nothing incomplete was written, run it again")
