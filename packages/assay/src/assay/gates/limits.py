"""Limits: what a change is held to, and by which code, does not change without the model owner's approval."""

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assay.base.config import flat, parse_yaml
from assay.base.outcomes import Outcome
from assay.project.fingerprint import PROCESS
from assay.project.history import changed_lines, file_at
from assay.project.imports import Imports
from assay.project.packed import LOCUSTFILE
from assay.project.room import PACKAGE, SOURCE

SECTIONS = ("gates", "validate")
# Set where they are used first; gates use them too.
OTHERS = ("analyse.noise", "export.tolerance")
EXPECTATIONS = SOURCE / PACKAGE / "expectations.py"
# What makes the model: these are judged, whether an expectation imports them too or not.
MAKERS = (SOURCE / PACKAGE / "features.py", SOURCE / PACKAGE / "estimators.py")


def judge(now: bytes, before: bytes | None, rewritten: Sequence[str] = ()) -> Outcome:
    """Compare the limits in the text of params.yaml with those that the champion was held to.

    `rewritten` names the code that judges and differs from the code that judged the champion.
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
        reason = f"the code that judges changed: {', '.join(rewritten[:3])}; needs the model owner's approval"
        return Outcome("limits", "HOLD", reason, {"rewritten": list(rewritten)})
    said = [f"{c['limit']} from {_words(c['before'])} to {_words(c['now'])}" for c in changes]
    more = f" and {len(said) - 3} more" if len(said) > 3 else ""
    reason = f"params.yaml changes what it is judged by: {', '.join(said[:3])}{more}; needs the model owner's approval"
    return Outcome("limits", "HOLD", reason, {"changes": changes, "rewritten": list(rewritten)})


def rewritten(base: str, *, is_new_problem: bool = False) -> list[str]:
    """Return what judges a model and differs from a commit: Assay, expectations, the load script.

    Comments, docstrings and formatting make no difference in files of the project. The expectations of another problem
    are others by nature.
    """
    found = []
    recorded = file_at(base, PROCESS)
    before = {} if recorded is None else parse_yaml(recorded.decode()) or {}
    now = parse_yaml(PROCESS.read_text(encoding="utf-8")) or {} if PROCESS.exists() else {}
    if before.get("judge") != now.get("judge"):
        found.append("Assay")
    judges = {LOCUSTFILE}
    if not is_new_problem:
        imports = Imports(SOURCE)
        judges |= imports.closure(*filter(Path.exists, [EXPECTATIONS]))
        judges -= imports.closure(*filter(Path.exists, MAKERS))
        judges |= {EXPECTATIONS}
    changed = {Path(path) for path, _, _ in changed_lines(base)}
    return found + sorted(str(path) for path in judges & changed if not _same_code(base, path))


def _same_code(base: str, path: Path) -> bool:
    before, now = file_at(base, path), path.read_bytes() if path.exists() else None
    return before is not None and now is not None and _meaning(before) == _meaning(now)


def _meaning(code: bytes) -> str:
    """Return what a module says, without comments, formatting and docstrings."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return ast.dump(tree)


def _limits(text: bytes) -> dict[str, Any]:
    content = flat(parse_yaml(text.decode()))
    return {name: value for name, value in content.items() if name.split(".")[0] in SECTIONS or name in OTHERS}


def _words(value: Any) -> str:
    return "not set" if value is None else str(value)
