"""Lock: dvc.lock belongs to this code, data, parameters and version of Assay."""

from pathlib import Path
from typing import Any

from assay.base.config import parse_yaml
from assay.base.outcomes import Outcome, combined
from assay.project.fingerprint import PROCESS, fingerprints, recorded

PIPELINE = Path("dvc.yaml")


def judge(stale: list[str], refreshed: bool, before: bytes | None = None) -> Outcome:
    """Check the pipeline as it is here.

    `stale` names the stages that `dvc status` would run; `refreshed` says that the dvc.lock of the commit was not the
    one that its code, data and parameters give; `before` is the dvc.yaml of the champion.
    """
    checks = [_process(), _fresh(stale, refreshed)]
    return combined("lock", checks if before is None else [*checks, _kept(before, PIPELINE.read_bytes())])


def _process() -> Outcome:
    now, before = fingerprints(), recorded()
    other = [part for part in now if now[part] != before.get(part)]
    if not other:
        return Outcome("process", "PROMOTE", f"{PROCESS} belongs to the Assay that is installed")
    reason = f"{PROCESS} is of another Assay than the one installed, for {', '.join(other)}; run `make repro`"
    return Outcome("process", "HOLD", reason, {"other": other})


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
    """Check that every stage of the champion still does what it did, as soon as it did."""
    old, new = (parse_yaml(text.decode()).get("stages") or {} for text in (before, now))
    said = [f"{name} is gone" for name in old if name not in new]
    for name in old.keys() & new.keys():
        gone = _watched(old[name]) - _watched(new[name])
        said += [f"{name} no longer looks at {what}" for what in sorted(gone)]
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
