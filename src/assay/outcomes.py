"""What a check found. A verdict is made from outcomes and from nothing else."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["PROMOTE", "HOLD", "REJECT", "SKIP"]


@dataclass(frozen=True)
class Outcome:
    """The result of one gate: its verdict, the reason in one sentence, what was measured and against what limit."""

    gate: str
    verdict: Verdict
    reason: str
    measured: dict[str, Any] = field(default_factory=dict)
    limit: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as plain data."""
        return asdict(self)
