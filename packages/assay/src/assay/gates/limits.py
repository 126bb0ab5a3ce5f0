"""Limits: what a change is held to, and by which code, does not change without the model owner's approval."""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from assay.base.config import flat, parse_yaml
from assay.base.outcomes import Outcome
from assay.gates.evidence import Evidence

SECTIONS = ("gates", "validate")
# Set where they are used first; gates use them too.
OTHERS = ("analyse.noise", "export.tolerance")


def judge(evidence: Evidence) -> Outcome:
    """Hold limits and judging code to those of the champion; another problem has limits of its own."""
    found = evidence.repository
    if not found.is_new_problem:
        return compare(found.params, found.params_before, found.rewritten, found.judge)
    if found.rewritten:
        return compare(found.params, found.params, found.rewritten, found.judge)
    return Outcome("limits", "SKIP", "another problem has limits of its own; the code that judges is as it was")


def compare(now: bytes, before: bytes | None, rewritten: Sequence[str] = (), judge: str = "") -> Outcome:
    """Compare the limits in the text of params.yaml with those that the champion was held to.

    `rewritten` names the code that judges and differs from the code that judged the champion, `judge` is a hash of
    that code as it is now. An override names the hash of limits and code that is measured as `limits`.
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
        return Outcome("limits", "PROMOTE", "the limits are those of the champion")
    if not changes:
        reason = f"the code that judges changed: {', '.join(rewritten[:3])}; needs the model owner's approval"
        return Outcome("limits", "HOLD", reason, {"rewritten": list(rewritten), "limits": digest})
    said = [f"{c['limit']} from {_words(c['before'])} to {_words(c['now'])}" for c in changes]
    more = f" and {len(said) - 3} more" if len(said) > 3 else ""
    reason = f"params.yaml changes what it is judged by: {', '.join(said[:3])}{more}; needs the model owner's approval"
    return Outcome("limits", "HOLD", reason, {"changes": changes, "rewritten": list(rewritten), "limits": digest})


def _limits(text: bytes) -> dict[str, Any]:
    content = flat(parse_yaml(text.decode()))
    return {name: value for name, value in content.items() if name.split(".")[0] in SECTIONS or name in OTHERS}


def _words(value: Any) -> str:
    return "not set" if value is None else str(value)
