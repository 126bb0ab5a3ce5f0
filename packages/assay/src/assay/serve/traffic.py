"""Champion and challengers in one service: who answers a request, and who answers it in the shadow.

One file says so, and it is read again when it changes. A challenger only ever gets what the champion could answer in
its place: one that fails, or is much slower, is left out.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field, model_validator

from assay.base.config import Frozen, read_config
from assay.base.errors import InputError
from assay.inference.answers import Answers
from assay.inference.package import Package, load_package
from assay.inference.rows import Columns, length
from assay.project.room import Room
from assay.serve.metrics import Metrics
from assay.serve.steps import Steps

logger = logging.getLogger("bentoml.assay")

TRAFFIC = Path("traffic.yaml")
# A challenger that fails so often in a row, or is so much slower than the champion, answers no more.
MOST_FAILURES = 5
MUCH_SLOWER = 5.0
# Weight of the latest request in the mean of what a call and a row take.
LATEST = 0.05
WARM_UP = 50
SHADOWS_WAITING = 100


class Challenger(Frozen):
    """A model beside the champion: its folder, and its share of the requests, or that it answers all unseen."""

    name: str = Field(min_length=1)
    models: Path
    share: float = Field(default=0.0, ge=0, le=1)
    shadow: bool = False

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if self.shadow == (self.share > 0):
            raise ValueError("a challenger has either a share above 0 or `shadow: true`")
        return self


class Traffic(Frozen):
    """All of traffic.yaml: the challengers, and the header whose value decides who answers its sender."""

    sticky: str = "x-client-id"
    challengers: tuple[Challenger, ...] = ()

    @model_validator(mode="after")
    def _leaves_the_champion_some(self) -> Self:
        if sum(challenger.share for challenger in self.challengers) > 1:
            raise ValueError("the shares of the challengers are more than 1")
        names = [challenger.name for challenger in self.challengers]
        if len(set(names)) < len(names):
            raise ValueError("two challengers have the same name")
        return self


class Contender:
    """A model that answers, with how it has been doing."""

    def __init__(self, name: str, package: Package) -> None:
        """Begin in good health."""
        self.name = name
        self.answers = Answers(package)
        self.healthy = True
        self._failures = 0
        self._requests = 0
        # What a call takes, and what a row of it: at first of a single row.
        self.seconds = np.full(2, package.row_seconds())

    def scoring(self, data: Columns) -> Callable[[], np.ndarray]:
        """Return what gives scores, and takes down how long that took; raises for a model that gives no numbers."""
        started = time.perf_counter()
        score, rows = self.answers.package.scoring(data), length(data)
        prepared = time.perf_counter() - started

        def timed() -> np.ndarray:
            started = time.perf_counter()
            found = score()
            if not np.isfinite(found).all():
                raise ArithmeticError("values so extreme that the model has no answer")
            self._failures = 0
            self._requests += 1
            took = prepared + time.perf_counter() - started
            self.seconds += max(LATEST, 1 / self._requests) * (np.array([took, took / rows]) - self.seconds)
            return found

        return timed

    def failed(self) -> None:
        """Leave this one out if it failed too often in a row."""
        self._failures += 1
        if self._failures >= MOST_FAILURES:
            self._leave_out("failed too often")

    def disable_if_too_slow(self, champion: "Contender") -> None:
        """Leave this one out if it is much slower, by call and by row: who is asked more often has more rows a call."""
        if self._requests >= WARM_UP and (self.seconds > MUCH_SLOWER * champion.seconds).all():
            self._leave_out("is much slower than the champion")

    def _leave_out(self, reason: str) -> None:
        if self.healthy:
            logger.error("challenger %s %s: it answers no more", self.name, reason)
        self.healthy = False


class Router:
    """Chooses who answers, as traffic.yaml says at the moment; looks at it every second once `watch` was called."""

    def __init__(self, champion: Package, root: Path, tolerance: float, metrics: Metrics) -> None:
        """Begin with the champion alone; `refresh` reads the file."""
        self.champion = Contender("champion", champion)
        self._root = root
        self._tolerance = tolerance
        self._metrics = metrics
        self._stamp: tuple[int, int] | None = None
        self._shadow = ThreadPoolExecutor(max_workers=1, thread_name_prefix="shadow")
        self._waiting = 0
        self._closed = threading.Event()
        self.sticky = b""
        self.shares: list[tuple[float, Contender]] = []
        self.shadows: list[Contender] = []

    def watch(self) -> None:
        """Go on looking at traffic.yaml, beside the requests, until `close`."""
        threading.Thread(target=self._watch, name="traffic", daemon=True).start()

    def _watch(self) -> None:
        while not self._closed.wait(1.0):
            self.refresh()

    def close(self) -> None:
        """Look no more, and let no shadow answer after this."""
        self._closed.set()
        self._shadow.shutdown(cancel_futures=True)

    def refresh(self) -> None:
        """Read traffic.yaml if it has changed; one that is wrong changes nothing, and is told of in the log."""
        path = self._root / TRAFFIC
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
        except FileNotFoundError:
            stamp = None
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            traffic = read_config(path, Traffic) if stamp else Traffic()
            found = [(entry, self._contender(entry)) for entry in traffic.challengers]
        # A library may say otherwise what is wrong with a model, and the file has to be looked at again.
        except Exception as error:
            logger.warning("%s; the traffic stays as it was", error)
            self._metrics.add("traffic_errors")
            return
        self.sticky = traffic.sticky.lower().encode()
        shares, total = [], 0.0
        for entry, contender in found:
            total += entry.share
            if entry.share:
                shares.append((total, contender))
        self.shares = shares
        self.shadows = [contender for entry, contender in found if entry.shadow]
        logger.info(
            "traffic: %s", ", ".join(f"{e.name} {'shadow' if e.shadow else e.share}" for e, _ in found) or "champion"
        )

    def _contender(self, entry: Challenger) -> Contender:
        models = self._root / entry.models
        if not models.is_dir():
            raise InputError(f"{TRAFFIC}: challenger {entry.name!r}: {entry.models} is not a folder")
        champion = self.champion.answers.package
        # By its contract, whatever stands in contract.yaml by now.
        contract = champion.about["contract_sha256"]
        made = Contender(entry.name, load_package(models, champion.reader, contract, self._tolerance, Room(self._root)))
        # Timed beside it, for the machine may have had more to do, or less, when the champion was.
        slower = made.seconds[1] / champion.row_seconds()
        if slower > MUCH_SLOWER:
            raise InputError(
                f"{TRAFFIC}: challenger {entry.name!r} takes {slower:.1f} times as long as the champion for a row, and "
                f"at most {MUCH_SLOWER:g} times are allowed"
            )
        return made

    def choose(self, key: bytes) -> Contender:
        """Return who answers a request: always the same for the same key, drawn where there is none."""
        drawn = int.from_bytes(blake2b(key, digest_size=8).digest()) / 2**64 if key else random.random()  # noqa: S311
        for until, contender in self.shares:
            if drawn < until:
                return contender if contender.healthy else self.champion
        return self.champion

    def scores(self, contender: Contender, data: Columns, *, alone: bool = True) -> Steps[tuple[Contender, np.ndarray]]:
        """Return who answered after all, and the scores; raises for rows of several requests that a challenger fails.

        Those are to be asked one by one, `alone`: then the champion answers what the challenger cannot.
        """
        champion = self.champion
        if contender is champion:
            # Without challengers nobody asks how long it takes.
            found = yield champion.scoring(data) if self.shares else champion.answers.package.scoring(data)
            return champion, found
        try:
            found = yield contender.scoring(data)
        # Whatever is wrong with a challenger, the champion answers.
        except Exception as error:
            if not alone:
                raise
            self._failed(contender, error)
            found = yield champion.scoring(data)
            return champion, found
        contender.disable_if_too_slow(champion)
        return contender, found

    def send_to_shadows(self, data: Columns, done: Any) -> None:
        """Let the shadows answer beside the request; `done` gets each one with its scores."""
        for contender in self.shadows:
            if contender.healthy and self._waiting < SHADOWS_WAITING:
                self._waiting += 1
                self._shadow.submit(self._answer, contender, data, done)

    def _answer(self, contender: Contender, data: Columns, done: Any) -> None:
        try:
            done(contender, contender.scoring(data)())
            contender.disable_if_too_slow(self.champion)
        except Exception as error:
            self._failed(contender, error)
        finally:
            self._waiting -= 1

    def _failed(self, contender: Contender, error: Exception) -> None:
        contender.failed()
        self._metrics.add("challenger_failures", contender.name)
        logger.warning("challenger %s failed: %s", contender.name, error)
