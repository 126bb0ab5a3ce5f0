"""The pipeline: fetch missing data from the remote, then run the stages that changed."""

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
from assay.project.freeze import with_search, write_choice
from assay.project.hooks import install
from assay.project.layout import METRICS, read_choice
from assay.project.params import ModelChoice, load_params
from assay.project.settings import PARAMS

# DVC names a merge conflict in one of these as broken YAML, or overwrites it.
READ_BY_DVC = (Path("dvc.yaml"), Path("dvc.lock"), Path("data.dvc"), PROCESS, METRICS)


def stale_stages() -> list[str]:
    """Return the stages that `dvc repro` would run; raises InputError if there is no pipeline."""
    _require_pipeline()
    with in_one_line(), Repo() as repo:
        return list(repo.status())


def changed() -> bool:
    """Return whether `dvc repro` would run any stage."""
    return bool(stale_stages())


def reproduce() -> bool:
    """Run `dvc repro` in this process if anything changed; return whether it ran.

    Raises InputError if the configuration is wrong or a stage failed; the stage has then printed the reason.
    """
    _prepare()
    if not changed():
        say("nothing changed: no stage ran")
        return False
    # Flush, so that our output comes before that of the stages.
    sys.stdout.flush()
    if dvc(["repro"]):
        raise InputError("the pipeline failed at the stage named above; the results of finished stages are kept")
    return True


def tune() -> ModelChoice:
    """Search for a model, write it into params.yaml and return it.

    Raises InputError if the search fails; params.yaml is then unchanged.
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
        raise InputError("the search failed; its message is above")
    choice = read_choice()
    write_choice(choice, before)
    return choice


def _prepare() -> None:
    """Check the configuration, record the hashes of Assay and fetch the data, so that DVC sees all changes."""
    load_params()
    contract = load_contract()
    _require_pipeline()
    refresh()
    bring(contract)
    install()


def _require_pipeline() -> None:
    if not Path("dvc.yaml").exists():
        raise InputError("dvc.yaml: there is no such file; run this in the project's folder")
    for path in filter(Path.exists, READ_BY_DVC):
        require_no_conflict(path, path.read_text(encoding="utf-8", errors="replace"))
