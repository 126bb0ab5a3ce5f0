"""The caller of the load test: sends requests that the contract allows, without a pause, and checks each response."""

# Imported first because it patches modules that others import.
import locust  # isort: skip

import os
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from locust.env import Environment
from locust.runners import MasterRunner

from assay.load.payloads import Payload, payloads, problem

HEADERS = {"content-type": "application/json"}
if key := os.environ.get("ASSAY_API_KEY"):
    HEADERS["authorization"] = f"Bearer {key}"

requests_of = cache(payloads)


class ContractCaller(locust.FastHttpUser):
    """A client that sends the next request as soon as it has a response.

    `project` is the folder whose `models/` has the contract and the examples. `callers` is the number of callers that
    have started so far.
    """

    abstract = True
    project: ClassVar[Path]
    connection_timeout = network_timeout = 10.0
    callers: ClassVar[int] = 0

    @classmethod
    def prepare(cls) -> None:
        """Draw the requests, which takes a second or two."""
        requests_of(cls.project)

    def on_start(self) -> None:
        """Start at a different request than the other callers."""
        caller = type(self)
        self.requests: list[Payload] = requests_of(self.project)
        self.place = 37 * caller.callers
        caller.callers += 1
        self.before: dict[Any, Any] = {}

    @locust.task
    def predict(self) -> None:
        """Send a request and check the response."""
        payload = self.requests[self.place % len(self.requests)]
        self.place += 1
        body: Any = payload.body
        with self.client.post(
            "/predict", data=body, headers=HEADERS, name=payload.name, catch_response=True
        ) as response:
            if wrong := problem(payload, response.status_code, response.content or b"", self.before):
                # Without a response, Locust knows the reason.
                response.failure(wrong if response.status_code else str(getattr(response, "error", wrong)))


def _prepare(environment: Environment, **_: Any) -> None:
    """Draw the requests before the measurement starts; a master sends none itself."""
    if not isinstance(environment.runner, MasterRunner):
        for caller in environment.user_classes:
            if issubclass(caller, ContractCaller):
                caller.prepare()


locust.events.init.add_listener(_prepare)  # type: ignore[no-untyped-call]
