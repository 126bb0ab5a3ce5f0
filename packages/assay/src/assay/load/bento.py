"""Bentos: built into a store of their own, and served on loopback for as long as a block lasts."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil

from assay.base.errors import InputError
from assay.project.fingerprint import SOURCE

HOST = "127.0.0.1"
READY_SECONDS = 120.0
STOP_SECONDS = 15.0
# Below those that Linux, macOS and Windows give to outgoing connections, unless told otherwise: a load test makes
# thousands, and one of them might have the port before the service does.
PORTS = range(10_000, 30_000)
# Settings of whoever runs this, that the service would take for its own.
OTHERS = ("PYTHONPATH", "ASSAY_API_KEY", "BENTOML_CONFIG", "BENTOML_CONFIG_OPTIONS", "BENTOML_PORT", "BENTOML_HOST")

# The file of a store that says which Assay serves its Bento.
ASSAY = "assay"
# Large, and packed by nobody.
NOT_COPIED = {"build", "data", "plots", "reports"}


@dataclass(frozen=True)
class Served:
    """A Bento that is being served, and what its start took."""

    port: int
    pid: int
    start_seconds: float


def free_port() -> int:
    """Return a port of loopback that nobody listens on. Raises InputError if there is none."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as found, suppress(OSError):
            found.bind((HOST, port))
            return port
    raise InputError(f"no port from {PORTS[0]} to {PORTS[-1]} is free on {HOST}: end what listens on them")


def build(project: Path, store: Path, assay: Path | None = None) -> Path:
    """Build the Bento of a project; return its folder. Raises InputError with what BentoML said last.

    It is built and served by the Assay in the folder `assay`, by default by this one.
    """
    store.mkdir(parents=True)
    (store / ASSAY).write_text(str(assay or SOURCE.parent), encoding="utf-8")
    # BentoML builds nothing that lies in a hidden folder, as the champion's files do.
    if any(part.startswith(".") for part in project.resolve().parts):
        project = _copied(project, store / "project")
    done = subprocess.run(
        [sys.executable, "-m", "bentoml", "build", "--output", "tag"],
        cwd=project,
        env=_environment(store),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    built = [path.parent for path in (store / "bentos").glob("*/*/bento.yaml")]
    if done.returncode or not built:
        raise InputError(f"the Bento cannot be built: {_last_line(done.stderr or done.stdout)}")
    return built[0]


@contextmanager
def served(bento: Path) -> Iterator[Served]:
    """Serve a built Bento in its store, from when it is ready until the block ends; nothing of it runs on then.

    Raises InputError, with what it said last, if it does not get ready.
    """
    port = free_port()
    store = bento.parents[2]
    log = store / "log.txt"
    began = time.monotonic()
    known: set[psutil.Process] = set()
    process = None
    try:
        with log.open("wb") as output, _uninterrupted():
            process = subprocess.Popen(
                [sys.executable, "-m", "bentoml", "serve", str(bento), "--host", HOST, "--port", str(port)],
                cwd=store,
                env=_environment(store),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for who started this; that one stops the service.
                start_new_session=True,
            )
        while not _is_ready(port):
            with suppress(psutil.NoSuchProcess):
                known |= set(psutil.Process(process.pid).children(recursive=True))
            if process.poll() is not None or time.monotonic() - began > READY_SECONDS:
                said = _last_line(log.read_text(encoding="utf-8", errors="replace"))
                raise InputError(f"the built Bento does not start: {said}")
            time.sleep(0.05)
        yield Served(port, process.pid, time.monotonic() - began)
    finally:
        if process:
            _stop(process, known)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C until the block ends: a process that is just being started would be nobody's to stop."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)


def size(folder: Path) -> int:
    """Return the bytes of all files in a folder, without what Python compiled."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")


def _copied(project: Path, to: Path) -> Path:
    def left_out(folder: str, names: list[str]) -> set[str]:
        at_the_top = {name for name in names if name.startswith(".")} | NOT_COPIED
        return {"__pycache__"} | (at_the_top if Path(folder) == project else set())

    return Path(shutil.copytree(project, to, ignore=left_out))


def _environment(store: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in OTHERS}
    return kept | {"PYTHONPATH": _assay(store), "BENTOML_HOME": str(store), "BENTOML_DO_NOT_TRACK": "True"}


def _assay(store: Path) -> str:
    """Return the folder that Python has to search first for the Assay of a store, empty if that is installed."""
    folder = (store / ASSAY).read_text(encoding="utf-8")
    return "" if Path(folder).name == "site-packages" else folder


def _is_ready(port: int) -> bool:
    connection = HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes], known: set[psutil.Process]) -> None:
    """End a service and all that it started; what does not end by itself is killed."""
    with suppress(psutil.NoSuchProcess):
        known |= set(psutil.Process(process.pid).children(recursive=True))
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    for one in known:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.kill()
    process.wait()
    psutil.wait_procs(list(known), timeout=STOP_SECONDS)


def _last_line(text: str) -> str:
    """Return what a program said last: of an error the error, and not what stands around it."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line.split(":")[0]]
    return (errors or lines or ["nothing"])[-1][:300]
