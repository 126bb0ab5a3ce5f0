"""Three-way merge of a file: from the old Assay, in this project, and from the new Assay."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from assay.base.errors import InputError

# The result for a file: `none` leaves it as it is; so does `conflict`, which a person has to resolve.
Result = Literal["none", "taken", "merged", "added", "removed", "conflict"]


@dataclass(frozen=True)
class Merged:
    """The result for a file, and its new content; None if there is no such file."""

    result: Result
    content: bytes | None


def merge(base: bytes | None, ours: bytes | None, theirs: bytes | None) -> Merged:
    """Merge the changes from `base` to `theirs` into `ours`; None is a file that does not exist.

    A file that was removed here stays removed. A file that the new version drops is removed, unless it was edited here.
    """
    if theirs in (base, ours) or (ours is None and base is not None):
        return Merged("none", ours)
    if ours == base:
        return Merged("added" if base is None else "removed" if theirs is None else "taken", theirs)
    if base is None or ours is None or theirs is None:
        return Merged("conflict", ours)
    text = _by_lines(base, ours, theirs)
    if text is None:
        return Merged("conflict", ours)
    return Merged("none" if text == ours else "merged", text)


def merge_all(base: Mapping[str, bytes], ours: Mapping[str, bytes], theirs: Mapping[str, bytes]) -> dict[str, Merged]:
    """Merge files by path; return those whose result is not `none`."""
    merged = {path: merge(base.get(path), ours.get(path), theirs.get(path)) for path in sorted({*base, *theirs})}
    return {path: found for path, found in merged.items() if found.result != "none"}


def _by_lines(base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """Return the merged text, None if both changed the same lines or a file is not text."""
    with TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("ours", "base", "theirs")]
        for path, content in zip(paths, (ours, base, theirs), strict=True):
            path.write_bytes(content)
        done = subprocess.run(["git", "merge-file", "--stdout", *map(str, paths)], capture_output=True, check=False)
    # The number of conflicts, or 255 for a file that is not text.
    if done.returncode not in range(256):
        raise InputError(f"git merge-file: {done.stderr.decode(errors='replace').strip()}")
    return None if done.returncode else done.stdout
