"""Real servers: `bentoml serve` in a process of its own, on a free port of this machine."""

import json
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from assay.load.bento import free_port
from scenario.project import Project

SECONDS = 60
# Nothing here speaks TLS. Without a context, httpx loads all certificates of the machine for each request.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass
class Server:
    """A service that runs."""

    url: str
    process: subprocess.Popen[bytes]
    said: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json", **headers}
        return httpx.post(self.url + path, content=content, headers=headers, verify=PLAIN)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=headers, verify=PLAIN)

    def metric(self, start: str) -> float:
        """Return the sum of all samples whose line starts so."""
        lines = self.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(start))

    def workers(self) -> list[psutil.Process]:
        """Return the processes that answer."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if "_bentoml_impl.worker.service" in _command(child)]

    def log(self) -> str:
        return self.said.read_text(errors="replace")


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        # It has ended in the meantime.
        return ""


def until(happens: Any, what: str) -> None:
    """Wait until something happens."""
    end = time.monotonic() + SECONDS
    while not happens():
        assert time.monotonic() < end, f"not within {SECONDS} seconds: {what}"
        # The processor is for what is waited for.
        time.sleep(0.02)


def bento_store(project: Project) -> Path:
    """Return where a project's Bentos are kept, and no other's."""
    return project.root.parent / "bentoml"


@contextmanager
def serving(project: Project, *bento: str, ready: bool = True, **environment: str) -> Iterator[Server]:
    """Serve a project, or a Bento of the store beside it; wait until it is ready."""
    port = free_port()
    said = project.root / f"serve-{port}.log"
    # BentoML keeps the counts of its workers there, and clears them away when it starts.
    store = bento_store(project) if bento else project.root.parent / f"bentoml-{port}"
    home = {"BENTOML_HOME": str(store), "BENTOML_HOST": "127.0.0.1"}
    command = ["bentoml", "serve", *bento, "--port", str(port)]
    with said.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=project.root,
            env=project.environment | home | environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    server = Server(f"http://127.0.0.1:{port}", process, said)
    try:
        if ready:
            until(lambda: process.poll() is not None or is_ready(server), "the service is ready")
            assert process.poll() is None, server.log()
        yield server
    finally:
        # circus, with which BentoML runs workers, passes over a signal that comes while it starts one anew.
        for _ in range(3):
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise AssertionError(f"the service did not end within 30 seconds:\n{server.log()}")


def is_ready(server: Server) -> bool:
    try:
        return server.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False
