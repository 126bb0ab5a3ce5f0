"""Overrides: a named person accepts the HOLD or REJECT of a gate, for one model and with a reason."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from assay.base.config import Frozen, read_config
from assay.base.outcomes import Outcome
from assay.gates.gate import BY_NAME

OVERRIDES = Path("overrides.yaml")


class Override(Frozen):
    """A person's approval for one gate, one model and the limits that it was judged by.

    `model` and `contract` are the hashes in the report, `limits` that of the gate `limits`: at least eight hexadecimal
    digits each. A changed model, contract or limit needs a new override.
    """

    gate: str = Field(min_length=1)
    by: str = Field(min_length=1, max_length=200)
    why: str = Field(min_length=1, max_length=2000)
    model: str = Field(pattern=r"^[0-9a-f]{8,32}$")
    # Overrides for an earlier Assay lack these two; they apply to all gates except `contract` and `limits`.
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
    """Return the overrides that apply: for the candidate's model and contract, and an overridable outcome."""
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
    """Return whether a person may override this verdict of a gate."""
    return verdict == "HOLD" or (verdict == "REJECT" and not is_final(gate))


def is_final(gate: str) -> bool:
    """Return whether a REJECT of a gate cannot be overridden; False for an unknown gate."""
    return gate in BY_NAME and BY_NAME[gate].final
