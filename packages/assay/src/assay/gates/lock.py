"""Lock: dvc.lock matches the code, data, parameters and version of Assay."""

from collections.abc import Sequence
from typing import Any

from assay.base.config import parse_yaml
from assay.base.outcomes import Outcome, combined
from assay.gates.evidence import Evidence
from assay.gates.repository import Repository
from assay.project.fingerprint import PROCESS


def judge(evidence: Evidence) -> Outcome:
    """Check that the pipeline was run on the current files and has the same stages as the champion's."""
    return compare(evidence.repository)


def compare(found: Repository) -> Outcome:
    """Check the recorded hashes of Assay, stale stages, and changes of the stages."""
    checks = [_process(found.foreign), _fresh(found.stale, refreshed=found.refreshed)]
    if found.pipeline_before is not None:
        checks.append(_stages(found.pipeline_before, found.pipeline))
    return combined("lock", checks)


def _process(foreign: Sequence[str]) -> Outcome:
    if not foreign:
        return Outcome("process", "PROMOTE", f"{PROCESS} matches the installed Assay")
    reason = f"{PROCESS} does not match the installed Assay (differs for {', '.join(foreign)}); run `make repro`"
    return Outcome("process", "HOLD", reason, {"other": list(foreign)})


def _fresh(stale: Sequence[str], *, refreshed: bool) -> Outcome:
    if stale:
        return Outcome("fresh", "HOLD", f"dvc.lock is not up to date: {', '.join(stale)}; run `dvc repro`")
    if refreshed:
        # The model is fine: this run wrote the right dvc.lock, which only needs to be committed.
        reason = "this run wrote a dvc.lock that matches the code, data and parameters; it is not committed yet"
        return Outcome("fresh", "PROMOTE", reason, {"refreshed": True})
    return Outcome("fresh", "PROMOTE", "dvc.lock matches the code, data and parameters")


def _stages(before: bytes, now: bytes) -> Outcome:
    """Check that every stage of the champion still has its command, dependencies and outputs."""
    old, new = (parse_yaml(text.decode()).get("stages") or {} for text in (before, now))
    said = [f"{name} was removed" for name in old if name not in new]
    for name in old.keys() & new.keys():
        gone = _watched(old[name]) - _watched(new[name])
        said += [f"{name} no longer lists {what}" for what in sorted(gone)]
        if old[name].get("cmd") != new[name].get("cmd"):
            said.append(f"{name} now runs {new[name].get('cmd')!r}")
        if new[name].get("frozen") and not old[name].get("frozen"):
            said.append(f"{name} is frozen and never runs")
    if not said:
        return Outcome("pipeline", "PROMOTE", "the stages of dvc.yaml are the same as the champion's")
    more = f" and {len(said) - 3} more" if len(said) > 3 else ""
    reason = f"dvc.yaml: stage {'; stage '.join(said[:3])}{more}; needs the pipeline owner's approval"
    return Outcome("pipeline", "HOLD", reason, {"changes": said})


def _watched(stage: dict[str, Any]) -> set[str]:
    """Return the dependencies and outputs of a stage of dvc.yaml: files, and parameters as `file: key`."""
    found = {name for kind in ("deps", "outs", "metrics", "plots") for name in map(_name, stage.get(kind) or [])}
    for entry in stage.get("params") or []:
        files = entry if isinstance(entry, dict) else {"params.yaml": [entry]}
        found |= {f"{file}: {key}" for file, keys in files.items() for key in keys or ["all of it"]}
    return found


def _name(entry: Any) -> str:
    return str(next(iter(entry)) if isinstance(entry, dict) else entry)
