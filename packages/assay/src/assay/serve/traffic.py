"""Champion and challengers in one service: which model answers a request, and which ones answer it as shadows.

traffic.yaml decides, and is read again when it changes. A challenger only gets requests that the champion can answer in
its place: a challenger that fails, or is much slower, is disabled.
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
from assay.inference.package import Package, load_package
from assay.inference.predictor import Predictor
from assay.inference.rows import Columns, length
from assay.predictions.entry import CHAMPION, CHECK, SHADOW
from assay.serve.metrics import Metrics
from assay.serve.steps import Steps

logger = logging.getLogger("bentoml.assay")

TRAFFIC = Path("traffic.yaml")
# A challenger is disabled after this many failures in a row, or if it is this many times slower than the champion.
MOST_FAILURES = 5
MUCH_SLOWER = 5.0
# Weight of the latest request in the mean seconds of a call and of a row.
LATEST = 0.05
WARM_UP = 50
SHADOWS_WAITING = 100


class Challenger(Frozen):
    """A model besides the champion: its folder and its share of the requests; a shadow gets all, unseen by clients."""

    name: str = Field(min_length=1)
    models: Path
    share: float = Field(default=0.0, ge=0, le=1)
    shadow: bool = False

    @model_validator(mode="after")
    def _has_a_share_or_is_a_shadow(self) -> Self:
        if self.shadow == (self.share > 0):
            raise ValueError("a challenger needs either a share above 0 or `shadow: true`")
        return self


class Traffic(Frozen):
    """All of traffic.yaml: the challengers, and the header whose value always leads to the same model."""

    sticky: str = "x-client-id"
    challengers: tuple[Challenger, ...] = ()

    @model_validator(mode="after")
    def _leaves_the_champion_some(self) -> Self:
        if sum(challenger.share for challenger in self.challengers) > 1:
            raise ValueError("the shares of the challengers add up to more than 1")
        names = [challenger.name for challenger in self.challengers]
        if len(set(names)) < len(names):
            raise ValueError("two challengers have the same name")
        if taken := sorted({CHAMPION, SHADOW, CHECK} & set(names)):
            raise ValueError(f"a challenger cannot have the name {taken[0]!r}, which the log uses")
        return self


class Contender:
    """A model that answers requests, with its health and its latency."""

    def __init__(self, name: str, package: Package) -> None:
        """Create a healthy contender, with the latency of a first request."""
        self.name = name
        self.predictor = Predictor(package)
        self.healthy = True
        self._failures = 0
        self._requests = 0
        # Mean seconds of a call and of a row in it; at first those of a single row.
        self.seconds = np.full(2, package.row_seconds())

    def scoring(self, data: Columns) -> Callable[[], np.ndarray]:
        """Return a function that scores rows and records the seconds; it raises if a score is not finite.

        Seconds of the processor: by the clock, any model would be slow at times when the processor is busy with others.
        """
        started = time.thread_time()
        score, rows = self.predictor.package.scoring(data), length(data)
        prepared = time.thread_time() - started

        def timed() -> np.ndarray:
            started = time.thread_time()
            found = score()
            if not np.isfinite(found).all():
                raise ArithmeticError("the values are too extreme: the model gives no finite score")
            self._failures = 0
            self._requests += 1
            took = prepared + time.thread_time() - started
            self.seconds += max(LATEST, 1 / self._requests) * (np.array([took, took / rows]) - self.seconds)
            return found

        return timed

    def failed(self) -> None:
        """Count a failure; disable this model after too many in a row."""
        self._failures += 1
        if self._failures >= MOST_FAILURES:
            self._disable("it failed too often")

    def disable_if_too_slow(self, champion: "Contender") -> None:
        """Disable this model if it is much slower by call and by row: a busier model has more rows per call."""
        if self._requests >= WARM_UP and (self.seconds > MUCH_SLOWER * champion.seconds).all():
            self._disable("it is much slower than the champion")

    def _disable(self, reason: str) -> None:
        if self.healthy:
            logger.error("challenger %s disabled: %s", self.name, reason)
        self.healthy = False


class Router:
    """Chooses the model for each request by traffic.yaml, which it checks every second after `watch` was called."""

    def __init__(self, champion: Package, root: Path, tolerance: float, metrics: Metrics) -> None:
        """Start with the champion only; `refresh` reads the file."""
        self.champion = Contender(CHAMPION, champion)
        self._root = root
        self._tolerance = tolerance
        self._metrics = metrics
        self._stamp: tuple[int, int] | None = None
        self._shadow = ThreadPoolExecutor(max_workers=1, thread_name_prefix="shadow")
        self._waiting = 0
        self._closed = threading.Event()
        self.sticky = Traffic().sticky.encode()
        self.shares: list[tuple[float, Contender]] = []
        self.shadows: list[Contender] = []
        # Prometheus sees an increase only of what has been 0.
        metrics.add("dropped", champion.version, number=0)

    def watch(self) -> None:
        """Check traffic.yaml every second, in a thread, until `close`."""
        threading.Thread(target=self._watch, name="traffic", daemon=True).start()

    def _watch(self) -> None:
        while not self._closed.wait(1.0):
            self.refresh()

    def close(self) -> None:
        """Stop checking traffic.yaml, and stop the shadows."""
        self._closed.set()
        self._shadow.shutdown(cancel_futures=True)

    def refresh(self) -> None:
        """Read traffic.yaml if it has changed; an invalid file changes nothing and is logged."""
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
        # A library may raise any error for a broken model, and this thread has to go on.
        except Exception as error:
            logger.warning("%s; the traffic is unchanged", error)
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
        for entry, contender in found:
            self._metrics.add("dropped", contender.predictor.version, number=0)
            # Soon a challenger that fails is asked no more.
            self._metrics.add("challenger_failures", entry.name, number=0)
        logger.info(
            "traffic: %s", ", ".join(f"{e.name} {'shadow' if e.shadow else e.share}" for e, _ in found) or "champion"
        )

    def _contender(self, entry: Challenger) -> Contender:
        models = self._root / entry.models
        if not models.is_dir():
            raise InputError(f"{TRAFFIC}: challenger {entry.name!r}: {entry.models} is not a folder")
        champion = self.champion.predictor.package
        # The contract of the champion: contract.yaml may have changed since.
        contract = champion.about["contract_sha256"]
        # With the code that is loaded: the service may have a copy of it.
        package = load_package(models, champion.reader, contract, self._tolerance, champion.room)
        if entry.shadow and package.version == champion.version:
            # The log would have each of its rows twice.
            raise InputError(f"{TRAFFIC}: challenger {entry.name!r} is the champion itself; it cannot be a shadow too")
        made = Contender(entry.name, package)
        # The champion is timed again: the machine may have been more or less busy when it was loaded.
        slower = made.seconds[1] / champion.row_seconds()
        if slower > MUCH_SLOWER:
            raise InputError(
                f"{TRAFFIC}: challenger {entry.name!r} takes {slower:.1f} times as long per row as the "
                f"champion; at most {MUCH_SLOWER:g} times is allowed"
            )
        return made

    def choose(self, key: bytes) -> Contender:
        """Return the model for a request: always the same for the same key, random without a key."""
        drawn = int.from_bytes(blake2b(key, digest_size=8).digest()) / 2**64 if key else random.random()  # noqa: S311
        for until, contender in self.shares:
            if drawn < until:
                return contender if contender.healthy else self.champion
        return self.champion

    def scores(self, contender: Contender, data: Columns, *, alone: bool = True) -> Steps[tuple[Contender, np.ndarray]]:
        """Return the model that answered, and its scores; raises if a challenger fails on rows of several requests.

        Repeat those one request at a time, with `alone`: then the champion answers where the challenger fails.
        """
        champion = self.champion
        if contender is champion:
            # Its time matters only if there are challengers to compare.
            is_timed = self.shares or self.shadows
            found = yield champion.scoring(data) if is_timed else champion.predictor.package.scoring(data)
            return champion, found
        try:
            found = yield contender.scoring(data)
        # Whatever is wrong with a challenger, the champion takes over.
        except Exception as error:
            if not alone:
                raise
            self._failed(contender, error)
            found = yield champion.scoring(data)
            return champion, found
        contender.disable_if_too_slow(champion)
        return contender, found

    def send_to_shadows(self, data: Columns, done: Any) -> None:
        """Let the shadows score the rows in a thread; `done` gets each shadow with its scores."""
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
