"""Work on other machines: the only module that knows Dask and Spark. Both are optional packages."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any, Literal, TypeVar

import pyarrow as pa

from assay.base.errors import InputError, one_line

Engine = Literal["dask", "spark"]
Item = TypeVar("Item")
# Items that wait for each worker, so that none is idle.
AHEAD = 2


def map_write(
    work: Callable[[Item], tuple[int, ...]], items: Sequence[Item], engine: Engine, address: str | None, workers: int
) -> Iterator[tuple[int, ...]]:
    """Yield what `work` returns for each item, in their order.

    `work` writes its results to a folder that all machines share, and returns numbers. An engine may run it for an item
    again, after a worker was lost. `address` is that of a cluster; without one there are `workers` processes here.
    Raises InputError if the engine is not there or ends early, and the InputError that `work` raises.
    """
    return (_dask if engine == "dask" else _spark)(work, items, address, workers)


def _dask(
    work: Callable[[Item], tuple[int, ...]], items: Iterable[Item], address: str | None, workers: int
) -> Iterator[tuple[int, ...]]:
    try:
        import distributed
    except ImportError:
        raise _missing("dask", "dask[distributed]") from None
    here = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": logging.CRITICAL}
    try:
        with distributed.Client(address, **({} if address else here)) as client:
            ahead = AHEAD * max(1, sum(client.nthreads().values()))
            waiting: deque[Any] = deque()
            for item in items:
                waiting.append(client.submit(work, item, pure=False))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    except distributed.KilledWorker:
        raise _ended("dask", "workers were lost several times, perhaps for want of memory") from None
    except InputError:
        raise
    # A future raises whatever its worker did, for instance for want of a package there.
    except (Exception, CancelledError) as error:
        raise _ended("dask", f"{address or 'the local cluster'}: {_line(error)}") from None


def _spark(
    work: Callable[[Item], tuple[int, ...]], items: Sequence[Item], address: str | None, workers: int
) -> Iterator[tuple[int, ...]]:
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        raise _missing("spark", "pyspark") from None

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch["id"].to_pylist():
                try:
                    found, said = list(work(items[number])), None
                except InputError as error:
                    # Spark would show this as a traceback.
                    found, said = [], str(error)
                yield pa.RecordBatch.from_pylist([{"id": number, "found": found, "said": said}], SPARK)

    builder = SparkSession.builder.appName("assay")
    try:
        session = (builder.master(address) if address else builder).getOrCreate()
        session.sparkContext.setLogLevel("ERROR")
        rows = (
            session.range(0, len(items), 1, len(items))
            .mapInArrow(run, "id long, found array<long>, said string")
            .collect()
        )
    except (PySparkException, OSError, RuntimeError) as error:
        raise _ended("spark", _line(error)) from None
    for row in sorted(rows, key=lambda row: row["id"]):
        if row["said"] is not None:
            raise InputError(row["said"])
        yield tuple(row["found"])


SPARK = pa.schema([("id", pa.int64()), ("found", pa.list_(pa.int64())), ("said", pa.string())])


def _missing(engine: Engine, package: str) -> InputError:
    return InputError(f"--engine {engine}: it is not installed here; `pip install '{package}'` installs it")


def _ended(engine: Engine, why: str) -> InputError:
    return InputError(f"--engine {engine}: {why}; nothing was written, run it again")


def _line(error: Exception) -> str:
    return one_line(error) or type(error).__name__
