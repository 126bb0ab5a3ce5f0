"""Files with merge conflicts: an error with the commands that resolve them."""

import re
from pathlib import Path

from assay.base.errors import InputError

MARK = re.compile(r"^<{7}( |$)", re.MULTILINE)
# The pipeline writes these files; either version works because the next run replaces it.
WRITTEN = {"dvc.lock", "metrics.json", "trials.csv", "requirements/process.yaml"}


def require_no_conflict(path: Path, text: str) -> None:
    """Raise InputError for the text of a file that contains merge conflict marks."""
    found = MARK.search(text)
    if found is None:
        return
    name = path.as_posix()
    line = text.count("\n", 0, found.start()) + 1
    if name in WRITTEN:
        remedy = f"`git checkout --ours {name}`, then `make repro` writes it again"
    elif path.suffix == ".dvc":
        remedy = f"`git checkout --ours {name}` (or --theirs) chooses the data, then `make repro` fetches it"
    else:
        remedy = f"choose the right lines, then `git add {name}`"
    raise InputError(f"{name}: merge conflict in line {line}; {remedy}")
