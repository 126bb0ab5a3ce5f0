"""Commands of a project without the wait for Python to start and to import libraries.

A server imports the libraries once, never the project. For each command it forks a process that runs the command with
the code, the folder, the environment and the files of whoever asked: all is as in a process of its own, but for the
seed of hashes, which is 1. `python`, `assay` and `dvc` in the server's `bin` folder ask
the server, so that what these commands start in turn is warm too.
"""

import atexit
import fcntl
import gc
import importlib
import json
import os
import random
import runpy
import select
import shutil
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import traceback
import types
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

CLIENT = Path(__file__).with_name("warm_client.py")
SOCKET = "socket"
LOG = "log"
# None of these leaves a thread behind that a forked process would miss. ONNX Runtime would, and loads fast.
LIBRARIES = """
click fairlearn.metrics hypothesis jinja2 joblib numpy pandas pydantic.main pydantic.json_schema ruamel.yaml
pyarrow pyarrow.compute pyarrow.csv pyarrow.dataset pyarrow.pandas_compat pyarrow.parquet
scipy.stats shap skl2onnx skops.io sliceline.slicefinder
sklearn.calibration sklearn.compose sklearn.dummy sklearn.ensemble sklearn.impute sklearn.inspection
sklearn.linear_model sklearn.metrics sklearn.model_selection sklearn.pipeline sklearn.preprocessing
dvc.api dvc.cachemgr dvc.cli dvc.commands.repro dvc.data_cloud dvc.output dvc.repo.artifacts dvc.repo.datasets
dvc.repo.index dvc.repo.plots dvc.repo.reproduce dvc.repo.stage dvc.repo.status dvc.stage.run
dvc_data.hashfile.db.local dvc_render.vega
""".split()  # noqa: SIM905
# Threads are counted when a library is loaded, and do not survive a fork.
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
MOST_BYTES = 2**20
WARM = ("python", "assay", "dvc")


@contextmanager
def server(folder: Path) -> Iterator[Path]:
    """Yield the `bin` folder of the server that is kept in a folder; it is started if none is there.

    The server ends itself when the last who came here has left, or has died.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / "place"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lease = _lease(place) or _start(place)
    try:
        yield Path(place.read_text()) / "bin"
    finally:
        lease.close()


def _lease(place: Path) -> socket.socket | None:
    """Return a connection that keeps the server alive; None if there is no server."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(f"{place.read_text()}/{SOCKET}")
    except OSError:
        connection.close()
        return None
    return connection


def _start(place: Path) -> socket.socket:
    # The path of a socket has to be short, which those of pytest's folders are not.
    made = Path(tempfile.mkdtemp(prefix="warm"))
    commands = made / "bin"
    commands.mkdir()
    for name in WARM:
        command = commands / name
        command.write_text(f"#!{sys.executable} -IS\n{CLIENT.read_text()}")
        command.chmod(0o755)
    # Whoever looks for another command beside these finds it. A Python would be of no environment there.
    for other in Path(sys.executable).parent.iterdir():
        if other.name not in WARM and not other.name.startswith("python"):
            (commands / other.name).symlink_to(other)
    # The order of sets is one of the things that must not show in results: a run elsewhere has another seed.
    environment = {"PATH": os.environ["PATH"], "HOME": str(made), "LANG": "C.UTF-8", "PYTHONHASHSEED": "1"} | ONE_THREAD
    nothing = os.open(os.devnull, os.O_RDWR)
    said = os.open(made / LOG, os.O_WRONLY | os.O_CREAT)
    files = [(os.POSIX_SPAWN_DUP2, nothing, 0), (os.POSIX_SPAWN_DUP2, said, 1), (os.POSIX_SPAWN_DUP2, said, 2)]
    command = [sys.executable, "-sP", __file__, str(made)]
    pid = os.posix_spawn(sys.executable, command, environment, file_actions=files, setpgroup=0)
    os.close(nothing)
    os.close(said)
    place.write_text(str(made))
    while (lease := _lease(place)) is None:
        if os.waitpid(pid, os.WNOHANG)[0]:
            raise RuntimeError(f"the server did not start: {(made / LOG).read_text()}")
        time.sleep(0.05)
    return lease


def serve(folder: Path) -> None:
    """Import the libraries, then answer until nobody holds a lease any more."""
    for name in LIBRARIES:
        importlib.import_module(name)
    # What it is made of is compiled, or read from a cache of that, when it is first used.
    sys.modules["sliceline.slicefinder"].Slicefinder(verbose=False).fit([[1, 2], [2, 1]], [0.0, 1.0])
    gc.collect()
    gc.freeze()
    # Nobody waits for the processes that keep watch over a command.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # Renamed when it listens, so that nobody finds it earlier.
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "starting"))
        listener.listen(128)
        (folder / "starting").rename(folder / SOCKET)
        waiting = [listener]
        leased = False
        while not leased or len(waiting) > 1:
            for ready in select.select(waiting, [], [])[0]:
                if ready is listener:
                    waiting.append(listener.accept()[0])
                    leased = True
                    continue
                # The connection of a command says what to run; that of a lease says nothing until it ends.
                waiting.remove(ready)
                if os.fork() == 0:
                    _watch(ready, waiting)
                ready.close()
    shutil.rmtree(folder, ignore_errors=True)


def _watch(connection: socket.socket, others: list[socket.socket]) -> None:
    """Run the command that a connection asks for, send its exit status, and end it if the client goes away."""
    for other in others:
        other.close()
    message, files, *_ = socket.recv_fds(connection, MOST_BYTES, 3)
    if not message:
        os._exit(0)
    (length,) = struct.unpack("!I", message[:4])
    while len(message) < length + 4:
        message += connection.recv(MOST_BYTES)
    request = json.loads(message[4:])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ended, alive = os.pipe()
    child = os.fork()
    if child == 0:
        connection.close()
        os.close(ended)
        os.setsid()
        _run(request, files)
    os.close(alive)
    for file in files:
        os.close(file)
    if connection in select.select([ended, connection], [], [])[0]:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    with suppress(OSError):
        connection.sendall(struct.pack("!i", os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _run(request: dict[str, Any], files: list[int]) -> None:
    """Become the process of a command, and end as it does."""
    status = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        time.tzset()
        random.seed()
        sys.modules["numpy"].random.seed()
        importlib.invalidate_caches()
        sys.executable = str(Path(request["command"]).with_name("python"))
        _execute(request["command"], request["arguments"])
        status = 0
    except SystemExit as ended:
        status = _status(ended.code)
    except BaseException:
        traceback.print_exc()
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except BrokenPipeError:
        status = status or 120
    finally:
        os._exit(status)


def _execute(command: str, arguments: list[str]) -> None:
    sys.argv = [command, *arguments]
    code = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:0] = code
    match Path(command).name, arguments:
        case "assay", _:
            importlib.import_module("assay.cli.main").main()
        case "dvc", _:
            sys.exit(importlib.import_module("dvc.cli").main())
        case _, ["-m", name, *rest]:
            sys.argv = [name, *rest]
            sys.path.insert(0, str(Path.cwd()))
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        case _, ["-c", text, *rest]:
            sys.argv = ["-c", *rest]
            sys.path.insert(0, "")
            main = sys.modules["__main__"] = types.ModuleType("__main__")
            exec(compile(text, "<string>", "exec"), main.__dict__)  # noqa: S102
        case _, [script, *rest]:
            sys.argv = [script, *rest]
            sys.path.insert(0, str(Path(script).resolve().parent))
            runpy.run_path(script, run_name="__main__")


def _status(code: Any) -> int:
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
