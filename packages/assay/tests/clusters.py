"""Dask clusters as users start them, and programs of projects that use one."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from servers import until

# It maps twice, or fits. Its workers write their process to the file `began`, and multiply once there is the file `go`.
PROGRAM = """
import os, sys, time
from functools import partial
from pathlib import Path

import numpy as np

from assay.base.errors import InputError
from assay.data.cluster import at_once
from assay.data.engine import map_reduce
from assay.project.room import load_room


def work(room, folder, item, hosts=()):
    with (folder / "began").open("a") as began:
        began.write(f"{os.getpid()}\\n")
    while not (folder / "go").exists():
        time.sleep(0.01)
    return float(room.derived[0].compute({"x": np.array([item])})[0])


address, how = sys.argv[1:]
work = partial(work, load_room(), Path.cwd())
try:
    for _ in range(2 if how == "map" else 1):
        made = at_once(work, 2, address) if how == "fit" else map_reduce(work, [0, 1, 2, 3], list, address)
    print(*made)
except InputError as error:
    sys.exit(f"{error}")
"""


def features(folder: Path, factor: int) -> Path:
    """Write the code of a user, with a feature that multiplies by a factor, and return its project."""
    code = folder / "src/model/features.py"
    code.parent.mkdir(parents=True, exist_ok=True)
    (code.parent / "__init__.py").touch()
    code.write_text(
        "from assay.project.room import Derived\n"
        f"DERIVED = [Derived('more', lambda columns: {factor} * columns['x'], 'x')]\n"
    )
    return folder


@contextmanager
def program(folder: Path, address: str, how: str = "map") -> Iterator[subprocess.Popen[str]]:
    """Run the program of a project, which maps or fits; it is killed if it has not ended."""
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", PROGRAM, address, how], cwd=folder, **pipes) as started:
        try:
            yield started
        finally:
            started.kill()


def workers_of(folder: Path, least: int) -> list[str]:
    """Wait until this many workers have begun work for a project, and return their processes."""
    began = folder / "began"
    until(lambda: began.exists() and len(began.read_text().splitlines()) >= least, f"{least} lines of {began}")
    return began.read_text().splitlines()


@contextmanager
def commands(folder: Path, *options: str, memory: str = "auto") -> Iterator[tuple[str, int]]:
    """Run `dask scheduler` and two times `dask worker`; yield the address, and the process of the scheduler."""
    file = folder / "scheduler.json"
    where = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file), *options]
    worker = ["dask", "worker", *where, "--nthreads", "1", "--memory-limit", memory, "--local-directory", str(folder)]
    with ExitStack() as started, (folder / "log").open("w") as log:
        processes = []
        for command in (["dask", "scheduler", "--port", "0", *where], worker, worker):
            # In a session of its own, with the processes of the worker.
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
            started.enter_context(process)
            started.callback(os.killpg, process.pid, signal.SIGKILL)
            processes.append(process)
        until(lambda: (folder / "log").read_text().count("Registered to:") == 2, "two workers")
        yield json.loads(file.read_text())["address"], processes[0].pid
