"""Progress for people: a bar on a terminal, plain lines in a log; always on stderr."""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")


def say(message: str) -> None:
    """Print one line of progress."""
    print(message, file=sys.stderr, flush=True)


def track(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Yield `items`; show a progress bar on a terminal and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield from items
        return
    from tqdm import tqdm

    yield from tqdm(items, total=total, desc=f"  {what}", leave=False)


class Rate:
    """Shows how many things are done, their rate and the time left: a bar on a terminal, elsewhere a line at times."""

    def __init__(self, what: str, total: int | None, seconds: float = 10.0) -> None:
        """Start at nothing; `total` is None if it is not known, and lines come `seconds` apart."""
        self._what, self._total, self._seconds = what, total, seconds
        self._began = self._said = time.monotonic()
        self._bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, unit=f" {what}", unit_scale=True, leave=False)

    def at(self, done: int) -> None:
        """Show how many are done."""
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
            return
        now = time.monotonic()
        if now - self._said < self._seconds or not done:
            return
        self._said = now
        rate = done / (now - self._began)
        left = f", {(self._total - done) / rate:,.0f} s left" if self._total else ""
        say(f"  {done:,} {self._what}, {rate:,.0f} a second{left}")


@contextmanager
def stdout_for_results() -> Iterator[None]:
    """Redirect the stdout of this process and its children to stderr inside the block."""
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.close(stdout)
