"""Packages of npm, installed once from a lock for all clones on this machine, and used from there."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "assay-tests"


class NotHereError(Exception):
    """npm is not here, or cannot install; the message says which."""


def installed(folder: Path) -> Path:
    """Return a copy of a folder with what its package-lock.json names; raises NotHereError."""
    if shutil.which("npm") is None:
        raise NotHereError("npm is not here")
    files = sorted(path for path in folder.iterdir() if path.is_file())
    home = CACHE / hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    if home.exists():
        return home
    CACHE.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=CACHE))
    for path in files:
        shutil.copy(path, made)
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        check=False,
        cwd=made,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        shutil.rmtree(made)
        raise NotHereError(f"npm could not install what {folder.name} needs: {done.stderr.strip()[-200:]}")
    try:
        # Whole or not at all: another process may have done the same.
        made.rename(home)
    except OSError:
        shutil.rmtree(made)
    return home
