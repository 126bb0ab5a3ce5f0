"""Callers of the service, for Locust: `locust -f loadtests/locustfile.py --host http://localhost:3000`."""

from pathlib import Path

from assay.load.caller import ContractCaller


class Caller(ContractCaller):
    """Sends requests that the contract allows, without a pause, and checks status and content of each response."""

    project = Path(__file__).resolve().parents[1]
