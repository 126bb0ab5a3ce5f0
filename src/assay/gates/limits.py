"""Limits: what a change is held to is not changed by the change itself without somebody saying so."""

from typing import Any

from dvc.utils.serialize import loads_yaml

from assay.outcomes import Outcome

SECTIONS = ("gates", "validate")


def judge(now: bytes, before: bytes | None) -> Outcome:
    """Compare the limits in the text of params.yaml with those that the champion was held to."""
    if before is None or "gates" not in (old := loads_yaml(before.decode())):
        return Outcome("limits", "SKIP", "there are no earlier limits to compare with")
    new = loads_yaml(now.decode())
    changes = [
        {"limit": name, "before": a, "now": b}
        for name, (a, b) in _paired(_flat(old, SECTIONS), _flat(new, SECTIONS)).items()
        if a != b
    ]
    if not changes:
        return Outcome("limits", "PROMOTE", "the limits are those of the champion")
    said = [f"{c['limit']} from {_words(c['before'])} to {_words(c['now'])}" for c in changes]
    more = f" and {len(said) - 3} more" if len(said) > 3 else ""
    reason = (
        f"params.yaml changes what it is judged by: {', '.join(said[:3])}{more}; whoever owns the model has to agree"
    )
    return Outcome("limits", "HOLD", reason, {"changes": changes})


def _paired(before: dict[str, Any], now: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (before.get(name), now.get(name)) for name in {**before, **now}}


def _flat(content: dict[str, Any], sections: tuple[str, ...], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in content.items():
        if prefix or name in sections:
            nested = isinstance(value, dict)
            found |= _flat(value, sections, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return found


def _words(value: Any) -> str:
    return "not set" if value is None else str(value)
