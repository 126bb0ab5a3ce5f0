"""Whether clients of a service can stay as they are when its contract changes."""

from typing import Any

from assay.contract.spec import Contract, Feature


def serves_clients_of(before: Contract, now: Contract) -> bool:
    """Return whether every request under the contract `before` is valid and means the same now, as do the answers."""
    if _answers(before) != _answers(now) or set(before.missing_markers) != set(now.missing_markers):
        return False
    if before.features.keys() - now.features.keys():
        return False
    return all(
        _accepts(before.features[name], column) if name in before.features else column.missing == "allow"
        for name, column in now.features.items()
    )


def _answers(contract: Contract) -> tuple[Any, ...]:
    target = contract.target
    return contract.task, target.name, target.classes, target.positive, target.unit


def _accepts(before: Feature, now: Feature) -> bool:
    """Return whether a column accepts every value that it accepted before."""
    old, new = before.model_dump(), now.model_dump()
    if any(old.get(key) != new.get(key) for key in ("kind", "unit", "format")):
        return False
    return (
        (old["missing"] == "refuse" or new["missing"] == "allow")
        and set(old.get("values", ())) <= set(new.get("values", ()))
        and old.get("max_length", 0) <= new.get("max_length", 0)
        and _contains(new.get("range"), old.get("range"))
    )


def _contains(outer: tuple[Any, Any] | None, inner: tuple[Any, Any] | None) -> bool:
    if outer is None:
        return True
    return inner is not None and outer[0] <= inner[0] and inner[1] <= outer[1]
