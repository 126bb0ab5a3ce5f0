"""The data in the working tree: fetched where there is none, and never older or newer than data.dvc in silence.

`dvc repro` records whatever lies in data/ as the data of the commit. After `git pull` has brought another data.dvc,
that would put the old data back.
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
# The hash that data.dvc and data/ had when they were last the same.
LAST = Path(".dvc/tmp/assay-data")


class State(Enum):
    """How the data in the working tree relates to data.dvc."""

    CURRENT = "is what data.dvc names"
    OLDER = "is a committed version, and git has brought another data.dvc"
    EDITED = "was changed by hand"
    BOTH_CHANGED = "was changed by hand, and git has brought another data.dvc"


def state(named: str, found: str, last: str | None) -> State:
    """Compare the hash that data.dvc names with the one of the data that was found.

    `last` is the hash that both had when they were last the same, None if that is not known.
    """
    if found == named:
        return State.CURRENT
    # A hash that no commit has was written by `dvc add` or `dvc repro`, and not by git.
    if not was_committed(POINTER, named):
        return State.EDITED
    if was_committed(POINTER, found):
        return State.OLDER
    return State.EDITED if last in (None, named) else State.BOTH_CHANGED


def bring(contract: Contract) -> None:
    """Bring the data that data.dvc names into the working tree.

    Data that was changed by hand stays, and is named. Raises InputError when the data cannot be fetched, when other
    files lie in its place, and when both data.dvc and the data were changed.
    """
    with in_one_line():
        _remove_torn_lock(Path(".dvc/tmp"))
    if POINTER.exists():
        require_no_conflict(POINTER, POINTER.read_text(encoding="utf-8", errors="replace"))
    if not contract.data.exists():
        _fetch(contract)
    if not POINTER.exists():
        return
    named, found = _hashes()
    match state(named, found, LAST.read_text() if LAST.exists() else None):
        case State.OLDER:
            say("data: data/ holds an older version; checking out the one that data.dvc names")
            if dvc(["pull", "--quiet", str(POINTER)]):
                raise InputError(
                    "data/: holds an older version than data.dvc names, which could not be checked out; "
                    "`dvc pull data.dvc -v` says why"
                )
        case State.EDITED:
            say("data: data/ was changed by hand; this run uses it and records it in data.dvc")
            named = found
        case State.BOTH_CHANGED:
            raise InputError(
                "data/: was changed by hand, and git has brought another data.dvc; keep yours with `dvc add data`, "
                "or take the committed version with `dvc checkout --force data.dvc`"
            )
        case State.CURRENT:
            pass
    if not LAST.exists() or LAST.read_text() != named:
        LAST.parent.mkdir(parents=True, exist_ok=True)
        write_text(LAST, named)


@contextmanager
def in_one_line() -> Iterator[None]:
    """Raise what DVC raises, a broken dvc.yaml or a run that is going on elsewhere, as InputError."""
    try:
        yield
    except DvcException as error:
        raise InputError(f"dvc: {error}; `dvc status` says more") from None


def _fetch(contract: Contract) -> None:
    there = sorted(path.name for path in Path("data").glob("*"))
    # DVC replaces what its cache has, as after going back to an older commit, and nothing else.
    if there and dvc(["checkout", "--quiet", str(POINTER)]) == 0 and contract.data.exists():
        return
    if there:
        raise InputError(f"{contract.data}: there is no such file; data/ holds {', '.join(there[:5])}")
    say("data: fetching it from the DVC remote")
    if dvc(["pull", "--quiet", str(POINTER)]):
        raise InputError("data.dvc: the data could not be fetched from the DVC remote; `dvc pull data.dvc -v` says why")


def _hashes() -> tuple[str, str]:
    """Return the hash that data.dvc names, and that of what lies in its place."""
    with in_one_line(), Repo() as repo:
        out: Output = repo.stage.load_one(str(POINTER)).outs[0]
        return str(out.hash_info.value), str(out.get_hash().value)


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
