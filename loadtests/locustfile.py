"""Callers of the service, for Locust: `locust -f loadtests/locustfile.py --host http://localhost:3000`.

They send what the contract allows, as fast as it is answered, and look at each answer: its status, and what is in it.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

from assay.load.payloads import Payload, payloads, problem
from locust import FastHttpUser, events, task
from locust.env import Environment
from locust.runners import MasterRunner

HEADERS = {"content-type": "application/json"}
if key := os.environ.get("ASSAY_API_KEY"):
    HEADERS["authorization"] = f"Bearer {key}"

requests_of = cache(payloads)


class Caller(FastHttpUser):
    """Somebody who asks again as soon as there is an answer."""

    project = Path(__file__).resolve().parents[1]
    connection_timeout = network_timeout = 10.0
    callers = 0

    @classmethod
    def prepare(cls) -> None:
        """Draw the requests, which takes a second or two."""
        requests_of(cls.project)

    def on_start(self) -> None:
        """Begin with another request than the others do."""
        self.requests: list[Payload] = requests_of(self.project)
        self.place = 37 * Caller.callers
        Caller.callers += 1
        self.before: dict[Any, Any] = {}

    @task
    def predict(self) -> None:
        """Ask, and look at the answer."""
        payload = self.requests[self.place % len(self.requests)]
        self.place += 1
        with self.client.post(
            "/predict", data=payload.body, headers=HEADERS, name=payload.name, catch_response=True
        ) as response:
            if wrong := problem(payload, response.status_code, response.content or b"", self.before):
                # Where there was no answer, Locust knows why.
                response.failure(wrong if response.status_code else str(getattr(response, "error", wrong)))


@events.init.add_listener
def prepare(environment: Environment, **_: Any) -> None:
    """Draw the requests before there is anything to measure; a master only counts what its workers ask."""
    if not isinstance(environment.runner, MasterRunner):
        Caller.prepare()
