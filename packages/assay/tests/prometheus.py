"""The real Prometheus on loopback, for one test."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from assay.base.files import write_json
from assay.contract.spec import Contract
from assay.load.bento import free_port
from assay.production.prometheus import RULES, Signal, rules
from machine import lacks
from servers import Server

Query = Callable[..., Any]


@contextmanager
def prometheus(folder: Path, server: Server, contract: Contract, watched: list[Signal]) -> Iterator[Query]:
    """Let Prometheus scrape a service and evaluate its rules; yield a function that asks its API."""
    program = shutil.which("prometheus")
    if program is None:
        lacks("prometheus is not here")
    targets = [{"targets": [server.url.removeprefix("http://")]}]
    often = "200ms"
    write_json(folder / RULES, rules(contract, watched))
    write_json(
        folder / "prometheus.yml",
        {
            "global": {"scrape_interval": often, "scrape_timeout": often, "evaluation_interval": often},
            "rule_files": [RULES],
            "scrape_configs": [{"job_name": contract.name, "static_configs": targets}],
        },
    )
    url = f"http://127.0.0.1:{free_port()}"
    command = [program, "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    command.append(f"--web.listen-address={url.removeprefix('http://')}")
    with (
        (folder / "said").open("wb") as said,
        subprocess.Popen(command, cwd=folder, stdout=said, stderr=said) as running,
        httpx.Client(base_url=f"{url}/api/v1") as client,
    ):

        def ask(path: str, **parameters: str) -> Any:
            assert running.poll() is None, (folder / "said").read_text()
            try:
                answer = client.get(path, params=parameters)
            except httpx.TransportError:
                # It has just been started.
                return {}
            # It listens before it has read its storage.
            return {} if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer.json()["data"]

        try:
            yield ask
        finally:
            running.terminate()
