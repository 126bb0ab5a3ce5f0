"""The workers of a Dask cluster: whose turn it is, which code they have, and what they run."""

import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

import assay
from assay.base.errors import InputError, one_line
from assay.base.files import sha256_of_all
from assay.base.progress import say

# Seconds after which a turn is asked for again, and workers that work at the same time are looked at again.
LOOK = 2
# Seconds that a client keeps its place between two turns.
KEEPS = 30
# Seconds that the new interpreter of a worker may take.
RESTART = 120
# The libraries whose versions may change results.
LIBRARIES = ("numpy", "pyarrow", "scikit-learn", "lightgbm", "onnxruntime")
# The folder of a project's code, and what results depend on: a hash or a version for each name.
Code = tuple[Path, dict[str, str]]
# What this worker has loaded; its interpreter keeps it, whatever happens to the files.
LOADED: dict[str, str] = {}
# Why a worker begins nothing: Dask waits until its memory is free again, which may be never.
FULL = "its memory is full"
say_once = cache(say)


@contextmanager
def turn(client: Any, code: "Code", *, alone: bool = False) -> Iterator[None]:
    """Wait for the turn of a client: those with other code take turns, in the order in which they came.

    Those with the same code share a turn, unless one wants to be `alone`. A client keeps its place until it is closed
    or dies, and for some seconds between two turns: so the workers are not started again for each turn.
    """

    # Made here: so it goes there as a whole, and the scheduler may have another Assay. There it runs alone.
    def take(me: str, code: str, alone: bool, who: str, dask_scheduler: Any = None) -> str:
        places = dask_scheduler.extensions.setdefault("assay", {})
        for one, held in list(places.items()):
            if one not in dask_scheduler.clients or time.monotonic() > held["until"]:
                del places[one]
        mine = places.setdefault(me, {})
        mine.update(code=code, alone=alone, who=who, works=False, until=float("inf"))
        is_before = True
        for one, held in places.items():
            is_before = is_before and one != me
            is_resting = held["until"] < float("inf")
            is_other = held["code"] != code or ((alone or held["alone"]) and not is_resting)
            if one != me and is_other and (is_before or held["works"]):
                return str(held["who"])
        mine["works"] = True
        return ""

    def rest(me: str, keeps: float, dask_scheduler: Any = None) -> None:
        # The connection may have been lost for a moment.
        if mine := dask_scheduler.extensions.get("assay", {}).get(me):
            mine.update(works=False, until=time.monotonic() + keeps)

    who = f"process {os.getpid()} of {socket.gethostname()} in {Path.cwd()}"
    while other := client.run_on_scheduler(take, client.id, str(code), alone, who):
        say_once(f"  waiting for {other}, which uses the cluster at {client.scheduler.address}; Ctrl-C ends this")
        time.sleep(LOOK)
    yield
    client.run_on_scheduler(rest, client.id, KEEPS)


class OtherCodeError(Exception):
    """A worker has loaded other code than the client."""


# Once, since a process keeps what it has loaded.
@cache
def code_of(source: Path) -> Code:
    """Return what results depend on: Assay, the user's code in a folder, if there is any, and libraries."""
    found = {"Assay": _hash(Path(assay.__file__).parent)}
    if source.is_dir():
        found["user code"] = f"{source} {_hash(source)}"
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return source, found


def _hash(folder: Path) -> str:
    """Return a hash of the code in a folder."""
    return sha256_of_all(folder.rglob("*.py"), folder)[:12]


def load_code(code: Code, client: Any, place: str) -> None:
    """Let all workers load the code of this process, with a new interpreter where it is another.

    So do workers that still work for a client that is gone, or that have no memory left. Raises InputError if a worker
    has another installation.
    """
    others, waits = ask(client, _difference, code), ask(client, blocked)
    if unready := [worker for worker, other in others.items() if other or waits.get(worker)]:
        restart(unready, client)
        for worker, other in sorted(ask(client, _difference, code).items()):
            if other:
                raise InputError(
                    f"{place}: the worker {worker} has {other}; install there what this machine has, and start it again"
                )


def ask(client: Any, what: Callable[..., str], *given: object) -> dict[str, str]:
    """Return the answer of each worker; a worker that is lost meanwhile has none."""
    return cast("dict[str, str]", client.run(what, *given, on_error="ignore"))


def restart(workers: Sequence[str], client: Any) -> None:
    """Give workers a new interpreter, which Dask's nanny does."""
    try:
        client.restart_workers([worker for worker in workers if worker in client.nthreads()], timeout=RESTART)
    except Exception as error:
        say(f"  {', '.join(workers)}: could not be restarted, so restart them yourself: {one_line(error)}")


def packed(what: object) -> bytes:
    """Return a pickle of something, of functions of this program as well."""
    import cloudpickle

    return bytes(cloudpickle.dumps(what))


def dask_setup(worker: object) -> None:
    """Make a worker of `dask_cluster` deaf to Ctrl-C, which it would show as a traceback; Dask calls this there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Before anybody edits it.
    LOADED["Assay"] = _hash(Path(assay.__file__).parent)


def blocked(dask_worker: Any) -> str:
    """Say why this worker begins nothing, perhaps indefinitely."""
    executing = dask_worker.state.executing
    if any(task.state == "cancelled" for task in executing):
        return "it does what nobody waits for"
    return FULL if dask_worker.status.name == "paused" and not executing else ""


def _difference(code: Code) -> str:
    """Say how the code that this worker has loaded differs from that of the client; nothing if it does not."""
    source, wanted = code
    if wanted.keys() - LOADED.keys():
        LOADED.update(code_of(source)[1] | LOADED)
        # Pickles may name the user's code.
        sys.path.insert(0, str(source))
    for what, found in wanted.items():
        if LOADED.get(what) != found:
            return f"{what} {LOADED.get(what, 'none')} and not {found}"
    return ""


# Raised while Dask unpacks it, an error would end the worker.
def do(code: Code, work: bytes, given: bytes) -> Any:
    """Return what some work makes of what it is given."""
    if said := _difference(code):
        raise OtherCodeError(f"a worker has {said}")
    return _loaded(work)(*pickle.loads(given))  # noqa: S301


@lru_cache(maxsize=1)
def _loaded(work: bytes) -> Callable[..., Any]:
    return cast("Callable[..., Any]", pickle.loads(work))  # noqa: S301
