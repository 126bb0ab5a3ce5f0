"""Lock: dvc.lock belongs to this code, data and parameters, and names all of the code."""

from pathlib import Path
from typing import Any

from dvc.utils.serialize import loads_yaml

from assay.outcomes import Outcome, combined
from assay.pipeline import undeclared

PIPELINE = Path("dvc.yaml")
SOURCE = Path("src")


def judge(stale: list[str], refreshed: bool, before: bytes | None = None) -> Outcome:
    """Check the pipeline as it is here.

    `stale` names the stages that `dvc status` would run; `refreshed` says that the dvc.lock of the commit was not the
    one that its code, data and parameters give; `before` is the dvc.yaml of the champion.
    """
    checks = [_declared(), _fresh(stale, refreshed)]
    return combined("lock", checks if before is None else [*checks, _kept(before, PIPELINE.read_bytes())])


def _declared() -> Outcome:
    missing = undeclared(PIPELINE, SOURCE)
    if not missing:
        return Outcome("deps", "PROMOTE", "dvc.yaml names every local module that a stage imports")
    said = "; ".join(f"stage {stage} lacks {', '.join(modules)}" for stage, modules in missing.items())
    return Outcome("deps", "HOLD", f"dvc.yaml: add to deps: {said}", {"missing": missing})


def _fresh(stale: list[str], refreshed: bool) -> Outcome:
    if stale:
        return Outcome("fresh", "HOLD", f"dvc.lock is not up to date: {', '.join(stale)}; run `dvc repro`")
    if refreshed:
        reason = (
            "the dvc.lock of this commit belongs to another version of code, data or parameters; commit the new one"
        )
        return Outcome("fresh", "HOLD", reason, {"refreshed": True})
    return Outcome("fresh", "PROMOTE", "dvc.lock belongs to this code, data and parameters")


def _kept(before: bytes, now: bytes) -> Outcome:
    """Check that every stage of the champion still does what it did, as soon as it did.

    What a stage imports is held to its code, and may go with that.
    """
    old, new = (loads_yaml(text.decode()).get("stages") or {} for text in (before, now))
    said = [f"{name} is gone" for name in old if name not in new]
    for name in old.keys() & new.keys():
        gone = _watched(old[name]) - _watched(new[name])
        said += [f"{name} no longer looks at {what}" for what in sorted(gone) if not Path(what).is_relative_to(SOURCE)]
        if old[name].get("cmd") != new[name].get("cmd"):
            said.append(f"{name} runs {new[name].get('cmd')!r}")
        if new[name].get("frozen") and not old[name].get("frozen"):
            said.append(f"{name} is frozen, and never runs again")
    if not said:
        return Outcome("pipeline", "PROMOTE", "the stages of dvc.yaml are those of the champion")
    more = f" and {len(said) - 3} more" if len(said) > 3 else ""
    reason = f"dvc.yaml: stage {'; stage '.join(said[:3])}{more}; whoever owns the pipeline has to agree"
    return Outcome("pipeline", "HOLD", reason, {"changes": said})


def _watched(stage: dict[str, Any]) -> set[str]:
    """Return what a stage of dvc.yaml depends on, and what it makes: files, and parameters as `file: key`."""
    found = {name for kind in ("deps", "outs", "metrics", "plots") for name in map(_name, stage.get(kind) or [])}
    for entry in stage.get("params") or []:
        files = entry if isinstance(entry, dict) else {"params.yaml": [entry]}
        found |= {f"{file}: {key}" for file, keys in files.items() for key in keys or ["all of it"]}
    return found


def _name(entry: Any) -> str:
    return str(next(iter(entry)) if isinstance(entry, dict) else entry)
