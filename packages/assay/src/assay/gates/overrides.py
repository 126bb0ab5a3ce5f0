"""Overrides: a named person accepts what a gate holds or rejects, for one model and with a reason."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from assay.base.config import Frozen, read_config
from assay.base.outcomes import Outcome
from assay.gates.gate import BY_NAME

OVERRIDES = Path("overrides.yaml")


class Override(Frozen):
    """A person's word on one gate: `model` is the model it is for, as the report names it, at least eight digits."""

    gate: str = Field(min_length=1)
    by: str = Field(min_length=1, max_length=200)
    why: str = Field(min_length=1, max_length=2000)
    model: str = Field(pattern=r"^[0-9a-f]{8,32}$")


class Overrides(Frozen):
    """All of `overrides.yaml`."""

    overrides: tuple[Override, ...] = ()


def load_overrides(path: Path = OVERRIDES) -> tuple[Override, ...]:
    """Read the overrides, none if there is no such file; raises InputError for an unknown key or a wrong type."""
    return read_config(path, Overrides).overrides if path.exists() else ()


def applying(overrides: Sequence[Override], outcomes: Sequence[Outcome], model: str | None) -> list[Override]:
    """Return the overrides that count: for this model, and for a gate that holds or rejects and may be overridden."""
    verdicts = {outcome.gate: outcome.verdict for outcome in outcomes}
    return [
        override
        for override in overrides
        if model is not None
        and model.startswith(override.model)
        and may_override(override.gate, verdicts.get(override.gate))
    ]


def may_override(gate: str, verdict: str | None) -> bool:
    """Say whether a person may accept this verdict of a gate."""
    return verdict == "HOLD" or (verdict == "REJECT" and not is_final(gate))


def is_final(gate: str) -> bool:
    """Say whether nobody may override a REJECT of a gate; a gate that is not known here has none that is final."""
    return gate in BY_NAME and BY_NAME[gate].final
