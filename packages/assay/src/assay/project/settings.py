"""What of `params.yaml` the service goes by, which is to start soon: the types of all the rest take a while to make."""

from pathlib import Path

from pydantic import ConfigDict, Field

from assay.base.config import Frozen, read_config

PARAMS = Path("params.yaml")


class Export(Frozen):
    """How far the exported model may be from the scikit-learn pipeline."""

    tolerance: float = Field(gt=0)
    parity_rows: int = Field(ge=10)


class Serve(Frozen):
    """The service: how much a request may hold, how long one may wait for others, and whether it logs predictions."""

    workers: int = Field(ge=1)
    max_rows: int = Field(ge=1, le=1_000_000)
    max_body_mb: float = Field(gt=0)
    wait_ms: float = Field(gt=0)
    log: bool


class Settings(Frozen):
    """The part of `params.yaml` that the service goes by; the first stage of the pipeline has judged the rest."""

    model_config = ConfigDict(extra="ignore")

    export: Export
    serve: Serve


def load_settings(path: Path = PARAMS) -> Settings:
    """Read the settings; raises InputError for an unknown key in them, a wrong type or an impossible value."""
    return read_config(path, Settings)
