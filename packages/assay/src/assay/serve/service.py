"""The BentoML service."""

import asyncio
import gc
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import bentoml

from assay.base.errors import InputError, one_line
from assay.base.files import read_json, replace_links
from assay.contract.request import request_models
from assay.project.layout import LOCKS, MODELS
from assay.project.settings import load_packed_contract, load_settings
from assay.serve import shapes
from assay.serve.bentoml_internals import (
    EVERY_URL,
    labels,
    metrics_client,
    number_of_workers,
    silence_access_log,
    take_middleware,
    without_routes,
)
from assay.serve.image import image
from assay.serve.shapes import MOST_EXPLAINED
from assay.serve.snapshot import snapshot, take_snapshot

if TYPE_CHECKING:
    # BentoML's supervisor imports this module too but answers no requests: the worker imports what it needs.
    from assay.serve.front import App
    from assay.serve.serving import Call, Serving

ENDING_SECONDS = 1.0


class Fronted(bentoml.Service):  # type: ignore[misc]
    """A BentoML service whose endpoints are answered in front of BentoML's own path."""

    def to_asgi(self, is_main: bool = True) -> "App":
        """Return the application that the server runs."""
        # BentoML imports it too, and reading the machine's certificates meanwhile releases the interpreter.
        threading.Thread(target=import_module, args=("aiohttp",), name="aiohttp").start()
        from assay.serve.front import AroundMiddleware, Front
        from assay.serve.metrics import Requests

        silence_access_log()
        app = super().to_asgi(is_main)
        # These apply to the endpoints of the model too: CORS, for instance.
        around = take_middleware(app)
        # BentoML's own routes to the endpoints have none of the limits, and "/predict\n" would lead there.
        counting = without_routes(app, {api.route for api in self.apis.values()})
        front = Front(
            app,
            lambda: LoadedModel.current,
            Requests(counting, labels()),
            is_one_of_several=number_of_workers(self.name) != 1,
        )
        outermost: App = front
        for one in reversed(around):
            outermost = cast("App", one.cls(outermost, *one.args, **one.kwargs))
        return AroundMiddleware(outermost, front) if around else front


class LoadedModel:
    """The model of this process, once it is loaded."""

    current: "Serving"


def _end_slowly() -> None:
    """On SIGTERM, first ask clients to disconnect, and go on answering for a moment before the server ends.

    Otherwise a client with an open connection could send its next request just as the connection is closed.
    """
    loop, end = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)

    def begin_to_end(number: int, frame: Any) -> None:
        LoadedModel.current.is_ending = True
        if callable(end):
            loop.call_soon_threadsafe(loop.call_later, ENDING_SECONDS, end, number, frame)

    signal.signal(signal.SIGTERM, begin_to_end)


@contextmanager
def _ending_with_one_line(root: Path, served: Path) -> Iterator[None]:
    """End the process with what is wrong with the model in `root`, where it is copied to `served`.

    BentoML prints where each other error was raised, twice.
    """
    try:
        yield
    except (InputError, OSError) as error:
        raise SystemExit(f"assay: {one_line(error).replace(str(served), str(root))}") from None


def service(root: Path) -> Any:
    """Return the BentoML service of the model in a folder: `bentoml serve` looks for it in service.py there."""
    # `bentoml build` imports this before it copies the files.
    replace_links(root / MODELS)
    served = snapshot(root)
    with _ending_with_one_line(root, served):
        contract, settings = load_packed_contract(served / MODELS), load_settings(served / MODELS)
        about = read_json(served / MODELS / "model.json")
    Rows, FewRows = request_models(contract, {"Rows": settings.serve.max_rows, "FewRows": MOST_EXPLAINED})  # noqa: N806
    Outcomes = shapes.outcomes_model(contract)  # noqa: N806

    @bentoml.service(
        name=re.sub(r"[^a-z0-9_-]+", "-", contract.name.lower()).strip("-_") or "model",
        service_class=Fronted,
        image=image(LOCKS[about["served"]], about),
        workers=settings.serve.workers,
        logging={"access": {"enabled": False}},
        tracing={"excluded_urls": EVERY_URL},
        metrics={"namespace": "bentoml_service"},
    )
    class Assay:
        """Predictions of the model of this project."""

        def __init__(self) -> None:
            """Load the model and check it with its examples."""
            from assay.serve.serving import load_serving

            with _ending_with_one_line(root, served):
                self.serving = load_serving(root, served, contract, settings, metrics_client())
            LoadedModel.current = self.serving
            with suppress(RuntimeError):
                # Without a server there is no event loop.
                _end_slowly()
            # The longest that a thread may keep the event loop waiting; Python's default is 5 ms.
            sys.setswitchinterval(0.0005)
            # A collection over the objects loaded so far would take up to 200 ms; from now on it runs rarely.
            gc.freeze()
            gc.set_threshold(50_000, 20, 50)

        @bentoml.on_deployment
        @staticmethod
        def before_workers_start() -> None:
            """Copy the model that all workers load, including workers that replace a dead one."""
            take_snapshot(root)

        # A coroutine: BentoML would run a plain function in a thread.
        async def __is_ready__(self) -> bool:
            """Say whether an example is scored correctly."""
            return self.serving.is_ready()

        @bentoml.on_shutdown
        def close(self) -> None:
            """Write what is waiting to be written."""
            self.serving.close()

        @bentoml.api(input_spec=Rows, output_spec=shapes.Predictions)
        def predict(self, rows: list[dict[str, Any]]) -> Any:
            """Predict rows."""
            return self._answer(self.serving.predict, {"rows": rows})

        @bentoml.api(input_spec=FewRows, output_spec=shapes.Explanations)
        def explain(self, rows: list[dict[str, Any]]) -> Any:
            """Explain a few rows: how much each column contributes to the score."""
            return self._answer(self.serving.explain, {"rows": rows})

        @bentoml.api(input_spec=Outcomes, output_spec=shapes.Received)
        def feedback(self, outcomes: list[dict[str, Any]]) -> Any:
            """Report the outcomes of predictions."""
            return self._answer(self.serving.feedback, {"outcomes": outcomes})

        @bentoml.api(input_spec=shapes.Nothing, output_spec=shapes.About)
        def model(self) -> Any:
            """Describe the model: version, contract, metrics, card."""
            return self._answer(self.serving.about, {})

        def _answer(self, endpoint: "Callable[[Call], tuple[bytes, bytes]]", body: dict[str, Any]) -> Any:
            """Answer in this process as over HTTP."""
            import msgspec

            from assay.serve.serving import Call

            return msgspec.json.decode(endpoint(Call(msgspec.json.encode(body), {}))[1])

    return Assay
