"""Dask, an optional package: work on the workers of a cluster, and clusters of this machine."""

import logging
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from assay.base.errors import InputError, one_line
from assay.base.process import ended_by_signals
from assay.base.progress import say
from assay.data.workers import (
    FULL,
    LOOK,
    Code,
    OtherCodeError,
    ask,
    blocked,
    code_of,
    dask_setup,
    do,
    load_code,
    packed,
    restart,
    say_once,
    turn,
)
from assay.project.layout import SOURCE

Item = TypeVar("Item")
Made = TypeVar("Made")
# Where the address of a cluster is for the stages.
STAGES = "params.yaml: engine"
# Items that wait for each worker, so that none is idle.
AHEAD = 2
# Seconds to wait for a result before looking whether a worker is left, and before a line says what is waited for.
PATIENCE = 30
# The client of a process for an address.
CLIENTS: dict[tuple[str, int], Any] = {}


def each(
    work: Callable[[Item], Made], items: Iterable[Item], address: str | None, workers: int, place: str
) -> Iterator[Made]:
    """Yield what `work` returns for each item, in their order.

    The workers of the cluster at an address do it, or some here. Raises InputError, with the `place` where the user
    chose Dask, if the cluster is not there or ends early, and the InputError that `work` raises.
    """
    with _client(address, workers, place) as client, turn(client, code := code_of(SOURCE.resolve())):
        load_code(code, client, place)
        # As bytes, which Dask gives to each worker once, and not with each item.
        shared = client.submit(bytes, packed(work), pure=False)
        ahead = AHEAD * max(1, sum(client.nthreads().values()))
        waiting: deque[tuple[Item, Any]] = deque()

        def start(item: Item) -> Any:
            return client.submit(do, code, shared, packed((item,)), pure=False)

        def first() -> Made:
            item, future = waiting.popleft()
            try:
                return cast("Made", _result(future, client))
            except OtherCodeError:
                # A worker that came meanwhile.
                load_code(code, client, place)
                return cast("Made", _result(start(item), client))

        for item in items:
            waiting.append((item, start(item)))
            if len(waiting) >= ahead:
                yield first()
        while waiting:
            yield first()


def _result(future: Any, client: Any) -> Any:
    """Return the result of a future; without workers it would never be there."""
    import distributed

    while not future.done():
        with suppress(TimeoutError):
            distributed.wait(future, PATIENCE)
        if not future.done():
            _wait_for(1, client)
            if not client.nthreads():
                raise ConnectionError("no worker is left")
            if set(ask(client, blocked).values()) == {FULL}:
                raise ConnectionError("the workers have too little memory")
            say_once(f"  waiting for the cluster at {client.scheduler.address}, which may be busy with other work")
    return future.result()


def at_once(work: Callable[[int, Sequence[str]], Made], number: int, address: str) -> list[Made]:
    """Return the results of work that some workers of a Dask cluster do at the same time, in their order.

    `work` takes the number of its worker, from 0, and IP:PORT of each worker, with a port that was free. If it fails or
    is interrupted, the workers get a new interpreter, so that none goes on or waits for another one. It is tried once
    more if a worker was lost, or raised another error than InputError, for instance since its port was taken meanwhile.
    Raises InputError if the cluster is not there or has too few workers, if it fails again, and the InputError that
    `work` raises.
    """
    # Alone: the workers of two fits would wait for each other.
    with _client(address, 0, STAGES) as client, turn(client, code := code_of(SOURCE.resolve()), alone=True):

        def made() -> list[Made]:
            _wait_for(number, client)
            load_code(code, client, STAGES)
            return _together(work, number, client, code)

        try:
            return made()
        except InputError:
            raise
        except (Exception, CancelledError) as error:
            if client.status != "running":
                raise
            say(f"  {one_line(error)}; it is tried once more")
        return made()


def _together(work: Callable[[int, Sequence[str]], Made], number: int, client: Any, code: Code) -> list[Made]:
    workers = spread(client.nthreads())[:number]
    if len(workers) < number:
        raise InputError(
            f"params.yaml: train.workers: {number} are asked for, and the cluster at {client.scheduler.address} has "
            f"{len(workers)}"
        )
    hosts, shared = _free_ports(client, workers), packed(work)
    futures = [
        client.submit(do, code, shared, packed((place, hosts)), workers=[worker], pure=False)
        for place, worker in enumerate(workers)
    ]
    try:
        with ended_by_signals():
            return _results(futures, workers, client)
    except BaseException:
        if client.status == "running":
            client.cancel(futures, force=True)
            # One waits for the others in code that nothing interrupts.
            restart(workers, client)
        raise


def _results(futures: Sequence[Any], workers: Sequence[str], client: Any) -> list[Any]:
    """Return the results of futures, one for each worker; raises what the first of them raises, or if one is lost."""
    import distributed

    started = time.monotonic()
    while waiting := [one for one in futures if not one.done()]:
        with suppress(TimeoutError):
            distributed.wait(waiting, LOOK, return_when="FIRST_COMPLETED")
        for one in futures:
            if one.status in ("error", "cancelled"):
                one.result()
        if lost := sorted(set(workers) - client.nthreads().keys()):
            raise ConnectionError(f"the worker {lost[0]} was lost, perhaps for want of memory")
        if time.monotonic() - started > PATIENCE:
            say_once(f"  waiting for {len(workers)} workers of the cluster at {client.scheduler.address}")
    return [one.result() for one in futures]


def spread(workers: Iterable[str]) -> list[str]:
    """Return the addresses of workers in an order in which the first ones are on as many machines as possible."""
    ranked: list[tuple[int, str]] = []
    seen: Counter[str | None] = Counter()
    for worker in sorted(workers):
        host = urlsplit(worker).hostname
        ranked.append((seen[host], worker))
        seen[host] += 1
    return [worker for _, worker in sorted(ranked)]


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
def _client(address: str | None, workers: int, place: str) -> Iterator[Any]:
    """Yield a client of the cluster at an address, or of one with some workers; errors become InputError."""
    distributed = _distributed(place)
    import dask

    try:
        with (
            # A model may be large, and so may the places of rows.
            dask.config.set({"distributed.admin.large-graph-warning-threshold": "100GB"}),
            _connected(address) if address else _connected_here(workers, place) as client,
        ):
            try:
                yield client
            except (Exception, CancelledError):
                if client.status != "running":
                    raise ConnectionError("the connection to the scheduler was lost") from None
                raise
    except InputError:
        raise
    # A future raises whatever its worker did, for instance for want of a package there.
    except (Exception, CancelledError) as error:
        killed = isinstance(error, distributed.KilledWorker)
        why = "workers were lost several times, perhaps for want of memory" if killed else one_line(error)
        raise InputError(
            f"{place}: {address or 'the local cluster'}: {why}; nothing incomplete was written, run it again"
        ) from None


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Yield the client of this process for an address, which keeps a place there; an error closes it, or the end."""
    import distributed

    # A fork cannot use that of its parent, whose thread it does not have.
    key = address, os.getpid()
    client = CLIENTS.get(key)
    if client is None or client.status != "running":
        client = CLIENTS[key] = distributed.Client(address)
    try:
        yield client
    except BaseException:
        client.close()
        raise


@contextmanager
def _connected_here(workers: int, place: str) -> Iterator[Any]:
    import distributed

    with dask_cluster(workers, place=place) as there, distributed.Client(there) as client:
        yield client


@contextmanager
def dask_cluster(workers: int, port: int = 0, place: str = "assay cluster") -> Iterator[str]:
    """Start a scheduler of Dask and some workers of one thread here, and yield the address; with port 0 at a free one.

    Raises InputError if it cannot start.
    """
    distributed = _distributed(place)
    import dask

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
                preload=dask_setup.__module__,
            )
        except RuntimeError as error:
            first: BaseException = error
            while first.__cause__:
                first = first.__cause__
            raise InputError(f"tcp://127.0.0.1:{port}: no cluster can start here: {one_line(first)}") from None
        with cluster:
            yield cluster.scheduler_address


def _distributed(place: str) -> Any:
    try:
        import distributed
    except ImportError:
        raise InputError(
            f"{place}: it is not installed here; `pip install -r requirements/dask.txt` installs it"
        ) from None
    # Its lines are not for users, and Dask would restore the level before the last ones.
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return distributed


def _wait_for(workers: int, client: Any) -> None:
    """Wait some time for workers, since a lost one may be starting again."""
    with suppress(TimeoutError):
        client.wait_for_workers(workers, timeout=PATIENCE)
