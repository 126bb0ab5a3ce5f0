"""The data in the working tree: fetched if it is missing, and checked against data.dvc.

`dvc repro` records any files in data/ as the data of the commit. After a `git pull` that changes data.dvc, it would
restore the old data.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from dvc.cli import main as dvc
from dvc.exceptions import DvcException
from dvc.lock import make_lock
from dvc.output import Output
from dvc.repo import Repo
from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK

from assay.base.conflicts import require_no_conflict
from assay.base.errors import InputError
from assay.base.files import write_text
from assay.base.progress import say
from assay.contract.spec import Contract
from assay.project.history import was_committed

POINTER = Path("data.dvc")
# The hash of data.dvc and data/ when they last matched.
LAST = Path(".dvc/tmp/assay-data")


class State(Enum):
    """How the data in the working tree relates to data.dvc."""

    CURRENT = "is what data.dvc names"
    OLDER = "is a committed version, and git has brought another data.dvc"
    EDITED = "was changed by hand"
    BOTH_CHANGED = "was changed by hand, and git has brought another data.dvc"


def state(named: str, found: str, last: str | None) -> State:
    """Compare the hash that data.dvc names with the one of the data that was found.

    `last` is the hash of both when they last matched, None if it is unknown.
    """
    if found == named:
        return State.CURRENT
    # A hash in no commit was written by `dvc add` or `dvc repro`, not by git.
    if not was_committed(POINTER, named):
        return State.EDITED
    if was_committed(POINTER, found):
        return State.OLDER
    return State.EDITED if last in (None, named) else State.BOTH_CHANGED


def bring(contract: Contract) -> None:
    """Check out the data of data.dvc into the working tree.

    Data that was changed by hand stays, with a message. Raises InputError if the data cannot be fetched, if data/
    contains other files, or if both data.dvc and the data changed.
    """
    remove_broken_lock()
    if POINTER.exists():
        require_no_conflict(POINTER, POINTER.read_text(encoding="utf-8", errors="replace"))
    if not contract.data.exists():
        _fetch(contract)
    if not POINTER.exists():
        return
    named, found = _hashes()
    last = LAST.read_text(encoding="utf-8") if LAST.exists() else None
    match state(named, found, last):
        case State.OLDER:
            say("data: data/ is older than data.dvc; checking out the version in data.dvc")
            if dvc(["pull", "--quiet", str(POINTER)]):
                raise InputError(
                    "data/: older than data.dvc, but the version in data.dvc cannot be checked out; "
                    "`dvc pull data.dvc -v` shows why"
                )
        case State.EDITED:
            say("data: data/ was changed by hand; this run uses it and records it in data.dvc")
            named = found
        case State.BOTH_CHANGED:
            raise InputError(
                "data/: changed by hand, and git changed data.dvc too; keep yours with `dvc add data`, "
                "or take the committed version with `dvc checkout --force data.dvc`"
            )
        case State.CURRENT:
            pass
    if last != named:
        write_text(LAST, named)


def record() -> None:
    """Record what a command wrote to data/ in data.dvc, so that it does not look changed by hand."""
    if POINTER.exists() and dvc(["add", "--quiet", "data"]):
        raise InputError("data/: cannot be recorded in data.dvc; `dvc add data` shows why")


@contextmanager
def in_one_line() -> Iterator[None]:
    """Raise DVC's errors, such as a broken dvc.yaml or a concurrent run, as InputError."""
    try:
        yield
    except DvcException as error:
        raise InputError(f"dvc: {error}; `dvc status` shows more") from None


def _fetch(contract: Contract) -> None:
    there = sorted(path.name for path in Path("data").glob("*"))
    # After a checkout of an older commit DVC replaces the files in its cache, and no others.
    if there and dvc(["checkout", "--quiet", str(POINTER)]) == 0 and contract.data.exists():
        return
    if there:
        raise InputError(f"{contract.data}: there is no such file; data/ contains {', '.join(there[:5])}")
    say("data: fetching from the DVC remote")
    if dvc(["pull", "--quiet", str(POINTER)]):
        raise InputError("data.dvc: cannot fetch the data from the DVC remote; `dvc pull data.dvc -v` shows why")


def _hashes() -> tuple[str, str]:
    """Return the hash in data.dvc and the hash of the files in data/."""
    with in_one_line(), Repo() as repo:
        out: Output = repo.stage.load_one(str(POINTER)).outs[0]
        return str(out.hash_info.value), str(out.get_hash().value)


def remove_broken_lock() -> None:
    """Remove DVC's lock file if a killed process left it incomplete, because DVC would fail from then on."""
    folder = Path(".dvc/tmp")
    path = folder / RWLOCK_FILE
    if not path.exists():
        return
    # The writer of the file holds this lock; the system releases it when the process ends.
    with in_one_line(), make_lock(str(folder / RWLOCK_LOCK), tmp_dir=str(folder)):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            path.unlink()
