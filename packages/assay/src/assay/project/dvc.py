"""The main job: data from the remote if it is not here, then whatever stage has changed."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dvc.cli import main as dvc
from dvc.exceptions import DvcException
from dvc.lock import make_lock
from dvc.repo import Repo
from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK

from assay.base.errors import InputError
from assay.base.files import write_text
from assay.base.progress import say
from assay.contract.spec import Contract, load_contract
from assay.project.fingerprint import refresh
from assay.project.freeze import adopt, with_search
from assay.project.layout import read_choice
from assay.project.params import ModelChoice, load_params
from assay.project.settings import PARAMS


def stale_stages() -> list[str]:
    """Return the stages that `dvc repro` would run; raises InputError where there is no pipeline."""
    _require_pipeline()
    with _in_one_line(), Repo() as repo:
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


def fetch_data(contract: Contract) -> None:
    """Bring the data of the contract from the DVC remote if there is none here.

    Raises InputError when it cannot be had, or when other data lies in its place.
    """
    with _in_one_line():
        _remove_torn_lock(Path(".dvc/tmp"))
    if contract.data.exists():
        return
    there = sorted(path.name for path in Path("data").glob("*"))
    # DVC replaces what its cache has, as after going back to an older commit, and nothing else.
    if there and dvc(["checkout", "--quiet", "data.dvc"]) == 0 and contract.data.exists():
        return
    if there:
        raise InputError(f"{contract.data}: there is no such file; data/ holds {', '.join(there[:5])}")
    say("data: fetching it from the DVC remote")
    if dvc(["pull", "--quiet", "data.dvc"]):
        raise InputError("data.dvc: the data could not be fetched from the DVC remote; `dvc pull data.dvc -v` says why")


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
    fetch_data(contract)


def _require_pipeline() -> None:
    if not Path("dvc.yaml").exists():
        raise InputError("dvc.yaml: there is no pipeline here; run this in the folder of the project")


@contextmanager
def _in_one_line() -> Iterator[None]:
    """Raise what DVC raises, a broken dvc.yaml or a run that is going on elsewhere, as InputError."""
    try:
        yield
    except DvcException as error:
        raise InputError(f"dvc: {error}; `dvc status` says more") from None


def _remove_torn_lock(folder: Path) -> None:
    """Remove DVC's list of who uses what if a process was killed while writing it, for DVC would never run again."""
    path = folder / RWLOCK_FILE
    if not path.exists():
        return
    # Whoever writes the list holds this lock, and the system releases it with the process.
    with make_lock(str(folder / RWLOCK_LOCK), tmp_dir=str(folder)):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            path.unlink()
