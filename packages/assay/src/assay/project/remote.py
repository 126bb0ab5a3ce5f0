"""The DVC remote: by default a folder of this repository, whose size is limited."""

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
    """Return the MB that a push would add: files in .dvc files and dvc.lock that the folder lacks."""
    outs: dict[str, int] = {out["md5"]: out.get("size", 0) for out in _tracked(root)}
    return sum(size for md5, size in outs.items() if not _stored(folder, md5).exists()) / 1e6


def unpushed_data(root: Path = Path(), folder: Path = EMBEDDED) -> list[str]:
    """Return the .dvc files whose data is not in the embedded remote, so that no clone could fetch it.

    Empty with another remote: only the network could tell.
    """
    named = [
        path.name
        for path in _pointers(root)
        if not all(_stored(root / folder, out["md5"]).exists() for out in read_yaml(path)["outs"])
    ]
    return named if named and is_embedded(root) else []


def require_room(limit_mb: float, adding_mb: float = 0.0) -> None:
    """Raise InputError if the embedded remote plus `adding_mb` exceeds its limit."""
    now = size_mb()
    if now + adding_mb > limit_mb:
        added = f" plus {adding_mb:.1f} MB to add" if adding_mb else ""
        raise InputError(f"{EMBEDDED}: {now:.1f} MB{added} exceeds the limit of {limit_mb:g} MB: {ADVICE}")


def is_embedded(root: Path = Path()) -> bool:
    """Return whether the default remote is the folder of this repository."""
    # Imported here: DVC takes a while.
    from dvc.config import Config

    return bool(Config(str(root / ".dvc"))["core"].get("remote") == "embedded")


def push(limit_mb: float, *targets: str) -> None:
    """Push data and models, or some targets of DVC, to the default remote.

    Raises InputError if the embedded one would exceed its limit.
    """
    if is_embedded():
        require_room(limit_mb, pending_mb())
    _dvc("push", *targets)


def use(url: str) -> str:
    """Make `url` the default remote; return the next steps. The embedded remote is unchanged."""
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme and scheme not in SCHEMES:
        raise InputError(f"{url}: expected {', '.join(f'{name}://' for name in SCHEMES)} or a folder")
    _dvc("remote", "add", "--force", "--default", "storage", url)
    return (
        f"the default remote is {url}; next: `make repro` installs its packages, `assay remote push` uploads data and "
        "models, then commit .dvc/config"
    )


def _pointers(root: Path) -> list[Path]:
    """Return the .dvc files of a folder; its folder `.dvc` ends in the same way."""
    return sorted(path for path in root.glob("*.dvc") if path.is_file())


def _tracked(root: Path) -> Iterator[dict[str, Any]]:
    """Yield the outputs that DVC stores: those of .dvc files and of the stages in dvc.lock."""
    for path in _pointers(root):
        yield from read_yaml(path)["outs"]
    lock = root / "dvc.lock"
    if lock.exists():
        for stage in read_yaml(lock)["stages"].values():
            # metrics.json is in git and has `cache: false`, so DVC stores no copy.
            yield from (out for out in stage.get("outs", []) if out["path"] != "metrics.json")


def _stored(folder: Path, md5: str) -> Path:
    return folder / "files" / "md5" / md5[:2] / md5[2:]


def _dvc(*arguments: str) -> str:
    done = subprocess.run(["dvc", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise InputError(f"dvc {' '.join(arguments)}: {last.removeprefix('ERROR: ')}")
    return done.stdout
