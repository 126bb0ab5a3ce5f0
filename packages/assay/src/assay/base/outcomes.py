"""What a check found. A verdict is made from outcomes and from nothing else."""

from collections.abc import Mapping, Sequence
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


def not_judged(gate: str, why: str) -> Outcome:
    """Return the outcome of a gate that had nothing to judge: HOLD, marked so that it is told from one that judged."""
    return Outcome(gate, "HOLD", f"not judged: {why}", {"judged": False})


def was_judged(measured: Mapping[str, Any]) -> bool:
    """Say by what was measured whether a gate judged."""
    return measured.get("judged") is not False


# From good to bad; SKIP is for what does not apply, and weighs nothing.
SEVERITY: list[Verdict] = ["SKIP", "PROMOTE", "HOLD", "REJECT"]


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """Return REJECT if any rejects, else HOLD if any holds, else PROMOTE; where nothing was judged HOLD."""
    worst = max([*verdicts, SEVERITY[0]], key=SEVERITY.index)
    return "HOLD" if worst == "SKIP" else worst


def combined(gate: str, checks: Sequence[Outcome]) -> Outcome:
    """Return the outcome of a gate that looked at several things: the worst verdict, with the reasons for it.

    Each check keeps its name, verdict, reason and figures under `measured`.
    """
    if not checks:
        return Outcome(gate, "HOLD", "nothing was checked")
    worst = max((check.verdict for check in checks), key=SEVERITY.index)
    reasons = [check.reason for check in checks if check.verdict == worst]
    # Where all is well, the first thing looked at is the one to tell of.
    reason = reasons[0] if worst == "PROMOTE" else "; ".join(reasons)
    measured = {check.gate: {"verdict": check.verdict, "reason": check.reason, **check.measured} for check in checks}
    return Outcome(gate, worst, reason, measured, {name: v for check in checks for name, v in check.limit.items()})
