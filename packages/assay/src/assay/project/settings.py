"""What the service reads: the contract and its settings, which stage export writes into models/ as JSON.

Kept apart from all other parameters, whose types take long to build, so that the service starts quickly.
"""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator

from assay.base.config import Frozen, typed
from assay.base.files import write_json
from assay.base.formats import read_format
from assay.contract.spec import Contract
from assay.project.layout import MODELS

PARAMS = Path("params.yaml")
# Files of models/, and their format.
PACKED_CONTRACT, PACKED_SETTINGS = "contract.json", "service.json"
FORMAT = 1


class Export(Frozen):
    """How far the exported model may be from the scikit-learn pipeline."""

    tolerance: float = Field(
        gt=0,
        description=(
            "Largest allowed difference between a score of the exported model and one of the scikit-learn pipeline."
        ),
    )
    parity_rows: int = Field(
        ge=10, description="Test rows that the exported model is compared on, and as many made harder."
    )


class Serve(Frozen):
    """The service: limits of requests, the longest wait for batching, and whether it logs predictions."""

    workers: int = Field(ge=1, description="Worker processes of the service.")
    max_rows: int = Field(ge=1, le=1_000_000, description="Most rows in one request; more is refused with 413.")
    max_body_mb: float = Field(gt=0, description="Largest request body, in MB; more is refused with 413.")
    wait_ms: float = Field(
        gt=0, description="Most work in a turn of the event loop, in ms, before further requests are refused with 503."
    )
    log: Literal["safe", "fsync", "off"] = Field(
        description="When a prediction is in the log: `safe` writes it before the answer leaves, so it survives "
        "the end of the service; `fsync` also waits for the disk; `off` logs nothing."
    )
    log_days: int = Field(default=90, ge=1, description="Days after which predictions and their outcomes are deleted.")
    unlogged: Literal["answer", "refuse"] = Field(
        default="answer",
        description="What happens to a request that cannot be logged, because the disk is full for example: "
        "`answer` it and count it, or `refuse` it with 503.",
    )

    @field_validator("log", mode="before")
    @classmethod
    def _was_a_switch(cls, value: Any) -> Any:
        # Before `safe` there were only true and false; and `off` is false in older YAML.
        return {True: "safe", False: "off"}[value] if isinstance(value, bool) else value


class Outcomes(Frozen):
    """When the outcomes of predictions are known."""

    delay: float = Field(
        default=0.0,
        ge=0,
        description="Days until the outcome of a prediction is due; the monitor judges none that is younger.",
    )
    missing: str | bool | float | None = Field(
        default=None,
        description="What it means if no outcome has come by then: a class, or a number; null if it means nothing.",
    )


class Limits(Frozen):
    """The limits of `gates.service` that the monitor holds the service in use to."""

    errors: float | None = None
    median_ms: float | None = None
    p99_ms: float | None = None


class Settings(Frozen):
    """The part of params.yaml that the service and the monitor read."""

    model_config = ConfigDict(extra="ignore")

    export: Export
    serve: Serve
    outcomes: Outcomes = Outcomes()
    limits: Limits = Limits()


DEFAULT, UNLIMITED = Outcomes(), Limits()


def load_settings(models: Path = MODELS) -> Settings:
    """Read the settings of a packaged model; raises InputError for a file that is missing, broken or newer."""
    path = models / PACKED_SETTINGS
    return typed(read_format(path, FORMAT), Settings, path)


def load_packed_contract(models: Path = MODELS) -> Contract:
    """Read the contract of a packaged model; raises InputError for a file that is missing, broken or newer."""
    path = models / PACKED_CONTRACT
    return typed(read_format(path, FORMAT).get("contract"), Contract, path)


def write_packed(
    contract: Contract,
    export: Export,
    serve: Serve,
    models: Path = MODELS,
    outcomes: Outcomes = DEFAULT,
    limits: Limits = UNLIMITED,
) -> None:
    """Write what `load_settings` and `load_packed_contract` read."""
    # Through JSON text, where infinities become texts.
    write_json(models / PACKED_CONTRACT, {"format": FORMAT, "contract": json.loads(contract.model_dump_json())})
    settings = Settings(export=export, serve=serve, outcomes=outcomes, limits=limits)
    write_json(models / PACKED_SETTINGS, {"format": FORMAT, **settings.model_dump()})
