"""Running other programs, with their errors in one line, and being interrupted."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assay.base.errors import InputError


def run(*command: str, folder: Path | None = None, name: str | None = None, **environment: str) -> str:
    """Run a command in a folder and return its output.

    Raises InputError with the last line of its errors if it fails, after `name`: by default the first two words of the
    command, nothing if it is empty.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        # The last line has the error, except docker's hint to its help.
        lines = [
            line for line in done.stderr.splitlines() if line.strip() and not re.match(r"(Run|See) '.*--help'", line)
        ]
        last = lines[-1] if lines else f"exit status {done.returncode}"
        before = " ".join(command[:2]) if name is None else name
        raise InputError(f"{before}: " * bool(before) + last)
    return done.stdout


def run_python(*arguments: str, folder: Path | None = None, name: str, **environment: str) -> str:
    """Run this Python, as `run` runs a command."""
    return run(sys.executable, *arguments, folder=folder, name=name, **environment)


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Yield what is set by Ctrl-C or SIGTERM, which then do nothing else."""
    interrupted = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: interrupted.set()) for number in numbers]
    try:
        yield interrupted
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into an exit that closes what is open, as an error does. Ignored ones stay ignored."""

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    # `nohup` lets SIGHUP be ignored.
    heard = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
