"""A project that is served: BentoML's settings apply to the model's endpoints, and workers may restart."""

import gzip
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from assay.production.prometheus import dashboard, signals
from assay.project.layout import MODELS, model_version
from assay.project.params import ServiceGate
from patients import contract
from prometheus import prometheus
from scenario.project import Project
from served import SOURCE, served_project
from servers import Server, serving, until

ORIGIN = "https://shop.example"
CONFIG = f"""
services:
  patients:
    workers: 2
    http:
      cors:
        enabled: true
        access_control_allow_origins: ["{ORIGIN}"]
        access_control_allow_methods: ["POST"]
"""
MIDDLEWARE = """
class Stamp:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def stamped(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-stamp", b"1")]
            await send(message)

        await self.app(scope, receive, stamped if scope["type"] == "http" else send)


Assay.add_asgi_middleware(Stamp)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("served") / "project"
    served_project(root)
    for name in ("src", "requirements"):
        shutil.copytree(SOURCE / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "service.py").write_text((SOURCE / "service.py").read_text() + MIDDLEWARE)
    (root / "bentoml.yaml").write_text(CONFIG)
    return Project(root, root.parent)


@pytest.fixture(scope="module")
def server(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    temporary = tmp_path_factory.mktemp("temporary")
    with serving(project, BENTOML_CONFIG="bentoml.yaml", TMPDIR=str(temporary)) as running:
        yield running
    assert list(temporary.glob("assay-*")) == []


def example(project: Project) -> bytes:
    return json.dumps({"rows": json.loads((project.root / MODELS / "examples.json").read_text())["rows"][:1]}).encode()


@pytest.mark.parametrize("path", ["/predict", "/livez"])
def test_middleware_of_the_user_and_cors_apply_once_to_every_endpoint(server: Server, path: str) -> None:
    headers = {"origin": ORIGIN, "access-control-request-method": "POST"}
    assert httpx.options(server.url + path, headers=headers).headers["access-control-allow-origin"] == ORIGIN
    answer = server.get(path, origin=ORIGIN)
    assert [value for name, value in answer.headers.multi_items() if name == "access-control-allow-origin"] == [ORIGIN]
    assert answer.headers.get_list("x-stamp") == ["1"]


def test_a_compressed_request_is_answered_as_a_plain_one(server: Server, project: Project) -> None:
    plain = server.post("/predict", example(project)).json()["predictions"][0]
    packed = server.post("/predict", gzip.compress(example(project)), **{"content-encoding": "gzip"})
    assert packed.json()["predictions"][0] | {"prediction_id": ""} == plain | {"prediction_id": ""}


def test_prometheus_finds_data_for_every_expression_of_rules_and_dashboard(
    server: Server, project: Project, tmp_path: Path
) -> None:
    made, watched = contract(), signals(contract(), ServiceGate(errors=0.01, p99_ms=1000, median_ms=250))
    row = json.loads(example(project))["rows"][0]
    with prometheus(tmp_path, server, made, watched) as ask:
        for changes in ({}, {"age": 119}, {"ward": "attic"}, {"age": 500}):
            server.post("/predict", {"rows": [row | changes]})
        missing = {one.expression for one in watched}

        def is_found(expression: str) -> bool:
            return bool(ask("query", query=expression).get("result"))

        until(lambda: not {one for one in missing if not is_found(one)}, f"there are data for all of {missing}")
        shown = {target["expr"] for panel in dashboard(made, watched)["panels"] for target in panel["targets"]}
        assert shown == missing
        known = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
        assert [(float(rule["query"].split()[-1]), rule["health"]) for rule in known] == [
            (one.alert.limit, "ok") for one in watched if one.alert
        ]


def test_a_worker_that_restarts_after_a_retraining_answers_with_the_model_of_its_sister(
    server: Server, project: Project
) -> None:
    first = model_version(project.root / MODELS)
    shutil.rmtree(project.root / MODELS)
    served_project(project.root, seed=1)
    assert model_version(project.root / MODELS) != first
    before = {worker.pid for worker in server.workers()}
    for pid in before:
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: pid not in {one.pid for one in server.workers()}, "the worker is gone")
        until(lambda: len(server.workers()) == 2, "another one takes over")

    def answered() -> bool:
        try:
            answer = server.post("/predict", example(project))
        except httpx.TransportError:
            return False
        return answer.json()["model_version"] == first

    until(answered, "a worker that started later answers with the model of the first ones")
    assert before.isdisjoint(worker.pid for worker in server.workers())


def test_the_log_is_in_the_project_and_not_in_a_bento(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.serve.serving import log_folder

    monkeypatch.delenv("ASSAY_LOG", raising=False)
    assert log_folder(tmp_path) == tmp_path / "monitoring"
    for bento, logs in {"store/bentos/flats/v1": "store/monitoring/flats/v1", "home/bento": "home/monitoring"}.items():
        (tmp_path / bento / "src").mkdir(parents=True)
        (tmp_path / bento / "bento.yaml").touch()
        assert log_folder(tmp_path / bento / "src") == tmp_path / logs
    monkeypatch.setenv("ASSAY_LOG", "/elsewhere")
    assert log_folder(tmp_path / "home/bento/src") == Path("/elsewhere")
