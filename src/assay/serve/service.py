"""The BentoML service."""

import gc
import re
from pathlib import Path
from typing import Any

import bentoml
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.context import server_context
from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
from starlette.middleware import Middleware

from assay.artifacts import MODELS
from assay.contract.request import request_model
from assay.contract.spec import CONTRACT, load_contract
from assay.params import PARAMS, load_params
from assay.serve import shapes
from assay.serve.http import App, Front
from assay.serve.metrics import Traffic
from assay.serve.serving import Serving, load_serving

ROOT = Path(__file__).resolve().parents[3]

contract = load_contract(ROOT / CONTRACT)
params = load_params(ROOT / PARAMS)
Request = request_model(contract, params.serve.max_rows)


class Fronted(bentoml.Service):
    """A BentoML service whose endpoints are answered in front of BentoML's own path."""

    def to_asgi(self, is_main: bool = True) -> App:
        """Return the application that the server runs."""
        app = super().to_asgi(is_main)
        # One that both sides count with: names of metrics are there once.
        counting = RunnerTrafficMetricsMiddleware(app, namespace="bentoml_service")
        counting._setup()

        def around(inner: App) -> App:
            counting.app = inner
            return counting

        app.user_middleware = [
            Middleware(around) if entry.cls is RunnerTrafficMetricsMiddleware else entry
            for entry in app.user_middleware
        ]
        labels = {
            "service_name": server_context.bento_name,
            "service_version": server_context.bento_version,
            "runner_name": server_context.service_name,
        }
        return Front(app, lambda: Model.current, Traffic(counting, labels))


class Model:
    """The model of this process, once it is loaded."""

    current: Serving


@bentoml.service(
    name=re.sub(r"[^a-z0-9_-]+", "-", contract.name.lower()).strip("-_") or "model",
    service_class=Fronted,
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
    metrics={"namespace": "bentoml_service"},
)
class Assay:
    """Answers by the model of this project."""

    def __init__(self) -> None:
        """Load the model, and answer the rows that came with it."""
        self.serving = load_serving(ROOT, ROOT / MODELS, BentoMLContainer.metrics_client.get())
        Model.current = self.serving
        # A full garbage collection over the objects of the framework takes up to 200 ms.
        gc.collect()
        gc.freeze()

    def __is_ready__(self) -> bool:
        """Say whether an example is answered."""
        return self.serving.is_ready()

    @bentoml.api(input_spec=Request, output_spec=shapes.Predictions)
    def predict(self, **body: Any) -> Any:
        """Predict rows."""
        raise NotImplementedError
