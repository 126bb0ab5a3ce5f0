"""Outcomes of checks. A verdict is made only from outcomes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["PROMOTE", "HOLD", "REJECT", "SKIP"]


@dataclass(frozen=True)
class Outcome:
    """The result of one gate: its verdict, the reason in one sentence, what was measured, and the limits."""

    gate: str
    verdict: Verdict
    reason: str
    measured: dict[str, Any] = field(default_factory=dict)
    limit: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as plain data."""
        return asdict(self)


def not_judged(gate: str, why: str) -> Outcome:
    """Return the outcome of a gate that had nothing to judge: HOLD, marked as not judged."""
    return Outcome(gate, "HOLD", f"not judged: {why}", {"judged": False})


def was_judged(measured: Mapping[str, Any]) -> bool:
    """Say from its measurements whether a gate judged anything."""
    return measured.get("judged") is not False


# From best to worst; SKIP means that a gate does not apply, and does not count.
SEVERITY: list[Verdict] = ["SKIP", "PROMOTE", "HOLD", "REJECT"]


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """Return REJECT if any rejects, else HOLD if any holds, else PROMOTE; HOLD if nothing was judged.

    >>> overall(["PROMOTE", "HOLD", "SKIP"]), overall(["SKIP"])
    ('HOLD', 'HOLD')
    """
    worst = max([*verdicts, SEVERITY[0]], key=SEVERITY.index)
    return "HOLD" if worst == "SKIP" else worst


def combined(gate: str, checks: Sequence[Outcome]) -> Outcome:
    """Return the outcome of a gate with several checks: the worst verdict and the reasons for it.

    Each check keeps its name, verdict, reason and measurements under `measured`.
    """
    if not checks:
        return Outcome(gate, "HOLD", "nothing was checked")
    worst = max((check.verdict for check in checks), key=SEVERITY.index)
    reasons = [check.reason for check in checks if check.verdict == worst]
    # If all is well, the reason of the first check is enough.
    reason = reasons[0] if worst == "PROMOTE" else "; ".join(reasons)
    measured = {check.gate: {"verdict": check.verdict, "reason": check.reason, **check.measured} for check in checks}
    return Outcome(gate, worst, reason, measured, {name: v for check in checks for name, v in check.limit.items()})
