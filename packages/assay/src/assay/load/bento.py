"""Bentos: built in their own store, and served on loopback for the duration of a block."""

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
# Below the default ports of outgoing connections on Linux, macOS and Windows: a load test opens thousands, and one of
# them might take the port before the service does.
PORTS = range(10_000, 30_000)
# Settings of the caller's environment that the service must not inherit.
NOT_INHERITED = (
    "PYTHONPATH",
    "ASSAY_API_KEY",
    "ASSAY_LOG",
    "BENTOML_CONFIG",
    "BENTOML_CONFIG_OPTIONS",
    "BENTOML_PORT",
    "BENTOML_HOST",
)

# The file of a store with the path of the Assay that serves its Bento.
ASSAY = "assay"
# Large folders that are not packed.
NOT_COPIED = {"build", "data", "plots", "reports"}


@dataclass(frozen=True)
class RunningService:
    """A running service: its port, its process, and the time of its start in seconds."""

    port: int
    pid: int
    start_seconds: float


def free_port() -> int:
    """Return a free loopback port. Raises InputError if there is none."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as found, suppress(OSError):
            found.bind((HOST, port))
            return port
    raise InputError(f"no port from {PORTS[0]} to {PORTS[-1]} is free on {HOST}; stop a program that listens on one")


def check_processes() -> None:
    """Raise InputError if the processes of a service cannot be measured, because /proc is another PID namespace's."""
    if sys.platform != "linux":
        return
    try:
        shown = str(Path("/proc/self").readlink())
    except OSError as error:
        raise InputError(f"/proc cannot be read, but the load test measures processes: {error}") from None
    if shown != str(os.getpid()):
        raise InputError(
            "/proc shows the processes of another PID namespace, so the load test cannot measure the service; "
            "run `mount -t proc proc /proc` in this one, or start it with `unshare --mount-proc`"
        )


def build(project: Path, store: Path, assay: Path | None = None) -> Path:
    """Build the Bento of a project and return its folder. Raises InputError with BentoML's error.

    The Assay in the folder `assay` builds and serves it, by default the running one.
    """
    store.mkdir(parents=True)
    (store / ASSAY).write_text(str(assay or SOURCE.parent), encoding="utf-8")
    # BentoML does not build in hidden folders, where the champion's files are.
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
def served(bento: Path) -> Iterator[RunningService]:
    """Serve a built Bento for the duration of the block, then stop all of its processes.

    Raises InputError with the service's error if it does not become ready.
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
                # Ctrl-C goes to the parent process only, which stops the service.
                start_new_session=True,
            )
        while not _is_ready(port):
            with suppress(psutil.NoSuchProcess):
                known |= set(psutil.Process(process.pid).children(recursive=True))
            if process.poll() is not None or time.monotonic() - began > READY_SECONDS:
                said = _last_line(log.read_text(encoding="utf-8", errors="replace"))
                raise InputError(f"the built Bento does not start: {said}")
            time.sleep(0.05)
        yield RunningService(port, process.pid, time.monotonic() - began)
    finally:
        if process:
            _stop(process, known)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Delay Ctrl-C until the block ends: an interrupt during start-up would orphan the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if received:
        signal.raise_signal(signal.SIGINT)


def size(folder: Path) -> int:
    """Return the size of all files in a folder in bytes, without compiled Python files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")


def _copied(project: Path, to: Path) -> Path:
    def left_out(folder: str, names: list[str]) -> set[str]:
        at_the_top = {name for name in names if name.startswith(".")} | NOT_COPIED
        return {"__pycache__"} | (at_the_top if Path(folder) == project else set())

    return Path(shutil.copytree(project, to, ignore=left_out))


def _environment(store: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    return kept | {"PYTHONPATH": _assay(store), "BENTOML_HOME": str(store), "BENTOML_DO_NOT_TRACK": "True"}


def _assay(store: Path) -> str:
    """Return the PYTHONPATH for the Assay of a store, "" if it is the installed one."""
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
    """Stop a service and all its child processes; kill those that do not stop."""
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
    """Return what Assay said last in a program's output, else its last error line, else its last line."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line.split(":")[0]]
    ours = [line.partition("assay: ")[2] for line in lines if "assay: " in line]
    return (ours or errors or lines or ["nothing"])[-1][:300]
