"""The service as it is really served: `bentoml serve` of a trained project and of its Bento, asked over HTTP."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import bentoml
import httpx
import psutil
import pyarrow as pa
import pytest

from assay.predictions.entry import MANY
from assay.predictions.read import LogCounts, predictions
from assay.project.fingerprint import SOURCE, part_files
from assay.serve.image import ASSAY
from scenario.project import Done, Project
from served import sent
from servers import Server, bento_store, is_ready, serving, until

ARROW = "application/vnd.apache.arrow.stream"
AUTHORISED = {"authorization": "Bearer secret"}


@pytest.fixture(scope="module")
def trained(first_run: tuple[Project, Done], tmp_path_factory: pytest.TempPathFactory) -> Project:
    return first_run[0].copy(tmp_path_factory.mktemp("service") / "project")


@pytest.fixture(scope="module")
def rows(trained: Project) -> list[dict[str, Any]]:
    return list(json.loads((trained.root / "models/examples.json").read_text())["rows"])


@pytest.fixture(scope="module")
def server(trained: Project) -> Iterator[Server]:
    with serving(trained) as running:
        yield running


@pytest.fixture(scope="module")
def server_with_key(trained: Project) -> Iterator[Server]:
    """A service that answers those who have its key. The last test of it ends it."""
    with serving(trained, ASSAY_API_KEY="secret") as running:  # pragma: allowlist secret
        yield running


@pytest.fixture(scope="module")
def bento(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Server]]:
    """The folder of a Bento, and two workers that serve it with the Assay that its image holds."""
    project = trained.copy(tmp_path_factory.mktemp("bento") / "project")
    project.set_params(serve__workers=2)
    project.ok("assay", "stage", "export")
    tag = project.ok("bentoml", "build", "--output", "tag", BENTOML_HOME=str(bento_store(project))).split("__tag__:")[1]
    (folder,) = bento_store(project).glob("bentos/*/*/")
    # Python finds this Assay first, and nothing of another. Nothing is added to what is looked at.
    environment = {"PYTHONPATH": str((folder / ASSAY).parent), "PYTHONDONTWRITEBYTECODE": "1"}
    with serving(project, tag.strip(), **environment) as running:
        yield folder, running


def test_rows_are_answered_through_bentoml_s_clients(server: Server, rows: list[dict[str, Any]]) -> None:
    with bentoml.SyncHTTPClient(server.url) as client:
        told = client.predict(rows=rows)
        assert len(told["predictions"]) == len(rows)
        name = told["predictions"][0]["prediction_id"]
        assert client.explain(rows=rows[:1])["explanations"][0]["explains"] == "malignant"
        assert client.feedback(outcomes=[{"prediction_id": name, "outcome": "benign"}]) == {"received": 1, "unknown": 0}
        assert client.model()["model_version"] == told["model_version"]

    async def ask() -> Any:
        async with bentoml.AsyncHTTPClient(server.url) as client:
            return await client.predict(rows=rows[:2])

    assert [one["probabilities"] for one in asyncio.run(ask())["predictions"]] == [
        one["probabilities"] for one in told["predictions"][:2]
    ]


def test_answers_are_those_that_came_with_the_model(
    server: Server, trained: Project, rows: list[dict[str, Any]]
) -> None:
    wanted = json.loads((trained.root / "models/examples.json").read_text())["scores"]
    told = server.post("/predict", {"rows": rows}).json()["predictions"]
    assert [one["probabilities"]["malignant"] for one in told] == pytest.approx(
        [score[1] for score in wanted], abs=1e-5
    )


def test_a_table_is_answered_by_a_table(server: Server, rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows).append_column("diagnosis", pa.array(["benign"] * len(rows)))
    response = server.post("/predict", sent(table), **{"content-type": ARROW})
    assert response.status_code == 200
    found = pa.ipc.open_stream(response.content).read_all()
    told = server.post("/predict", {"rows": rows}).json()["predictions"]
    assert found["probability malignant"].to_pylist() == pytest.approx(
        [one["probabilities"]["malignant"] for one in told]
    )
    assert found["decision"].to_pylist() == [one["decision"] for one in told]


def test_a_table_that_breaks_the_contract_is_refused(server: Server, rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist([rows[0], {**rows[1], "mean_radius": 99.0}])
    response = server.post("/predict", sent(table), **{"content-type": ARROW})
    assert response.status_code == 422
    assert response.json()["error"].startswith("column 'mean_radius' (row 1): above the range [0.0, 60.0]")
    cut = server.post("/predict", sent(table)[:100], **{"content-type": ARROW})
    assert cut.status_code == 400
    assert cut.json()["error"].startswith("the body is not a complete Arrow stream: ")


def test_pickles_are_refused(server: Server) -> None:
    for kind in ("application/vnd.bentoml+pickle", "application/octet-stream", "text/plain"):
        assert server.post("/predict", b"x", **{"content-type": kind}).status_code == 415


ABUSE: dict[str, tuple[bytes, dict[str, str], set[int]]] = {
    "a body of 20 MB": (b'{"rows": [' + b" " * 20_000_000 + b"]}", {}, {413}),
    "a million rows": (b'{"rows": [' + b"{}," * 1_000_000 + b"{}]}", {}, {413, 422}),
    "deep JSON": (b"[" * 1_000_000, {}, {400}),
    "invalid UTF-8": (b'{"rows": ["\xff\xfe"]}', {}, {400}),
    "another type": (b"{}", {"content-type": "application/xml"}, {415}),
    "ten thousand rows that are all wrong": (b'{"rows": [' + b"{}," * 9_999 + b"{}]}", {}, {422}),
    "a form": (b"rows=1", {"content-type": "application/x-www-form-urlencoded"}, {415}),
}


@pytest.mark.parametrize("name", ABUSE)
def test_after_abuse_the_service_is_alive_and_ready(server: Server, rows: list[dict[str, Any]], name: str) -> None:
    body, headers, statuses = ABUSE[name]
    try:
        response = server.post("/predict", body, **headers)
        assert response.status_code in statuses
        assert set(response.json()) == {"error", "problems"}
        assert "Traceback" not in response.text
    except httpx.WriteError:
        # The service answers before all of it has come, and a client may miss the answer.
        assert 413 in statuses
    assert is_ready(server)
    assert server.post("/predict", {"rows": rows[:1]}).status_code == 200


RAW = {
    "a negative length": b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n{}",
    "a length that is no number": b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: five\r\n\r\n{}",
    "two lengths": b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "no HTTP": b"\x00\x01\x02\r\n\r\n",
    "a very long header": b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", RAW)
def test_what_is_no_request_is_refused_or_cut_off(server: Server, name: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
        sock.sendall(RAW[name])
        sock.shutdown(socket.SHUT_WR)
        try:
            said = sock.recv(100)
        except ConnectionError:
            said = b""
    assert said == b"" or b" 400 " in said or b" 431 " in said or b" 200 " in said
    assert is_ready(server)


def test_requests_one_behind_the_other_are_answered_in_order(server: Server, rows: list[dict[str, Any]]) -> None:
    bodies = [json.dumps({"rows": rows[: number + 1]}).encode() for number in range(3)]
    sent = b"".join(
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s"
        % (len(body), b"Connection: close\r\n" if body is bodies[-1] else b"", body)
        for body in bodies
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
        sock.sendall(sent)
        answer = b""
        while part := sock.recv(65536):
            answer += part
    found = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert [len(json.loads(body)["predictions"]) for body in found] == [1, 2, 3]


def test_a_thousand_idle_connections_and_slow_senders_starve_nobody(server: Server, rows: list[dict[str, Any]]) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(1000)]
    try:
        for sock in idle[:200]:
            sock.sendall(
                b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
            )
        for _ in range(20):
            assert server.post("/predict", {"rows": rows[:1]}).status_code == 200
    finally:
        for sock in idle:
            sock.close()
    assert is_ready(server)


def test_a_body_that_does_not_come_is_not_waited_for(server: Server) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    with ExitStack() as stack:
        address = ("127.0.0.1", server.port)
        clients = [stack.enter_context(socket.create_connection(address, timeout=30)) for _ in range(2)]
        for client, begun in zip(clients, (b"", b"{"), strict=True):
            client.sendall(head + begun)
        for client in clients:
            assert b" 408 " in client.recv(100)


@pytest.mark.parametrize("path", ["/predict%0A", "/model%0A", "/predict/", "//predict"])
def test_no_way_leads_around_what_bounds_requests(server: Server, rows: list[dict[str, Any]], path: str) -> None:
    assert server.post(path, {"rows": rows[:1]}).status_code in (307, 404)


def test_the_page_needs_nothing_from_elsewhere(server: Server) -> None:
    page = server.get("/").text
    assert "<title>breast-cancer</title>" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert page.count("mean_radius") >= 2


def test_the_openapi_page_of_bentoml_shows_the_document(server: Server) -> None:
    assert "swagger" in server.get("/docs").text.lower()
    document = server.get("/docs.json").json()
    assert set(document["paths"]) >= {"/predict", "/explain", "/feedback", "/model", "/readyz", "/metrics"}


@pytest.mark.nightly
def test_what_the_openapi_document_promises_is_kept(server: Server, tmp_path: Path) -> None:
    number = os.environ.get("SCHEMATHESIS_EXAMPLES", "60")
    done = subprocess.run(
        [
            "schemathesis",
            "run",
            f"{server.url}/docs.json",
            "--url",
            server.url,
            "-n",
            number,
            "--seed",
            "1",
            "--generation-database",
            "none",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert is_ready(server)


def test_requests_and_predictions_are_counted(server: Server, rows: list[dict[str, Any]]) -> None:
    before = server.metric("assay_predictions_total")
    asked = server.metric('bentoml_service_request_total{endpoint="/predict",http_response_code="200"')
    for _ in range(5):
        server.post("/predict", {"rows": rows[:3]})
    assert server.metric("assay_predictions_total") - before == 15
    assert server.metric('bentoml_service_request_total{endpoint="/predict",http_response_code="200"') - asked == 5


def test_predictions_and_outcomes_are_logged(server: Server, trained: Project, rows: list[dict[str, Any]]) -> None:
    (told,) = server.post("/predict", {"rows": rows[:1]}).json()["predictions"]
    outcome = {"prediction_id": told["prediction_id"], "outcome": "benign"}
    assert server.post("/feedback", {"outcomes": [outcome]}).json() == {"received": 1, "unknown": 0}
    many = server.post("/predict", {"rows": rows[:1] * MANY}).json()["predictions"]
    logged = [row for batch in predictions(trained.root / "monitoring", LogCounts()) for row in batch.to_pylist()]
    by_id = {row["prediction_id"]: row for row in logged}
    assert {one["prediction_id"] for one in many} <= by_id.keys()
    assert by_id[told["prediction_id"]]["inputs"] == rows[0]
    assert by_id[told["prediction_id"]]["arm"] == "champion"
    assert any(told["prediction_id"] in path.read_text() for path in trained.root.glob("monitoring/outcomes/*"))


def test_with_a_key_only_who_has_it_is_answered(server_with_key: Server, rows: list[dict[str, Any]]) -> None:
    server = server_with_key
    assert server.post("/predict", {"rows": rows[:1]}).status_code == 401
    assert server.post("/predict", {"rows": rows[:1]}, authorization="Bearer wrong").status_code == 401
    assert server.post("/predict", {"rows": rows[:1]}, **AUTHORISED).status_code == 200
    assert server.get("/model").status_code == 401
    assert server.get("/").status_code == 200
    with bentoml.SyncHTTPClient(server.url, token="secret") as client:  # noqa: S106
        assert client.predict(rows=rows[:1])["predictions"]


# What else does not belong together, tests/inference/test_package.py says; here, that the service does not start.
@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        pytest.param(
            *("contract.yaml", "# other words\n", "contract.yaml: is not the contract that"),
            marks=pytest.mark.nightly,
        ),
        ("models/model.onnx", "x", "model.onnx: differs from the file that model.json lists"),
    ],
)
def test_parts_that_do_not_belong_together_are_not_served(
    trained: Project, tmp_path: Path, path: str, text: str, said: str
) -> None:
    project = trained.copy(tmp_path / "project")
    project.append(path, text)
    with serving(project, ready=False) as server:
        until(lambda: said in server.log() or server.process.poll() is not None, "it says why")
        assert said in server.log()
        assert not is_ready(server)


# Every endpoint, and what is sent to it.
ASKED: dict[str, dict[str, Any] | None] = {
    "/predict": {"rows": 1},
    "/explain": {"rows": 1},
    "/feedback": {"outcomes": [{"prediction_id": "a", "outcome": "benign"}]},
    **dict.fromkeys(("/model", "/", "/docs", "/docs.json", "/livez", "/readyz", "/metrics")),
}


def test_the_service_needs_no_more_of_assay_than_its_image_holds(
    bento: tuple[Path, Server], rows: list[dict[str, Any]]
) -> None:
    folder, server = bento
    packed = {path.relative_to(folder / "src").parts[0] for path in (folder / "src").rglob("*") if path.is_file()}
    assert packed == {"bentofile.yaml", "service.py", "src", "models"}
    code = folder / ASSAY
    held = {path.relative_to(code).as_posix() for path in code.rglob("*.*")}
    assert held - {path for path in held if path.endswith("__init__.py")} == {
        path.relative_to(SOURCE).as_posix()
        for path in part_files("service") | part_files("monitor")
        if path.name != "__init__.py"
    }
    for path, body in ASKED.items():
        asked = {"rows": rows[:1]} if body == {"rows": 1} else body
        answer = server.get(path) if asked is None else server.post(path, asked)
        assert answer.status_code == 200, f"{path}: {answer.text}"
    table = server.post("/predict", sent(pa.Table.from_pylist(rows * MANY)), **{"content-type": ARROW})
    assert table.status_code == 200
    assert list(folder.parents[2].glob("monitoring/*/*/predictions/*.jsonl"))
    assert "Error" not in server.log()


def test_the_bento_is_served_by_two_workers_of_which_one_may_die(
    bento: tuple[Path, Server], rows: list[dict[str, Any]]
) -> None:
    server = bento[1]
    until(lambda: len(server.workers()) == 2, "there are two workers")
    body = {"rows": rows[:2]}
    statuses: list[int] = []
    failed = []

    def ask() -> None:
        try:
            statuses.append(server.post("/predict", body).status_code)
        except httpx.TransportError as error:
            failed.append(error)

    def counted() -> float:
        return server.metric("assay_predictions_total")

    # A worker writes its counts after its answer has left, and the other one may be asked for them before.
    until(lambda: len({counted() for _ in range(10)}) == 1, "what was answered before is counted")
    before = counted()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: ask(), range(200)))
        assert (set(statuses), failed) == ({200}, [])
        until(lambda: counted() - before >= 400, "both workers count")
        assert counted() - before == 400
        killed = server.workers()[0]
        asked = [pool.submit(ask) for _ in range(300)]
        os.kill(killed.pid, signal.SIGKILL)
        for one in asked:
            one.result()
    assert set(statuses) == {200}
    assert len(failed) <= 8
    with staying(server.port, 4):
        until(lambda: len([one for one in server.workers() if one.pid != killed.pid]) == 2, "another takes over")
        until(
            lambda: all(has_clients(worker, server.port) for worker in server.workers()),
            "it gets clients, though all had a connection",
        )


@contextmanager
def staying(port: int, number: int) -> Iterator[None]:
    """Have some clients ask without a pause, who keep their connections for as long as they may."""
    ended = threading.Event()

    def ask() -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        while not ended.is_set():
            connection.request("GET", "/model")
            connection.getresponse().read()
        connection.close()

    with ThreadPoolExecutor(number) as pool:
        asking = [pool.submit(ask) for _ in range(number)]
        try:
            yield
        finally:
            ended.set()
            for one in asking:
                one.result()


def has_clients(worker: psutil.Process, port: int) -> bool:
    connections = [one for one in worker.net_connections("tcp4") if one.laddr.port == port]
    return any(one.status == psutil.CONN_ESTABLISHED for one in connections)


def test_what_was_accepted_is_answered_before_the_service_ends(
    server_with_key: Server, rows: list[dict[str, Any]]
) -> None:
    server, large = server_with_key, {"rows": rows * 20}
    counts = {"asked": 0, "answered": 0, "told to go": 0}

    def ask() -> None:
        with httpx.Client(timeout=30, headers=AUTHORISED) as client:
            while True:
                counts["asked"] += 1
                response = client.post(server.url + "/predict", json=large)
                counts["answered"] += response.status_code == 200
                if response.headers.get("connection") == "close":
                    counts["told to go"] += 1
                    return

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(ask) for _ in range(4)]
        until(lambda: counts["answered"] > 8, "it is under load")
        server.process.send_signal(signal.SIGTERM)
        for client in clients:
            client.result()
    assert server.process.wait(30) == 0
    assert counts["answered"] == counts["asked"]
    assert counts["told to go"] == 4
