"""Work on other machines: the only module that knows Dask and Spark. Both are optional packages."""

import logging
import pickle
import re
import signal
import socket
import sys
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, nullcontext, suppress
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, TypeVar, cast
from urllib.parse import urlsplit

import pyarrow as pa

import assay
from assay.base.errors import InputError, one_line
from assay.base.files import sha256_of_all
from assay.base.process import interrupts
from assay.base.progress import say
from assay.data.stored import Cluster
from assay.project.layout import SOURCE

Engine = Literal["dask", "spark"]
Item = TypeVar("Item")
Made = TypeVar("Made")
Result = TypeVar("Result")
# Items that wait for each worker, so that none is idle.
AHEAD = 2
# Files of a batch of a stream: many for each worker, and few enough that their predictions are soon there.
MOST_FILES = 100
# Seconds to wait for a result before looking whether a worker is left, and before a line says what is waited for.
PATIENCE = 30
# Seconds that the new interpreter of a worker may take.
RESTART = 120
say_once = cache(say)
# The libraries whose versions may change results.
LIBRARIES = ("numpy", "pyarrow", "scikit-learn", "lightgbm", "onnxruntime")
# What a worker has loaded; its interpreter keeps it, whatever happens to the files.
LOADED: dict[str, str] = {}
# Seconds after which workers that work at the same time are looked at again.
LOOK = 2


def cluster_at(address: str | None) -> Cluster | None:
    """Return what maps on the Dask cluster at an address; None without one."""
    return (lambda work, items: map_reduce(work, items, list, address)) if address else None


def map_reduce(
    work: Callable[[Item], Made],
    items: Sequence[Item],
    combine: Callable[[Iterator[Made]], Result],
    cluster: str | None,
) -> Result:
    """Return what `combine` makes of the results of `work` for each item, in their order.

    With the address of a Dask cluster its workers do the work, which goes to them as pickles; without one, and for a
    single item, this process does. A worker may do it again for an item, after another one was lost. Raises InputError
    if the cluster is not there or ends early, and the InputError that `work` raises.
    """
    if cluster is None or len(items) < 2:
        return combine(map(work, items))
    return combine(_dask(work, items, cluster, 0, "params.yaml: engine"))


def map_write(
    work: Callable[[Item], tuple[int, ...]], items: Sequence[Item], engine: Engine, address: str | None, workers: int
) -> Iterator[tuple[int, ...]]:
    """Yield what `work` returns for each item, in their order.

    `work` writes its results to a folder that all machines share, and returns numbers. An engine may run it for an item
    again, after a worker was lost. `address` is that of a cluster; without one there are `workers` processes here.
    Raises InputError if the engine is not there or ends early, and the InputError that `work` raises.
    """
    if engine == "spark":
        return _spark(work, items, address)
    return _dask(work, items, address, workers, "--engine dask")


def _dask(
    work: Callable[[Item], Made], items: Iterable[Item], address: str | None, workers: int, place: str
) -> Iterator[Made]:
    """Yield what `work` returns for each item; `place` is where a user chose Dask."""
    with _client(address, workers, place) as client:
        ahead = AHEAD * max(1, sum(client.nthreads().values()))
        code = _same_code(client, place)
        # As bytes, which Dask gives to each worker once, and not with each item.
        shared = client.submit(bytes, _packed(work), pure=False)
        waiting: deque[tuple[Item, Any]] = deque()

        def start(item: Item) -> Any:
            return client.submit(_done, code, shared, _packed((item,)), pure=False)

        def first() -> Made:
            item, future = waiting.popleft()
            try:
                return cast("Made", _result(future, client))
            except OtherCodeError:
                # A worker that came meanwhile.
                _same_code(client, place)
                return cast("Made", _result(start(item), client))

        for item in items:
            waiting.append((item, start(item)))
            if len(waiting) >= ahead:
                yield first()
        while waiting:
            yield first()


@contextmanager
def _client(address: str | None, workers: int, place: str) -> Iterator[Any]:
    """Yield a client of the cluster at an address, or of one with some workers; errors become InputError."""
    distributed = _distributed(place)
    import dask

    try:
        with (
            # A model may be large, and so may the places of rows.
            dask.config.set({"distributed.admin.large-graph-warning-threshold": "100GB"}),
            nullcontext(address) if address else dask_cluster(workers, place=place) as there,
            distributed.Client(there) as client,
        ):
            yield client
    except distributed.KilledWorker:
        raise _ended(place, "workers were lost several times, perhaps for want of memory") from None
    except InputError:
        raise
    # A future raises whatever its worker did, for instance for want of a package there.
    except (Exception, CancelledError) as error:
        raise _ended(place, f"{address or 'the local cluster'}: {one_line(error)}") from None


class OtherCodeError(Exception):
    """A worker has loaded other code than the client."""


# Once, since a process keeps what it has loaded.
@cache
def _code(source: Path) -> dict[str, str]:
    """Return what results depend on: Assay, the user's code in a folder, if there is any, and libraries."""
    found = {"Assay": _hash(Path(assay.__file__).parent)}
    if source.is_dir():
        found["user code"] = f"{source} {_hash(source)}"
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def _hash(folder: Path) -> str:
    """Return a hash of the code in a folder."""
    return sha256_of_all(folder.rglob("*.py"), folder)[:12]


def _difference(source: Path, wanted: dict[str, str]) -> str:
    """Say how the code that this worker has loaded differs from that of the client; nothing if it does not."""
    if wanted.keys() - LOADED.keys():
        for what, found in _code(source).items():
            LOADED.setdefault(what, found)
        # Pickles may name the user's code.
        sys.path.insert(0, str(source))
    return next(
        (
            f"{what} {LOADED.get(what, 'none')} and not {found}"
            for what, found in wanted.items()
            if LOADED.get(what) != found
        ),
        "",
    )


def _same_code(client: Any, place: str) -> tuple[Path, dict[str, str]]:
    """Let all workers load the code of this process, with a new interpreter where it is another, and return its key.

    Raises InputError if a worker has another installation.
    """
    source = SOURCE.resolve()
    code = source, _code(source)
    if other := _others(client, code):
        _restart([*other], client)
        if other := _others(client, code):
            worker, said = min(other.items())
            raise InputError(
                f"{place}: the worker {worker} has {said}; install there what this machine has, and start it again"
            )
    return code


def _others(client: Any, code: tuple[Path, dict[str, str]]) -> dict[str, str]:
    # A worker that is lost meanwhile says nothing.
    return {worker: said for worker, said in client.run(_difference, *code, on_error="ignore").items() if said}


def _packed(what: object) -> bytes:
    import cloudpickle

    return bytes(cloudpickle.dumps(what))


# Raised while Dask unpacks it, an error would end the worker.
def _done(code: tuple[Path, dict[str, str]], work: bytes, given: bytes) -> Any:
    """Return what some work makes of what it is given, on a worker."""
    if said := _difference(*code):
        raise OtherCodeError(f"a worker has {said}")
    return _loaded(work)(*pickle.loads(given))  # noqa: S301


@lru_cache(maxsize=1)
def _loaded(work: bytes) -> Callable[..., Any]:
    return cast("Callable[..., Any]", pickle.loads(work))  # noqa: S301


def _result(future: Any, client: Any) -> Any:
    """Return the result of a future; without workers it would never be there."""
    import distributed

    while not future.done():
        with suppress(TimeoutError):
            distributed.wait(future, PATIENCE)
        if not future.done():
            if not client.nthreads():
                raise ConnectionError("no worker is left")
            say_once(f"  waiting for the cluster at {client.scheduler.address}, which may be busy with other work")
    return future.result()


def at_once(work: Callable[[int, Sequence[str]], Made], number: int, cluster: str) -> list[Made]:
    """Return the results of work that some workers of a Dask cluster do at the same time, in their order.

    `work` takes the number of its worker, from 0, and IP:PORT of each worker, with a port that was free. If it fails or
    is interrupted, the workers get a new interpreter, so that none goes on or waits for another one. It is tried once
    more if a worker was lost, or raised another error than InputError, for instance since its port was taken meanwhile.
    Raises InputError if the cluster is not there or has too few workers, if it fails again, and the InputError that
    `work` raises.
    """
    place = "params.yaml: engine"
    with _client(cluster, 0, place) as client:
        # A lost worker may be starting again.
        with suppress(TimeoutError):
            client.wait_for_workers(number, timeout=PATIENCE)
        code = _same_code(client, place)
        try:
            return _together(work, number, client, code)
        except InputError:
            raise
        except (Exception, CancelledError) as error:
            say(f"  {one_line(error)}; it is tried once more")
        with suppress(TimeoutError):
            client.wait_for_workers(number, timeout=PATIENCE)
        return _together(work, number, client, _same_code(client, place))


def _together(
    work: Callable[[int, Sequence[str]], Made], number: int, client: Any, code: tuple[Path, dict[str, str]]
) -> list[Made]:
    workers = spread(client.nthreads())[:number]
    if len(workers) < number:
        raise InputError(
            f"params.yaml: train.workers: {number} are asked for, and the cluster at {client.scheduler.address} has "
            f"{len(workers)}"
        )
    hosts = _free_ports(client, workers)
    packed = _packed(work)
    made = [
        client.submit(_done, code, packed, _packed((place, hosts)), workers=[worker], pure=False, retries=0)
        for place, worker in enumerate(workers)
    ]
    try:
        return _results(made, workers, client)
    except BaseException:
        client.cancel(made, force=True)
        # One waits for the others in code that nothing interrupts.
        _restart(workers, client)
        raise


def spread(workers: Iterable[str]) -> list[str]:
    """Return the addresses of workers in an order in which the first ones are on as many machines as possible."""
    ranked: list[tuple[int, str]] = []
    seen: Counter[str | None] = Counter()
    for worker in sorted(workers):
        host = urlsplit(worker).hostname
        ranked.append((seen[host], worker))
        seen[host] += 1
    return [worker for _, worker in sorted(ranked)]


def _results(futures: Sequence[Any], workers: Sequence[str], client: Any) -> list[Any]:
    """Return the results of futures, one for each worker; raises what the first of them raises, or if one is lost."""
    import distributed

    started = time.monotonic()
    while waiting := [one for one in futures if not one.done()]:
        with suppress(TimeoutError):
            distributed.wait(waiting, LOOK, return_when="FIRST_COMPLETED")
        if lost := sorted(set(workers) - client.nthreads().keys()):
            raise ConnectionError(f"the worker {lost[0]} was lost")
        for one in futures:
            if one.status == "error":
                one.result()
        if time.monotonic() - started > PATIENCE:
            say_once(f"  waiting for {len(workers)} workers of the cluster at {client.scheduler.address}")
    return [one.result() for one in futures]


def _restart(workers: Sequence[str], client: Any) -> None:
    """Give workers a new interpreter, which Dask's nanny does."""
    try:
        client.restart_workers([worker for worker in workers if worker in client.nthreads()], timeout=RESTART)
    except Exception as error:
        say(f"  {', '.join(workers)}: could not be restarted, so restart them yourself: {one_line(error)}")


def _free_ports(client: Any, workers: Sequence[str]) -> list[str]:
    """Return IP:PORT of each worker, each another one; LightGBM knows no names of hosts and no IPv6."""
    found: list[str] = []
    while len(set(found)) < len(workers):
        ports = client.run(_free_port, workers=workers)
        try:
            found = [f"{socket.gethostbyname(str(urlsplit(one).hostname))}:{ports[one]}" for one in workers]
        except OSError as error:
            raise InputError(
                f"params.yaml: train.workers: {min(workers)}: no IPv4 address: {one_line(error)}"
            ) from None
    return found


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("", 0))
        return int(opened.getsockname()[1])


@contextmanager
def dask_cluster(workers: int, port: int = 0, place: str = "assay cluster") -> Iterator[str]:
    """Start a scheduler of Dask and some workers of one thread here, and yield the address; with port 0 at a free one.

    Raises InputError if it cannot start.
    """
    distributed = _distributed(place)
    import dask

    # Dask would restore the level before the last messages.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with (
        TemporaryDirectory() as folder,
        # A worker that is started again for a second time would otherwise be given up with its first start.
        dask.config.set({"temporary-directory": folder, "distributed.deploy.lost-worker-timeout": "1 day"}),
    ):
        try:
            cluster = distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                host="127.0.0.1",
                scheduler_port=port,
                # Otherwise at port 8787 of all addresses.
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
                preload=__name__,
            )
        except RuntimeError as error:
            first: BaseException = error
            while first.__cause__:
                first = first.__cause__
            raise InputError(f"tcp://127.0.0.1:{port}: no cluster can start here: {one_line(first)}") from None
        with cluster:
            yield cluster.scheduler_address


def dask_setup(worker: object) -> None:
    """Make a worker of `dask_cluster` deaf to Ctrl-C, which it would show as a traceback; Dask calls this there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Before anybody edits it.
    LOADED["Assay"] = _hash(Path(assay.__file__).parent)


def _distributed(place: str) -> Any:
    try:
        import distributed
    except ImportError:
        raise _missing(place, "-r requirements/dask.txt") from None
    return distributed


def _spark(
    work: Callable[[Item], tuple[int, ...]], items: Sequence[Item], address: str | None
) -> Iterator[tuple[int, ...]]:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch["id"].to_pylist():
                try:
                    found, said = list(work(items[number])), None
                except InputError as error:
                    # Spark would show this as a traceback.
                    found, said = [], str(error)
                yield pa.RecordBatch.from_pylist([{"id": number, "found": found, "said": said}], SPARK)

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


SPARK = pa.schema([("id", pa.int64()), ("found", pa.list_(pa.int64())), ("said", pa.string())])
# The rows of Spark's source of files; their content is never asked for.
FILES = "path string, modificationTime timestamp, length long, content binary"


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

    def each(batch: Any, number: int) -> None:
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
            stream = files.select("path").writeStream.foreachBatch(each)
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
        raise _missing("--engine spark", "pyspark") from None
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
        raise _ended("--engine spark", one_line(error)) from None


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
    raise _ended("--engine spark", f"{address}: {said}")


def _missing(place: str, package: str) -> InputError:
    return InputError(f"{place}: it is not installed here; `pip install {package}` installs it")


def _ended(place: str, why: str) -> InputError:
    return InputError(f"{place}: {why}; nothing incomplete was written, run it again")
