"""The private names of BentoML, uvicorn and the Prometheus client that Assay uses; no other module uses any.

When a new version changes one, tests/serve/test_bentoml_internals.py fails first and says which.
"""

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.context import server_context
from starlette.middleware import Middleware

# The setting of `tracing.excluded_urls` that switches tracing off.
EVERY_URL = ".*"
# The seconds of `traffic.timeout` where nobody sets it.
BENTOML_TIMEOUT = 60.0
# From this number of values numpy is faster than Python.
MANY = 500


def metrics_client() -> Any:
    """Return the Prometheus client that BentoML set up for its workers."""
    return BentoMLContainer.metrics_client.get()


def log_path(folder: Path) -> Path | None:
    """Return the folder of the prediction log: the one in BentoML's configuration of monitoring, or else `folder`.

    Return None if that configuration enables a monitor that writes no files. A monitor that is not enabled is ignored,
    because it would record nothing.
    """
    config = BentoMLContainer.config.monitoring
    if config.enabled.get() and config.type.get() not in (None, "default"):
        return None
    named = (config.options.get() or {}).get("log_path")
    return folder if named in (None, "monitoring") else Path(named)


def number_of_workers(service: str) -> Any:
    """Return the number of workers in BentoML's configuration of a service."""
    return BentoMLContainer.config.services[service].workers.get()


def labels() -> dict[str, str]:
    """Return the labels of this service in BentoML's metrics."""
    return {
        "service_name": str(server_context.bento_name),
        "service_version": str(server_context.bento_version),
        "runner_name": str(server_context.service_name),
    }


def without_routes(app: Any, ours: Collection[str]) -> Any:
    """Remove routes from a BentoML application; return its request-counting middleware for use elsewhere."""
    from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware

    app.router.routes = [route for route in app.router.routes if getattr(route, "path", None) not in ours]
    # Shared by both, because a metric can be created only once.
    counting = RunnerTrafficMetricsMiddleware(app, namespace="bentoml_service")
    counting._setup()

    def around(inner: Any) -> Any:
        counting.app = inner
        return counting

    app.user_middleware = [
        Middleware(around) if entry.cls is RunnerTrafficMetricsMiddleware else entry for entry in app.user_middleware
    ]
    return counting


def take_middleware(app: Any) -> list[Middleware]:
    """Remove from a BentoML application, and return, the middleware that its configuration or its user asked for.

    The outermost comes first. What BentoML puts around every service stays: the endpoints of the model do without it.
    """
    staying = {"RunnerTrafficMetricsMiddleware", "ContextMiddleware"}
    if BentoMLContainer.config.tracing.excluded_urls.get() == EVERY_URL:
        staying.add("OpenTelemetryMiddleware")
    kept: list[Middleware] = []
    taken: list[Middleware] = []
    for entry in app.user_middleware:
        is_default = entry.kwargs.get("timeout") == BENTOML_TIMEOUT and entry.cls.__name__ == "TimeoutMiddleware"
        (kept if is_default or entry.cls.__name__ in staying else taken).append(entry)
    app.user_middleware = kept
    return taken


def silence_access_log() -> None:
    """Let uvicorn prepare no line for each request, unless somebody wants to read these lines."""
    access = logging.getLogger("uvicorn.access")
    if not access.isEnabledFor(logging.INFO):
        access.propagate = False


class OneWrite:
    """A context in which uvicorn writes head and body of a response with one call of the operating system.

    uvloop writes each at once, and such a call takes a tenth of the time of a request. If `send` is not that of
    uvicorn's own response, because a middleware is around it, nothing changes.
    """

    __slots__ = ("_head", "_response", "_transport")

    def __init__(self, send: Any) -> None:
        """Take the function that sends parts of a response."""
        self._response: Any = getattr(send, "__self__", None)
        self._transport: Any = getattr(self._response, "transport", None)
        self._head = b""

    def __enter__(self) -> None:
        """Stand in for the transport until the body is written."""
        if self._transport is not None:
            self._response.transport = self

    def __exit__(self, *_: object) -> None:
        """Write the head, if there was no body."""
        if self._transport is not None:
            self._write(b"")

    def write(self, data: bytes) -> None:
        """Hold back the head; write it with the body, because uvicorn may answer the next request right after that."""
        if self._head:
            self._write(data)
        else:
            self._head = data

    def close(self) -> None:
        """Write the head, and close the connection."""
        self._write(b"")
        self._transport.close()

    def _write(self, data: bytes) -> None:
        head, self._head = self._head, b""
        self._response.transport = self._transport
        if head:
            self._transport.write(head + data)


def observe_all(histogram: Any, values: list[float]) -> None:
    """Observe many values at once, as `histogram.observe` would one by one, with fewer writes to shared memory."""
    # BentoML's supervisor imports this module and needs no numpy.
    import numpy as np

    histogram._sum.inc(sum(values))
    bounds = histogram._upper_bounds
    few = len(values) < MANY
    buckets = (bisect_left(bounds, value) for value in values) if few else np.searchsorted(bounds, values).tolist()
    for bucket, number in Counter(buckets).items():
        histogram._buckets[bucket].inc(number)
