"""Newer data for the same problem: the contract keeps its owner's decisions and changes only where necessary."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from assay.contract.spec import Contract
from assay.init.infer import Plan
from assay.init.kinds import KEYS
from assay.init.write import as_yaml

MOST_SHOWN = 5


def is_same_problem(old: Contract, plan: Plan) -> bool:
    """Say whether a plan is for newer data of an existing contract: same target, and most of its columns."""
    there = sum(name in plan.contract["columns"] for name in old.columns)
    return old.target.name == plan.contract["target"]["name"] and 2 * there > len(old.columns)


def renewed(text: str, plan: Plan, *, replaced: tuple[str, ...] = ()) -> tuple[str, list[str]]:
    """Return the text of contract.yaml, updated for newer data, and the list of changes.

    Ranges are widened, categories and classes added, missing values allowed, new columns added and gone ones removed;
    everything else stays, comments included. The data no longer fits the kind of the columns in `replaced`, so they get
    their new kind from the plan.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    content = yaml.load(text)
    columns: CommentedMap = content["columns"]
    changes: list[str] = []
    gone = [name for name in columns if name not in plan.contract["columns"] and not columns[name].get("counted")]
    for name in gone:
        del columns[name]
        changes.append(f"{name}: removed: no longer in the data")
        _forget(content, name, changes)
    for name, new in plan.contract["columns"].items():
        if name not in columns:
            columns[name] = _flow(new)
            changes.append(f"{name}: new column, {new['kind']}")
        elif name in replaced:
            columns[name] = _flow(new)
            changes.append(f"{name}: the data no longer fits its kind; now {new['kind']}")
        else:
            changes += [f"{name}: {change}" for change in _widen(columns[name], new, plan.extremes.get(name))]
    changes += [f"{content['target']['name']}: {change}" for change in _widen_target(content["target"], plan)]
    made = io.StringIO()
    yaml.dump(content, made)
    return made.getvalue(), changes


def _forget(content: CommentedMap, name: str, changes: list[str]) -> None:
    """Remove a column from the lists that name it."""
    for key in ("sensitive", "slices"):
        listed = content.get(key) or []
        for entry in [entry for entry in listed if name in (entry, entry.get("column") if key == "slices" else None)]:
            listed.remove(entry)
            changes.append(f"{name}: removed from {key}")


def _widen(old: CommentedMap, new: Mapping[str, Any], seen: tuple[Any, Any] | None) -> list[str]:
    changes: list[str] = []
    if old["kind"] in ("id", "ignored"):
        return changes
    if old["kind"] == "integer" and new["kind"] == "number":
        old["kind"] = "number"
        changes.append("now has fractions: kind is now number")
    if new.get("missing") == "allow" and old.get("missing") != "allow":
        old["missing"] = "allow"
        changes.append("values may now be missing")
    if seen is not None and "range" in old and "range" in new:
        changes += _stretch(old, seen, new["range"])
    if old["kind"] == "category" and "values" in new:
        changes += _extend(old["values"], new["values"])
    if old["kind"] in KEYS:
        changes += _clean_more(old, {k: v for k, v in new.get("cleaning", {}).items() if k in KEYS[old["kind"]]})
    if old["kind"] == "text" and new.get("max_length", 0) > 4 * old.get("max_length", 10_000):
        old["max_length"] = new["max_length"]
        changes.append(f"texts may now have up to {new['max_length']} characters")
    return changes


def _clean_more(old: CommentedMap, found: Mapping[str, Any]) -> list[str]:
    """Add what newer data needs to be read; what was agreed stays."""
    changes: list[str] = []
    section = old.get("cleaning") or {}
    for key, new in found.items():
        before = section.get(key)
        value = _joined(before, new)
        if value != before:
            section = {**section, key: value}
            changes.append(f"values are now read with `{key}: {_shown(value)}`")
    if changes:
        old["cleaning"] = _flow(section)
    return changes


def _joined(before: Any, new: Any) -> Any:
    """Return a setting that reads what the old and the new one read; if there is none, the old one."""
    if isinstance(new, Mapping):
        return {**new, **(before or {})}
    if isinstance(new, Sequence) and not isinstance(new, str):
        return list(dict.fromkeys([*(before or []), *new]))
    return new if before in (None, "keep") else before


def _shown(value: Any) -> str:
    return f"[{', '.join(map(repr, value))}]" if isinstance(value, list) else str(value)


def _widen_target(old: CommentedMap, plan: Plan) -> list[str]:
    new = plan.contract["target"]
    if "classes" in old:
        return _extend(old["classes"], new["classes"])
    return _stretch(old, plan.extremes[old["name"]], new["range"]) if "range" in old else []


def _stretch(old: CommentedMap, seen: tuple[Any, Any], room: tuple[Any, Any]) -> list[str]:
    low, high = old["range"]
    before = [str(low), str(high)]
    if str(low) != str(seen[0]) and _less(seen[0], low):
        low = room[0]
    if str(high) != str(seen[1]) and _less(high, seen[1]):
        high = room[1]
    if [str(low), str(high)] == before:
        return []
    old["range"] = _flow([low, high])
    return [f"range widened from {before[0]} to {before[1]} to {low} to {high}"]


def _less(one: Any, other: Any) -> bool:
    # ISO 8601 texts sort in the order of time.
    return str(one) < str(other) if isinstance(one, str) or isinstance(other, str) else bool(one < other)


def _extend(old: CommentedSeq, new: list[str]) -> list[str]:
    added = [value for value in new if value not in [str(known) for known in old]]
    old.extend(added)
    if not added:
        return []
    shown = ", ".join(map(repr, added[:MOST_SHOWN]))
    return [f"new values {shown}" + (f" and {len(added) - MOST_SHOWN} more" if len(added) > MOST_SHOWN else "")]


def _flow(value: Any) -> Any:
    made = as_yaml(value)
    made.fa.set_flow_style()
    return made
