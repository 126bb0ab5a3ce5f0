"""Limits: what a change is held to, and by which code, does not change without somebody saying so."""

from collections.abc import Sequence
from typing import Any

from dvc.utils.serialize import loads_yaml

from assay.config import flat
from assay.outcomes import Outcome

SECTIONS = ("gates", "validate")


def judge(now: bytes, before: bytes | None, rewritten: Sequence[str] = ()) -> Outcome:
    """Compare the limits in the text of params.yaml with those that the champion was held to.

    `rewritten` names the files of the gates that differ from those that judged the champion.
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
    if not changes and not rewritten:
        return Outcome("limits", "PROMOTE", "the limits are those of the champion")
    if not changes:
        reason = f"the gates themselves changed: {', '.join(rewritten[:3])}; whoever owns the model has to agree"
        return Outcome("limits", "HOLD", reason, {"rewritten": list(rewritten)})
    said = [f"{c['limit']} from {_words(c['before'])} to {_words(c['now'])}" for c in changes]
    more = f" and {len(said) - 3} more" if len(said) > 3 else ""
    reason = (
        f"params.yaml changes what it is judged by: {', '.join(said[:3])}{more}; whoever owns the model has to agree"
    )
    return Outcome("limits", "HOLD", reason, {"changes": changes, "rewritten": list(rewritten)})


def _limits(text: bytes) -> dict[str, Any]:
    content = loads_yaml(text.decode())
    return flat({section: content.get(section) or {} for section in SECTIONS})


def _words(value: Any) -> str:
    return "not set" if value is None else str(value)
