"""Changes of files, prepared in a temporary folder and then applied."""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import mkdtemp

from assay.base.errors import InputError
from assay.base.process import run, run_python
from assay.project.history import dirty_files, files_at, head

LEFT_BEHIND = {".git", ".venv", "__pycache__", "node_modules"}
# The new content of each path, None to remove the file.
Changes = Mapping[Path, bytes | None]


def require_clean(command: str, besides: str | None = None) -> None:
    """Raise InputError if there are uncommitted changes, `besides` in one file."""
    dirty = sorted(set(dirty_files()) - {os.path.relpath(besides)} if besides else dirty_files())
    if dirty:
        more = f" and {len(dirty) - 1} more" if len(dirty) > 1 else ""
        raise InputError(f"{dirty[0]}{more}: not committed; commit or stash first, so that git can undo `{command}`")


def files_here() -> list[Path]:
    """Return the files that git tracks; without git all files, except those that tools create."""
    commit = head()
    if commit is not None:
        return [path for path in files_at(commit, Path()) if path.is_file()]
    found = []
    for folder, names, files in os.walk("."):
        names[:] = [name for name in names if name not in LEFT_BEHIND]
        found += [Path(folder, name) for name in files]
    return sorted(found)


def commit(subject: str, paths: Iterable[Path]) -> None:
    """Commit files as they are now, removed ones too; raises InputError if git refuses, for example by a hook."""
    try:
        run("git", "add", "--force", "--", *map(str, paths))
        run("git", "commit", "--quiet", "--message", subject)
    except InputError as error:
        raise InputError(f"all files are written, but not committed: {error}") from None


def undo() -> str:
    """Return how to undo the changes."""
    if head() is None:
        return "undo: not possible, since this folder is not a git repository"
    return "undo: `git restore . && git clean -fd requirements vendor`"


def different(changes: Changes) -> Changes:
    """Return the changes that differ from the present files."""
    return {path: made for path, made in changes.items() if (path.read_bytes() if path.is_file() else None) != made}


def put(changes: Changes) -> None:
    """Write and remove files; everything is written to a temporary folder first, so a full disk changes nothing."""
    aside = Path(mkdtemp(prefix=".assay-", dir="."))
    try:
        written = [
            (aside / str(number), path) for number, (path, made) in enumerate(changes.items()) if made is not None
        ]
        for temporary, path in written:
            temporary.write_bytes(changes[path] or b"")
        for temporary, path in written:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                shutil.copymode(path, temporary)
            temporary.replace(path)
        for path in (path for path, made in changes.items() if made is None):
            path.unlink(missing_ok=True)
            remove_empty(path.parent)
    except OSError as error:
        raise InputError(f"{error.filename or aside}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def remove_empty(folder: Path) -> None:
    """Remove a folder if it is empty, and then the folders around it that are."""
    while folder != Path() and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def described(changes: Changes) -> list[str]:
    """Return a line for each file to write, and for each folder from which files are removed."""
    lines = [
        f"{'write ' if path.exists() else 'add   '} {path}"
        for path, made in sorted(changes.items())
        if made is not None
    ]
    gone = Counter("/".join(path.parts[:2]) for path, made in changes.items() if made is None)
    return lines + [
        f"remove {folder}" + (f" ({count} files)" if count > 1 else "") for folder, count in sorted(gone.items())
    ]


def own_environment() -> bool:
    """Say whether this Python is that of the project's own .venv."""
    return Path(sys.prefix).resolve() == Path(".venv").resolve()


def pip(*arguments: str) -> None:
    """Run pip of this Python; raises InputError with its last line if it fails."""
    run_python("-m", "pip", *arguments, "--quiet", "--disable-pip-version-check", name=f"pip {arguments[0]}")
