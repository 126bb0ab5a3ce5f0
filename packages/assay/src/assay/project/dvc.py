"""The main job: data from the remote if it is not here, then whatever stage has changed."""

import sys
from pathlib import Path

from dvc.cli import main as dvc
from dvc.repo import Repo

from assay.base.conflicts import require_no_conflict
from assay.base.errors import InputError
from assay.base.files import write_text
from assay.base.progress import say
from assay.contract.spec import load_contract
from assay.project.data import bring, in_one_line
from assay.project.fingerprint import PROCESS, refresh
from assay.project.freeze import adopt, with_search
from assay.project.hooks import install
from assay.project.layout import METRICS, read_choice
from assay.project.params import ModelChoice, load_params
from assay.project.settings import PARAMS

# DVC names a merge conflict in one of these as broken YAML, or overwrites it.
READ_BY_DVC = (Path("dvc.yaml"), Path("dvc.lock"), Path("data.dvc"), PROCESS, METRICS)


def stale_stages() -> list[str]:
    """Return the stages that `dvc repro` would run; raises InputError where there is no pipeline."""
    _require_pipeline()
    with in_one_line(), Repo() as repo:
        return list(repo.status())


def changed() -> bool:
    """Say whether `dvc repro` has anything to do."""
    return bool(stale_stages())


def reproduce() -> bool:
    """Run `dvc repro`, in this process and only if something changed; return whether it did.

    Raises InputError when the configuration is wrong, or when a stage failed; the stage has said why by then.
    """
    _prepare()
    if not changed():
        say("nothing changed: no stage ran")
        return False
    # A stage prints to the terminal by itself; what DVC prints must not overtake it.
    sys.stdout.flush()
    if dvc(["repro"]):
        raise InputError("the pipeline stopped at the stage named above; what it had finished before is kept")
    return True


def tune() -> ModelChoice:
    """Search for a model, and write what was found into params.yaml; return it.

    Raises InputError when the search fails; params.yaml is as it was then.
    """
    _prepare()
    before = PARAMS.read_text(encoding="utf-8")
    write_text(PARAMS, with_search(before))
    failed = True
    try:
        failed = bool(dvc(["repro", "tune"]))
    finally:
        if failed:
            write_text(PARAMS, before)
    if failed:
        raise InputError("the search stopped; what it had to say stands above")
    choice = read_choice()
    adopt(choice, before)
    return choice


def _prepare() -> None:
    """Read the configuration, record Assay's code and bring the data, so that DVC knows what has changed."""
    load_params()
    contract = load_contract()
    _require_pipeline()
    refresh()
    bring(contract)
    install()


def _require_pipeline() -> None:
    if not Path("dvc.yaml").exists():
        raise InputError("dvc.yaml: there is no pipeline here; run this in the folder of the project")
    for path in filter(Path.exists, READ_BY_DVC):
        require_no_conflict(path, path.read_text(encoding="utf-8", errors="replace"))
