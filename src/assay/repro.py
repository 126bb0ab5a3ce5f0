"""The main job: data from the remote if it is not here, then whatever stage has changed."""

import sys
from pathlib import Path

from dvc.cli import main as dvc
from dvc.repo import Repo

from assay.contract.spec import load_contract
from assay.errors import InputError
from assay.params import load_params
from assay.progress import say


def changed() -> bool:
    """Say whether `dvc repro` has anything to do; raises InputError where there is no pipeline."""
    if not Path("dvc.yaml").exists():
        raise InputError("dvc.yaml: there is no pipeline here; run this in the folder of the project")
    with Repo() as repo:
        return bool(repo.status())


def reproduce() -> bool:
    """Run `dvc repro`, in this process and only if something changed; return whether it did.

    Raises InputError when the configuration is wrong, or when a stage failed; the stage has said why by then.
    """
    load_params()
    contract = load_contract()
    if not contract.data.exists() and Path("data.dvc").exists():
        say("data: fetching it from the DVC remote")
        if dvc(["pull", "--quiet", "data.dvc"]):
            raise InputError(
                "data.dvc: the data could not be fetched from the DVC remote; `dvc pull data.dvc -v` says why"
            )
    if not changed():
        say("nothing changed: no stage ran")
        return False
    # A stage prints to the terminal by itself; what DVC prints must not overtake it.
    sys.stdout.flush()
    if dvc(["repro"]):
        raise InputError("the pipeline stopped at the stage named above; what it had finished before is kept")
    return True
