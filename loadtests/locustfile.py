"""Callers of the service, for Locust: `locust -f loadtests/locustfile.py --host http://localhost:3000`.

They send requests that the contract allows, without a pause, and check status and content of each response.
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
    """A client that sends the next request as soon as it has a response."""

    project = Path(__file__).resolve().parents[1]
    connection_timeout = network_timeout = 10.0
    callers = 0

    @classmethod
    def prepare(cls) -> None:
        """Draw the requests, which takes a second or two."""
        requests_of(cls.project)

    def on_start(self) -> None:
        """Start at a different request than the other clients."""
        self.requests: list[Payload] = requests_of(self.project)
        self.place = 37 * Caller.callers
        Caller.callers += 1
        self.before: dict[Any, Any] = {}

    @task
    def predict(self) -> None:
        """Send a request and check the response."""
        payload = self.requests[self.place % len(self.requests)]
        self.place += 1
        with self.client.post(
            "/predict", data=payload.body, headers=HEADERS, name=payload.name, catch_response=True
        ) as response:
            if wrong := problem(payload, response.status_code, response.content or b"", self.before):
                # Without a response, Locust knows the reason.
                response.failure(wrong if response.status_code else str(getattr(response, "error", wrong)))


@events.init.add_listener
def prepare(environment: Environment, **_: Any) -> None:
    """Draw the requests before the measurement starts; a master sends none itself."""
    if not isinstance(environment.runner, MasterRunner):
        Caller.prepare()
