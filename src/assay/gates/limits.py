"""Limits: what a change is held to, and by which code, does not change without somebody saying so."""

import dis
from collections.abc import Sequence
from pathlib import Path
from types import CodeType
from typing import Any

from dvc.utils.serialize import loads_yaml

from assay.config import flat
from assay.history import changed_lines, file_at
from assay.outcomes import Outcome
from assay.pipeline import Imports

SECTIONS = ("gates", "validate")
# Set beside what they are for, and used by gates too.
OTHERS = ("analyse.noise", "export.tolerance")
SOURCE = Path("src")
JUDGE = Path("assay/gates/verdict.py")
# What measures a service is run in processes of its own, and judges it as much.
MEASURES = [Path("assay/load", f"{name}.py") for name in ("run", "driver", "payloads")]
LOCUSTFILE = Path("loadtests/locustfile.py")
# What makes the model; what these import is judged, whether a gate imports it too or not.
MAKERS = [Path("assay/stages", f"{stage}.py") for stage in ("prepare", "tune", "train", "export")]
# But for the metrics: the search for a model uses them, and they judge it all the same.
EVALUATION = SOURCE / "assay/evaluation"


def judge(now: bytes, before: bytes | None, rewritten: Sequence[str] = ()) -> Outcome:
    """Compare the limits in the text of params.yaml with those that the champion was held to.

    `rewritten` names the files of code that judge, and that differ from those that judged the champion.
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
        reason = f"the code that judges changed: {', '.join(rewritten[:3])}; whoever owns the model has to agree"
        return Outcome("limits", "HOLD", reason, {"rewritten": list(rewritten)})
    said = [f"{c['limit']} from {_words(c['before'])} to {_words(c['now'])}" for c in changes]
    more = f" and {len(said) - 3} more" if len(said) > 3 else ""
    reason = (
        f"params.yaml changes what it is judged by: {', '.join(said[:3])}{more}; whoever owns the model has to agree"
    )
    return Outcome("limits", "HOLD", reason, {"changes": changes, "rewritten": list(rewritten)})


def rewritten(base: str) -> list[str]:
    """Return the modules that judge a model, and have no part in making it, whose code differs from that of a commit.

    Comments, docstrings, formatting and the names of local variables make no difference.
    """
    changed = [Path(path) for path, _, _ in changed_lines(base) if Path(path).suffix == ".py"]
    if not any(path == LOCUSTFILE or path.is_relative_to(SOURCE) for path in changed):
        return []
    imports = Imports(SOURCE)
    judges = {LOCUSTFILE}.union(*(imports.of(SOURCE / module) for module in (JUDGE, *MEASURES)))
    for maker in MAKERS:
        judges -= {path for path in imports.of(SOURCE / maker) if not path.is_relative_to(EVALUATION)}
    # What was removed judges no more, and is imported by none.
    removed = {path for path in changed if path.is_relative_to(SOURCE / JUDGE.parent) and not path.exists()}
    return sorted(str(path) for path in changed if path in judges | removed and not _same_code(base, path))


def _same_code(base: str, path: Path) -> bool:
    before, now = file_at(base, path), path.read_bytes() if path.exists() else None
    return before is not None and now is not None and _meaning(before) == _meaning(now)


def _meaning(code: bytes) -> Any:
    """Return what a module compiles to, without docstrings, line numbers and the names of local variables."""
    return _instructions(compile(code, "", "exec", optimize=2, dont_inherit=True))


def _instructions(code: CodeType) -> Any:
    inner = [_instructions(part) if isinstance(part, CodeType) else (type(part), part) for part in code.co_consts]
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    # Where a docstring stood, an instruction is left that does nothing.
    steps = [(step.opcode, step.arg) for step in dis.get_instructions(code) if step.opname != "NOP"]
    return steps, code.co_names, arguments, inner


def _limits(text: bytes) -> dict[str, Any]:
    content = flat(loads_yaml(text.decode()))
    return {name: value for name, value in content.items() if name.split(".")[0] in SECTIONS or name in OTHERS}


def _words(value: Any) -> str:
    return "not set" if value is None else str(value)
