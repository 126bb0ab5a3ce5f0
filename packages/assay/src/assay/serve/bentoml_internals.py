"""All that Assay touches inside BentoML and Prometheus' client: nothing else of Assay uses their private names.

tests/serve/test_bentoml_internals.py fails first, and says what moved, when a new version changes one of them.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection
from typing import Any

from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.context import server_context
from starlette.middleware import Middleware

from assay.predictions.monitoring import Monitoring

# From so many values on numpy is faster than Python.
MANY = 500


def metrics_client() -> Any:
    """Return the client of Prometheus that BentoML has set up for its workers."""
    return BentoMLContainer.metrics_client.get()


def monitoring() -> Monitoring:
    """Return what BentoML's configuration says of monitoring, and which worker this is."""
    config = BentoMLContainer.config.monitoring
    kind, options = config.type.get(), dict(config.options.get() or {})
    return Monitoring(is_default=kind in (None, "default"), options=options, worker=server_context.worker_index or 0)


def number_of_workers(service: str) -> Any:
    """Return what BentoML's configuration says of the workers of a service."""
    return BentoMLContainer.config.services[service].workers.get()


def labels() -> dict[str, str]:
    """Return the labels by which BentoML's metrics know this service."""
    return {
        "service_name": str(server_context.bento_name),
        "service_version": str(server_context.bento_version),
        "runner_name": str(server_context.service_name),
    }


def without_routes(app: Any, ours: Collection[str]) -> Any:
    """Take routes from an application of BentoML; return what counts its requests, for others to count with."""
    from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware

    app.router.routes = [route for route in app.router.routes if getattr(route, "path", None) not in ours]
    # One that both sides count with, for a metric can be made only once.
    counting = RunnerTrafficMetricsMiddleware(app, namespace="bentoml_service")
    counting._setup()

    def around(inner: Any) -> Any:
        counting.app = inner
        return counting

    app.user_middleware = [
        Middleware(around) if entry.cls is RunnerTrafficMetricsMiddleware else entry for entry in app.user_middleware
    ]
    return counting


def observe_all(histogram: Any, values: list[float]) -> None:
    """Observe many values at once, as `histogram.observe` would one by one: every number in shared memory costs."""
    # BentoML's supervisor reads this module, and needs no numpy.
    import numpy as np

    histogram._sum.inc(sum(values))
    bounds = histogram._upper_bounds
    few = len(values) < MANY
    places = (bisect_left(bounds, value) for value in values) if few else np.searchsorted(bounds, values).tolist()
    for bucket, number in Counter(places).items():
        histogram._buckets[bucket].inc(number)
