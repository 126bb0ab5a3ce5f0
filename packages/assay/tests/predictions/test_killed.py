"""A real service under load whose workers are killed: what it acknowledged is in its log."""

import json
import os
import random
import shutil
import signal
import threading
from pathlib import Path

import httpx
import pytest

from assay.predictions.read import LogCounts, predictions
from places import PACKAGE
from scenario.project import Project
from served import SOURCE, served_project
from servers import Server, serving, until

CLIENTS, KILLS, BETWEEN = 4, 20, 5_000


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "project"
    served_project(root)
    for name in ("src", "requirements"):
        shutil.copytree(SOURCE / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(SOURCE / "service.py", root)
    settings = root / "models/service.json"
    content = json.loads(settings.read_text())
    content["serve"] |= {"log": "safe", "workers": 2}
    settings.write_text(json.dumps(content))
    return Project(root, tmp_path)


def ask(server: Server, rows: list[object], acknowledged: list[str], ended: threading.Event) -> None:
    """Ask for predictions until the end, and keep the ids of those that were answered."""
    while not ended.is_set():
        try:
            with httpx.Client(timeout=10) as client:
                while not ended.is_set():
                    number = random.choice([1, 2, len(rows), 20 * len(rows)])  # noqa: S311
                    asked = {"rows": (rows * 20)[:number]}
                    answer = client.post(f"{server.url}/predict", json=asked)
                    if answer.status_code == 200:
                        acknowledged += [one["prediction_id"] for one in answer.json()["predictions"]]
        except httpx.TransportError:
            # Its worker was killed.
            continue


@pytest.mark.nightly
def test_no_acknowledged_prediction_is_lost_when_workers_are_killed(project: Project) -> None:
    rows = json.loads((project.root / "models/examples.json").read_text())["rows"]
    acknowledged: list[str] = []
    ended = threading.Event()
    with serving(project, PYTHONPATH=str(PACKAGE / "src")) as server:
        clients = [threading.Thread(target=ask, args=(server, rows, acknowledged, ended)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            for _ in range(KILLS):
                so_far = len(acknowledged)
                until(lambda so_far=so_far: len(acknowledged) > so_far + BETWEEN, "more is answered")  # type: ignore[misc]
                until(server.workers, "a worker runs")
                os.kill(random.choice(server.workers()).pid, signal.SIGKILL)  # noqa: S311
        finally:
            ended.set()
            for client in clients:
                client.join()
    counts = LogCounts()
    batches = predictions(project.root / "monitoring", counts)
    logged = {one for batch in batches for one in batch["prediction_id"].to_pylist()}
    assert not set(acknowledged) - logged
    assert (counts.foreign, counts.doubled) == (0, 0)
    assert counts.torn <= KILLS
