"""What Assay touches inside BentoML, uvicorn and Prometheus' client is where it was.

A failure here, after an upgrade of one of them, says what moved: assay.serve.bentoml_internals is where to follow it.
"""

import ast
import asyncio
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import bentoml
import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Histogram
from starlette.applications import Starlette
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from assay.serve import bentoml_internals as internals
from assay.serve.front import send_answer
from places import PACKAGE

SOURCE = PACKAGE / "src/assay"
PRIVATE = ("bentoml._internal", "_bentoml_impl", "_bentoml_sdk", "prometheus_client")
COUNTERS = ("_sum", "_upper_bounds", "_buckets", "_setup")


def test_no_other_module_touches_what_is_private() -> None:
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            private = any(name.startswith(PRIVATE) for name in names)
            if private or (isinstance(node, ast.Attribute) and node.attr in COUNTERS):
                found.add(path.relative_to(SOURCE).as_posix())
    assert found == {"serve/bentoml_internals.py"}


@pytest.mark.parametrize("number", [0, 3, internals.MANY + 1])
def test_many_values_are_observed_as_one_by_one(number: int) -> None:
    values = np.random.default_rng(0).random(number).round(2).tolist()
    one, all_at_once = (Histogram("a", "b", buckets=[0.1, 0.5], registry=CollectorRegistry()) for _ in range(2))
    for value in values:
        one.observe(value)
    internals.observe_all(all_at_once, values)
    kept = [
        {sample.name + str(sample.labels): sample.value for metric in each.collect() for sample in metric.samples}
        for each in (one, all_at_once)
    ]
    created = {name for name in kept[0] if "created" in name}
    assert {name: kept[0][name] for name in kept[0].keys() - created} == pytest.approx(
        {name: kept[1][name] for name in kept[1].keys() - created}
    )


def test_bentoml_says_what_its_configuration_is() -> None:
    assert hasattr(internals.metrics_client(), "Counter")
    assert internals.log_path(Path("here")) == Path("here")
    assert set(internals.labels()) == {"service_name", "service_version", "runner_name"}


@pytest.mark.parametrize(("enabled", "path"), [(True, None), (False, Path("here"))])
def test_predictions_go_to_a_monitor_only_if_it_is_enabled(
    monkeypatch: pytest.MonkeyPatch, enabled: bool, path: Path | None
) -> None:
    settings = {"enabled": enabled, "type": "otlp", "options": {}}
    monitoring = SimpleNamespace(**{name: SimpleNamespace(get=lambda at=at: at) for name, at in settings.items()})
    config = SimpleNamespace(monitoring=monitoring)
    monkeypatch.setattr(internals, "BentoMLContainer", SimpleNamespace(config=config))
    assert internals.log_path(Path("here")) == path


def test_routes_of_the_service_are_taken_away_and_its_requests_are_counted_with_bentoml() -> None:
    @bentoml.service(workers=2, metrics={"namespace": "bentoml_service"})
    class Small:
        @bentoml.api
        def predict(self) -> str:
            return ""

    Small.inject_config()
    assert internals.number_of_workers(Small.name) == 2
    app: Any = Small.to_asgi()
    inside = app if isinstance(app, Starlette) else SimpleNamespace()
    paths = {getattr(route, "path", None) for route in inside.router.routes}
    assert {"/predict", "/readyz", "/metrics"} <= paths
    before = len(inside.user_middleware)
    counting = internals.without_routes(inside, {"/predict"})
    assert "/predict" not in {getattr(route, "path", None) for route in inside.router.routes}
    assert len(inside.user_middleware) == before
    for name in ("metrics_request_total", "metrics_request_duration"):
        assert hasattr(getattr(counting, name), "labels")
    assert [entry for entry in inside.user_middleware if entry.cls.__name__ == "around"]


@pytest.mark.parametrize("more", [b"", b"connection: close\r\n"])
@pytest.mark.parametrize(("method", "body"), [(b"GET", b"answered"), (b"GET", b""), (b"HEAD", b"answered")])
def test_uvicorn_writes_a_response_with_one_call_and_then_closes_the_connection_if_it_should(
    method: bytes, body: bytes, more: bytes
) -> None:
    async def app(_: Any, __: Any, send: Any) -> None:
        await send_answer(send, 200, body)

    async def answered() -> list[Any]:
        transport = MagicMock(**{"is_closing.return_value": False, "get_extra_info.return_value": None})
        protocol = HttpToolsProtocol(Config(app, log_config=None), ServerState(), {})
        protocol.connection_made(transport)
        for _ in range(2 - bool(more)):
            protocol.data_received(method + b" / HTTP/1.1\r\nhost: here\r\n" + more + b"\r\n")
            await asyncio.gather(*protocol.tasks)
        calls = [call for call in transport.method_calls if call[0] in ("write", "close")]
        protocol.connection_lost(None)
        return calls

    calls = asyncio.run(answered())
    assert [call[0] for call in calls] == (["write", "close"] if more else ["write", "write"])
    head, _, rest = calls[0].args[0].partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(body) in head
    assert rest == (b"" if method == b"HEAD" else body)


def test_a_response_is_written_before_h11_refuses_what_the_client_sent_after_the_request() -> None:
    async def app(_: Any, __: Any, send: Any) -> None:
        await send_answer(send, 200, b"answered")

    async def written() -> bytes:
        transport = MagicMock(**{"is_closing.return_value": False, "get_extra_info.return_value": None})
        protocol = H11Protocol(Config(app, log_config=None), ServerState(), {})
        protocol.connection_made(transport)
        protocol.data_received(b"GET / HTTP/1.1\r\nhost: here\r\n\r\nno request\r\n\r\n")
        await asyncio.gather(*protocol.tasks)
        return b"".join(call.args[0] for call in transport.write.call_args_list)

    statuses = [line.split()[1] for line in asyncio.run(written()).splitlines() if b"HTTP/1.1 " in line]
    assert statuses == [b"200", b"400"]


@pytest.mark.parametrize(("level", "is_prepared"), [(logging.WARNING, False), (logging.INFO, True)])
def test_uvicorn_prepares_a_line_for_each_request_only_if_somebody_reads_it(
    monkeypatch: pytest.MonkeyPatch, level: int, is_prepared: bool
) -> None:
    access, read = logging.Logger("uvicorn.access", level), logging.Logger("read")
    access.parent = read
    read.addHandler(logging.NullHandler())
    monkeypatch.setitem(logging.root.manager.loggerDict, "uvicorn.access", access)
    internals.silence_access_log()
    config = Config(MagicMock(), log_config=None)
    assert HttpToolsProtocol(config, ServerState(), {}, MagicMock()).access_log == is_prepared
