"""What came from the log into the data: which predictions became rows, on top of which version of the data.

The record is beside the data, in the folder that DVC tracks, so that it belongs to a version of it. It holds no values
of a row but the outcome: ids, the hash of the client's key, and a hash by which a row is found again.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from assay.base.config import Frozen, parse_yaml, typed
from assay.base.files import lock_alone, remove_abandoned, sha256, write_json
from assay.base.formats import read_format
from assay.base.git import git
from assay.project.history import VERSION, file_at, head

COLLECTED = Path("data/collected.json")
POINTER = Path("data.dvc")
# Where a collection writes the data with the new rows, before it replaces them.
WORK, COPY = Path(".assay"), "collected"
FORMAT = 1


class Row(Frozen):
    """A prediction that became a row of the data."""

    id: str
    client: str | None
    outcome: str | float
    row: str


class Collection(Frozen):
    """What one run added.

    `base` is the version of the data that was committed then; `before` and `after` are hashes of the data file.
    """

    base: str
    before: str
    after: str
    rows: tuple[Row, ...] = ()
    corrected: tuple[Row, ...] = ()


class Record(Frozen):
    """All that was collected, the oldest first."""

    collections: tuple[Collection, ...] = ()

    def rows(self) -> dict[str, Row]:
        """Return the rows by prediction id, with their latest outcomes."""
        return {one.id: one for made in self.collections for one in (*made.rows, *made.corrected)}


@contextmanager
def alone() -> Iterator[None]:
    """Let no other process collect rows or forget a client meanwhile; raises InputError if one does.

    Copies of the data that a killed collection has left, with what clients sent, are removed first.
    """
    WORK.mkdir(exist_ok=True)
    lock = WORK / "collect.lock"
    lock.touch()
    with lock_alone(lock, f"{WORK}: another `assay feedback collect` or `assay forget` is running; wait for it"):
        for copy in WORK.glob(f"{COPY}.*"):
            copy.unlink()
        remove_abandoned(COLLECTED.parent)
        yield


def read_record(data: Path, path: Path = COLLECTED) -> Record:
    """Read the record; what was not yet in the data file when a run was killed is left out."""
    if not path.exists():
        return Record()
    record = _read(path)
    last = record.collections[-1:]
    if last and data.exists() and sha256(data) == last[0].before:
        return Record(collections=record.collections[:-1])
    return record


def _read(path: Path) -> Record:
    content = read_format(path, FORMAT)
    return typed({"collections": content.get("collections", ())}, Record, path)


def write_record(record: Record, path: Path = COLLECTED) -> None:
    """Write the record, before the data file is replaced."""
    write_json(path, {"format": FORMAT, **record.model_dump(mode="json")})


def committed_data() -> str:
    """Return the version of the data that the commit names; empty without one."""
    commit = head()
    return "" if commit is None else _version(file_at(commit, POINTER))


def learnt(hashed: str, path: Path = COLLECTED) -> list[dict[str, Any]] | None:
    """Return the versions of the data that hold rows of a client, with commits and releases; None without a record.

    The newest comes first; one without a commit is in the working tree. All that followed the first row are returned,
    since nothing shows that a later one has lost it.
    """
    if not path.exists():
        return None
    bases = [
        (made.base, sum(one.client == hashed for one in made.rows))
        for made in _read(path).collections
        if any(one.client == hashed for one in made.rows)
    ]
    if not bases:
        return []
    rows = sum(count for _, count in bases)
    found: list[dict[str, Any]] = [{"data": str(path.parent), "rows": rows, "commit": None, "releases": []}]
    for commit in _commits() if head() is not None else ():
        version = _version(file_at(commit, POINTER))
        if version == bases[0][0]:
            break
        found.append({"data": version, "rows": rows, "commit": commit, "releases": _releases(commit)})
    return found


def _commits() -> Iterable[str]:
    return git("log", "--format=%H", "--", POINTER.as_posix()).split()


def _releases(commit: str) -> list[str]:
    return [tag for tag in git("tag", "--contains", commit).split() if re.fullmatch(VERSION, tag)]


def _version(pointer: bytes | None) -> str:
    try:
        return str(parse_yaml((pointer or b"").decode())["outs"][0]["md5"])
    except (ValueError, KeyError, TypeError, IndexError):
        return ""
