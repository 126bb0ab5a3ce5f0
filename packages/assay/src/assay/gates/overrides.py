"""Overrides: a named person accepts what a gate holds or rejects, for one model and with a reason."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from assay.base.config import Frozen, read_config
from assay.base.outcomes import Outcome
from assay.gates.gate import BY_NAME

OVERRIDES = Path("overrides.yaml")


class Override(Frozen):
    """A person's word on one gate, for one model and what it was judged by.

    `model` and `contract` are those that the report names, `limits` what the gate `limits` names: at least eight
    hexadecimal digits each. A changed model, contract or limit asks for another override, even where the model stays.
    """

    gate: str = Field(min_length=1)
    by: str = Field(min_length=1, max_length=200)
    why: str = Field(min_length=1, max_length=2000)
    model: str = Field(pattern=r"^[0-9a-f]{8,32}$")
    # An override without these two was written for an earlier Assay; it counts for all gates but those they belong to.
    contract: str | None = Field(default=None, pattern=r"^[0-9a-f]{8,64}$")
    limits: str | None = Field(default=None, pattern=r"^[0-9a-f]{8,64}$")


class Overrides(Frozen):
    """All of `overrides.yaml`."""

    overrides: tuple[Override, ...] = ()


def load_overrides(path: Path = OVERRIDES) -> tuple[Override, ...]:
    """Read the overrides, none if there is no such file; raises InputError for an unknown key or a wrong type."""
    return read_config(path, Overrides).overrides if path.exists() else ()


def applying(
    overrides: Sequence[Override], outcomes: Sequence[Outcome], candidate: Mapping[str, str | None]
) -> list[Override]:
    """Return the overrides that count.

    These are for the candidate's model and contract, and for a gate that holds or rejects and may be overridden.
    """
    by_gate = {outcome.gate: outcome for outcome in outcomes}
    return [
        override
        for override in overrides
        if override.gate in by_gate
        and may_override(override.gate, by_gate[override.gate].verdict)
        and _is_for(override, by_gate[override.gate], candidate)
    ]


def _is_for(override: Override, outcome: Outcome, candidate: Mapping[str, str | None]) -> bool:
    pairs = {
        "model": (override.model, candidate["model"]),
        "contract": (override.contract, candidate["contract"]),
        "limits": (override.limits, outcome.measured.get("limits")),
    }
    return all(
        (now or "").startswith(given) if given else name != override.gate for name, (given, now) in pairs.items()
    )


def may_override(gate: str, verdict: str | None) -> bool:
    """Say whether a person may accept this verdict of a gate."""
    return verdict == "HOLD" or (verdict == "REJECT" and not is_final(gate))


def is_final(gate: str) -> bool:
    """Say whether nobody may override a REJECT of a gate; a gate that is not known here has none that is final."""
    return gate in BY_NAME and BY_NAME[gate].final
