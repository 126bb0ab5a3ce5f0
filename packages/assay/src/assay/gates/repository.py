"""The project's files and git history for the gates: pipeline, parameters and judging code, before and now."""

import ast
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.base.config import parse_yaml
from assay.base.errors import InputError
from assay.project.change import Change
from assay.project.dvc import stale_stages
from assay.project.fingerprint import PROCESS, fingerprints, recorded
from assay.project.history import dirty_files, file_at
from assay.project.identity import LOCK
from assay.project.imports import Imports
from assay.project.layout import SOURCE
from assay.project.packed import LOCUSTFILE
from assay.project.pipeline import locked_stages
from assay.project.room import PACKAGE
from assay.project.settings import PARAMS

PIPELINE = Path("dvc.yaml")
# The files that `dvc repro` itself changes.
PIPELINE_OUTPUTS = {"dvc.lock", "metrics.json", PROCESS.as_posix()}
EXPECTATIONS = SOURCE / PACKAGE / "expectations.py"
# These files build the model, so they are under judgement, even if expectations import them.
MAKERS = (SOURCE / PACKAGE / "features.py", SOURCE / PACKAGE / "estimators.py")


@dataclass(frozen=True)
class Repository:
    """The state of the project's files.

    `stale` names the stages that `dvc repro` would run. `refreshed` says that the committed dvc.lock does not match the
    code, data and parameters of its commit. `foreign` names the parts of `requirements/process.yaml` that another Assay
    recorded. `pipeline` and `params` are the texts of dvc.yaml and params.yaml; with `_before` those at the base
    commit, None if there are none. `rewritten` names the judging code that changed, `judge` is a hash of that code.
    """

    stale: tuple[str, ...] = ()
    refreshed: bool = False
    foreign: tuple[str, ...] = ()
    pipeline: bytes = b""
    pipeline_before: bytes | None = None
    params: bytes = b""
    params_before: bytes | None = None
    rewritten: tuple[str, ...] = ()
    judge: str = ""
    is_new_problem: bool = False


def look(change: Change) -> Repository:
    """Return the state of the project in the current folder.

    Raises InputError if there is no pipeline or git fails.
    """
    start = change.start
    return Repository(
        stale=tuple(stale_stages()),
        refreshed=_refreshed(change),
        foreign=foreign(),
        pipeline=PIPELINE.read_bytes(),
        pipeline_before=None if start is None else file_at(start, PIPELINE),
        params=PARAMS.read_bytes(),
        params_before=None if start is None else file_at(start, PARAMS),
        rewritten=() if start is None else tuple(rewritten(start, is_new_problem=change.is_new_problem)),
        judge=_judge(),
        is_new_problem=change.is_new_problem,
    )


def foreign() -> tuple[str, ...]:
    """Return the parts of Assay whose recorded hash differs from the installed one."""
    now, before = fingerprints(), recorded()
    return tuple(part for part in now if now[part] != before.get(part))


def rewritten(base: str, *, is_new_problem: bool = False) -> list[str]:
    """Return the judging code that differs from a commit: Assay, expectations, the load script.

    Comments, docstrings and formatting in the project's files are ignored, as are the expectations of a new problem.
    """
    found = ["Assay"] if _recorded_at(base).get("judge") != recorded().get("judge") else []
    judges = {LOCUSTFILE} if is_new_problem else {LOCUSTFILE, *_expecting()}
    return found + sorted(str(path) for path in judges if not _same_code(base, path))


def _judge() -> str:
    """Return a hash of the code that judges: of Assay as recorded, and of the project's files."""
    made = hashlib.sha256(recorded().get("judge", "").encode())
    for path in sorted({LOCUSTFILE, *_expecting()}):
        made.update(path.read_bytes() if path.exists() else b"")
    return made.hexdigest()


def _recorded_at(commit: str) -> Mapping[str, str]:
    try:
        return parse_yaml((file_at(commit, PROCESS) or b"").decode()) or {}
    except ValueError:
        return {}


def _expecting() -> set[Path]:
    """Return expectations.py and the files it imports, except those that build the model."""
    imports = Imports(SOURCE)
    try:
        found = imports.closure(*filter(Path.exists, [EXPECTATIONS]))
        found -= imports.closure(*filter(Path.exists, MAKERS))
    # The code is not valid Python, so there is no model to judge.
    except (SyntaxError, ValueError):
        found = set()
    return found | {EXPECTATIONS}


def _same_code(base: str, path: Path) -> bool:
    before, now = file_at(base, path), path.read_bytes() if path.exists() else None
    if before is None or now is None:
        return before is now
    try:
        return _meaning(before) == _meaning(now)
    except (SyntaxError, ValueError):
        return before == now


def _meaning(code: bytes) -> str:
    """Return a module's syntax tree as text, without docstrings."""
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


def _refreshed(change: Change) -> bool:
    """Return whether the committed dvc.lock does not match the code, data and parameters of its commit."""
    committed = None if change.head is None else file_at(change.head, LOCK)
    if committed is None or not LOCK.exists() or not set(dirty_files()) <= PIPELINE_OUTPUTS:
        return False
    try:
        before = _sources(locked_stages(committed.decode()))
    # A broken dvc.lock, as after a merge, matches nothing.
    except InputError:
        return True
    return before != _sources(locked_stages(LOCK.read_text(encoding="utf-8")))


def _sources(stages: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs recorded in a dvc.lock, without outputs of stages, which may differ between machines."""
    made = {out["path"] for stage in stages.values() for out in stage.get("outs", [])}
    return {
        name: {
            "cmd": stage.get("cmd"),
            "params": stage.get("params"),
            "deps": {dep["path"]: dep.get("md5") for dep in stage.get("deps", []) if dep["path"] not in made},
        }
        for name, stage in stages.items()
    }
