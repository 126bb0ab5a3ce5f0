"""The DVC remote: a folder of this repository until its owner picks another, and kept small while it is one."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assay.base.config import read_yaml
from assay.base.errors import InputError

EMBEDDED = Path(".dvc/embedded")
SCHEMES = ("s3", "gs", "azure", "ssh")
ADVICE = "pick another remote with `assay remote use URL`, or raise remote.embedded_limit_mb in params.yaml"


def size_mb(folder: Path = EMBEDDED) -> float:
    """Return the size of the embedded remote in MB (10^6 bytes)."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def pending_mb(root: Path = Path(), folder: Path = EMBEDDED) -> float:
    """Return how many MB a push would add: what the .dvc files and dvc.lock name and the folder lacks."""
    outs: dict[str, int] = {out["md5"]: out.get("size", 0) for out in _tracked(root)}
    return sum(size for md5, size in outs.items() if not _stored(folder, md5).exists()) / 1e6


def require_room(limit_mb: float, adding_mb: float = 0.0) -> None:
    """Raise InputError when the embedded remote, with what is to be added, is larger than its limit."""
    now = size_mb()
    if now + adding_mb > limit_mb:
        added = f" and {adding_mb:.1f} MB to add" if adding_mb else ""
        raise InputError(f"{EMBEDDED}: {now:.1f} MB{added} is over the limit of {limit_mb:g} MB: {ADVICE}")


def is_embedded() -> bool:
    """Say whether the default remote is the folder of this repository."""
    return _dvc("config", "core.remote").strip() == "embedded"


def push(limit_mb: float) -> None:
    """Push all that the pipeline tracks to the default remote; refuses to let the embedded one grow past its limit."""
    if is_embedded():
        require_room(limit_mb, pending_mb())
    _dvc("push")


def use(url: str) -> str:
    """Make `url` the default remote, and return what to do next. The embedded remote stays as it is."""
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme and scheme not in SCHEMES:
        raise InputError(f"{url}: expected {', '.join(f'{name}://' for name in SCHEMES)} or a folder")
    _dvc("remote", "add", "--force", "--default", "storage", url)
    return (
        f"the default remote is {url}; next: `make repro` installs what it needs, `assay remote push` fills it; "
        "then commit .dvc/config"
    )


def _tracked(root: Path) -> Iterator[dict[str, Any]]:
    """Yield the outputs that DVC stores: those of .dvc files and of the stages in dvc.lock."""
    for path in sorted(root.glob("*.dvc")):
        if path.is_file():
            yield from read_yaml(path)["outs"]
    lock = root / "dvc.lock"
    if lock.exists():
        for stage in read_yaml(lock)["stages"].values():
            # metrics.json is kept in git; DVC stores no copy of what has no cache.
            yield from (out for out in stage.get("outs", []) if out["path"] != "metrics.json")


def _stored(folder: Path, md5: str) -> Path:
    return folder / "files" / "md5" / md5[:2] / md5[2:]


def _dvc(*arguments: str) -> str:
    done = subprocess.run(["dvc", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise InputError(f"dvc {' '.join(arguments)}: {last.removeprefix('ERROR: ')}")
    return done.stdout
