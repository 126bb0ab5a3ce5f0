"""Lock: dvc.lock belongs to this code, data and parameters, and names all of the code."""

from pathlib import Path

from assay.outcomes import Outcome, combined
from assay.pipeline import undeclared


def judge(stale: list[str], refreshed: bool) -> Outcome:
    """Check the pipeline as it is here.

    `stale` names the stages that `dvc status` would run; `refreshed` says that the dvc.lock of the commit was not the
    one that its code, data and parameters give.
    """
    return combined("lock", [_declared(), _fresh(stale, refreshed)])


def _declared() -> Outcome:
    missing = undeclared(Path("dvc.yaml"), Path("src"))
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
