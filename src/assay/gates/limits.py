"""Limits: what a change is held to is not changed by the change itself without somebody saying so."""

from typing import Any

from dvc.utils.serialize import loads_yaml

from assay.config import flat
from assay.outcomes import Outcome

SECTIONS = ("gates", "validate")


def judge(now: bytes, before: bytes | None) -> Outcome:
    """Compare the limits in the text of params.yaml with those that the champion was held to."""
    old = {} if before is None else _limits(before)
    if not any(name.startswith("gates.") for name in old):
        return Outcome("limits", "SKIP", "there are no earlier limits to compare with")
    new = _limits(now)
    changes = [
        {"limit": name, "before": old.get(name), "now": new.get(name)}
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]
    if not changes:
        return Outcome("limits", "PROMOTE", "the limits are those of the champion")
    said = [f"{c['limit']} from {_words(c['before'])} to {_words(c['now'])}" for c in changes]
    more = f" and {len(said) - 3} more" if len(said) > 3 else ""
    reason = (
        f"params.yaml changes what it is judged by: {', '.join(said[:3])}{more}; whoever owns the model has to agree"
    )
    return Outcome("limits", "HOLD", reason, {"changes": changes})


def _limits(text: bytes) -> dict[str, Any]:
    content = loads_yaml(text.decode())
    return flat({section: content.get(section) or {} for section in SECTIONS})


def _words(value: Any) -> str:
    return "not set" if value is None else str(value)
