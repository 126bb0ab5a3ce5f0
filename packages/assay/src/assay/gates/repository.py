"""What the gates ask of the project's files and of git: pipeline, parameters and judging code, before and now."""

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
from assay.project.packed import LOCUSTFILE
from assay.project.pipeline import locked_stages
from assay.project.room import PACKAGE, SOURCE
from assay.project.settings import PARAMS

PIPELINE = Path("dvc.yaml")
# What `dvc repro` itself changes.
MADE = {"dvc.lock", "metrics.json", PROCESS.as_posix()}
EXPECTATIONS = SOURCE / PACKAGE / "expectations.py"
# What makes the model: these are judged, whether an expectation imports them too or not.
MAKERS = (SOURCE / PACKAGE / "features.py", SOURCE / PACKAGE / "estimators.py")


@dataclass(frozen=True)
class Repository:
    """What the files of the project say, and what git says of them.

    `stale` names the stages that `dvc status` would run, `refreshed` says that the dvc.lock of the commit is not the
    one that its code, data and parameters give, `foreign` names the parts of `requirements/process.yaml` that another
    Assay recorded. `pipeline` and `params` are the texts of dvc.yaml and params.yaml, `_before` at the start of the
    change, None where there are none. `rewritten` names the code that judges and has changed, `judge` is a hash of that code.
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
    """Look at the project in the current folder.

    Raises InputError where there is no pipeline, or git fails.
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
    """Return the parts of Assay for which the project has recorded another one than is installed."""
    now, before = fingerprints(), recorded()
    return tuple(part for part in now if now[part] != before.get(part))


def rewritten(base: str, *, is_new_problem: bool = False) -> list[str]:
    """Return what judges a model and differs from a commit: Assay, expectations, the load script.

    Comments, docstrings and formatting make no difference in files of the project. The expectations of another problem
    are others by nature.
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
    """Return the expectations and the files that they import, without what makes the model."""
    imports = Imports(SOURCE)
    try:
        found = imports.closure(*filter(Path.exists, [EXPECTATIONS]))
        found -= imports.closure(*filter(Path.exists, MAKERS))
    # Code that is no Python: no model of it is judged at all.
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


def _refreshed(change: Change) -> bool:
    """Say whether the commit's own dvc.lock is not the one that its code, data and parameters give."""
    committed = None if change.head is None else file_at(change.head, LOCK)
    if committed is None or not LOCK.exists() or not set(dirty_files()) <= MADE:
        return False
    try:
        before = _sources(locked_stages(committed.decode()))
    # A lock that cannot be read, as after a merge, belongs to nothing.
    except InputError:
        return True
    return before != _sources(locked_stages(LOCK.read_text(encoding="utf-8")))


def _sources(stages: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a dvc.lock was made from, without what the stages made: that may differ from machine to machine."""
    made = {out["path"] for stage in stages.values() for out in stage.get("outs", [])}
    return {
        name: {
            "cmd": stage.get("cmd"),
            "params": stage.get("params"),
            "deps": {dep["path"]: dep.get("md5") for dep in stage.get("deps", []) if dep["path"] not in made},
        }
        for name, stage in stages.items()
    }
