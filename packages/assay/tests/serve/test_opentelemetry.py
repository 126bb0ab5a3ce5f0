"""Predictions go to a receiver of OpenTelemetry by BentoML's configuration; the receiver uses its official messages."""

import json
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from assay.load.bento import free_port
from assay.project.layout import MODELS
from scenario.project import Project
from served import SOURCE, served_project
from servers import Server, serving, until

CONFIG = """
services:
  patients:
    monitoring:
      type: otlp
      options: {{endpoint: "http://127.0.0.1:{port}/v1/logs", meta_sample_rate: 0, timeout: 1}}
"""


@contextmanager
def receiver(port: int, got: list[dict[str, Any]]) -> Iterator[None]:
    """Receive records of logs; add the fields of each, and from which service they are."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = ExportLogsServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
            for resource in request.resource_logs:
                about = {one.key: one.value for one in resource.resource.attributes}
                for scope in resource.scope_logs:
                    for record in scope.log_records:
                        fields = {one.key: one.value for one in record.body.kvlist_value.values}
                        got.append(fields | {"service": about["service.name"]})
            self.send_response(200)
            self.end_headers()
            self.wfile.write(ExportLogsServiceResponse().SerializeToString())

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", port), Receiver) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield
        finally:
            server.shutdown()


@pytest.mark.nightly
def test_what_was_answered_arrives_or_is_counted_and_the_service_goes_on(tmp_path: Path) -> None:
    root, port = tmp_path / "project", free_port()
    served_project(root)
    for name in ("src", "requirements", "service.py"):
        source = SOURCE / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, root / name)
    packed = json.loads((root / "models/service.json").read_text())
    packed["serve"] |= {"log": "safe"}
    (root / "models/service.json").write_text(json.dumps(packed))
    (root / "bentoml.yaml").write_text(CONFIG.format(port=port))
    rows = json.loads((root / MODELS / "examples.json").read_text())["rows"]
    got: list[dict[str, Any]] = []

    def ask(server: Server, given: list[Any]) -> list[str]:
        answer = server.post("/predict", {"rows": given})
        assert answer.status_code == 200
        return [one["prediction_id"] for one in answer.json()["predictions"]]

    def have_come(names: list[str]) -> bool:
        return set(names) <= {one["prediction_id"].string_value for one in got}

    after, settings = ExitStack(), {"BENTOML_CONFIG": "bentoml.yaml", "OTEL_BLRP_SCHEDULE_DELAY": "100"}
    with serving(Project(root, tmp_path), **settings) as server:
        with receiver(port, got):
            names = [*ask(server, rows[:1]), *ask(server, (rows * 100)[:1000])]
            outcome = {"prediction_id": names[0], "outcome": "sick"}
            assert server.post("/feedback", {"outcomes": [outcome]}).json() == {"received": 1, "unknown": 0}
            until(lambda: have_come(names) and len(got) == len(names) + 1, "all predictions and the outcome arrive")
        gone = ask(server, rows[:3])
        # What is lost of these is no prediction.
        assert server.post("/feedback", {"outcomes": [outcome]}).json() == {"received": 1, "unknown": 0}
        until(lambda: "outcomes did not reach OpenTelemetry" in server.log(), "a lost outcome is said")
        until(lambda: server.metric("assay_unlogged_predictions_total") == len(gone), "what is lost is counted")
        assert not have_come(gone[:1])
        with receiver(port, got):
            late = ask(server, rows[:2])
            until(lambda: have_come(late), "predictions arrive again")
        names += late
        # What waits when the service ends still arrives.
        after.enter_context(receiver(port, got))
        names += ask(server, rows[:5])
    after.close()
    came = Counter(one["prediction_id"].string_value for one in got if "arm" in one)
    assert came == Counter(names)
    first = next(one for one in got if "arm" in one)
    services = {("arm" in one, one["service"].string_value.partition(":")[2]) for one in got}
    assert services == {(True, "predictions"), (False, "outcomes")}
    assert first["age"].int_value == rows[0]["age"]
    assert "predictions did not reach OpenTelemetry (ConnectionError: 3)" in server.log()
    assert "officially supported" not in server.log()
    assert not (root / "monitoring/predictions").exists()
