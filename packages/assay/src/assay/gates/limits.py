"""Limits: limits and judging code do not change without the model owner's approval."""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from assay.base.config import flat, parse_yaml
from assay.base.outcomes import Outcome
from assay.gates.evidence import Evidence

SECTIONS = ("gates", "validate")
# Set in other sections, but gates use them too.
OTHERS = ("analyse.noise", "export.tolerance")


def judge(evidence: Evidence) -> Outcome:
    """Compare limits and judging code with the champion's; a new problem has its own limits."""
    found = evidence.repository
    if not found.is_new_problem:
        return compare(found.params, found.params_before, found.rewritten, found.judge)
    if found.rewritten:
        return compare(found.params, found.params, found.rewritten, found.judge)
    return Outcome("limits", "SKIP", "a new problem has its own limits; the judging code is unchanged")


def compare(now: bytes, before: bytes | None, rewritten: Sequence[str] = (), judge: str = "") -> Outcome:
    """Compare the limits in the text of params.yaml with those of the champion.

    `rewritten` names the judging code that differs from the champion's; `judge` is a hash of the current judging code.
    The measured `limits` is the hash of limits and code that an override must name.
    """
    old = {} if before is None else _limits(before)
    if not any(name.startswith("gates.") for name in old):
        return Outcome("limits", "SKIP", "there are no earlier limits to compare with")
    new = _limits(now)
    changes = [
        {"limit": name, "before": old.get(name), "now": new.get(name)}
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]
    digest = sha256(f"{json.dumps(new, sort_keys=True)} {judge}".encode()).hexdigest()[:12]
    if not changes and not rewritten:
        return Outcome("limits", "PROMOTE", "the limits are the same as the champion's")
    if not changes:
        reason = f"the judging code changed: {', '.join(rewritten[:3])}; needs the model owner's approval"
        return Outcome("limits", "HOLD", reason, {"rewritten": list(rewritten), "limits": digest})
    said = [f"{c['limit']} from {_words(c['before'])} to {_words(c['now'])}" for c in changes]
    more = f" and {len(said) - 3} more" if len(said) > 3 else ""
    reason = f"params.yaml changes limits: {', '.join(said[:3])}{more}; needs the model owner's approval"
    return Outcome("limits", "HOLD", reason, {"changes": changes, "rewritten": list(rewritten), "limits": digest})


def _limits(text: bytes) -> dict[str, Any]:
    content = flat(parse_yaml(text.decode()))
    return {name: value for name, value in content.items() if name.split(".")[0] in SECTIONS or name in OTHERS}


def _words(value: Any) -> str:
    return "not set" if value is None else str(value)
