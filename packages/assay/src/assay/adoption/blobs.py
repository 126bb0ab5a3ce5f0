"""The embedded remote: which of its files a project still needs."""

import json
from pathlib import Path

from assay.base.config import read_yaml
from assay.project.pipeline import locked_stages

EMBEDDED = Path(".dvc/embedded/files/md5")


def unneeded() -> list[Path]:
    """Return the files of the embedded remote that neither a .dvc file nor dvc.lock names."""
    needed = set(_named())
    for digest in [digest for digest in needed if digest.endswith(".dir")]:
        listed = EMBEDDED / digest[:2] / digest[2:]
        if listed.is_file():
            needed |= {entry["md5"] for entry in json.loads(listed.read_bytes())}
    return sorted(path for path in EMBEDDED.rglob("*") if path.is_file() and path.parent.name + path.name not in needed)


def _named() -> list[str]:
    outs = [out for path in sorted(Path().glob("*.dvc")) if path.is_file() for out in read_yaml(path)["outs"]]
    lock = Path("dvc.lock")
    if lock.exists():
        stages = locked_stages(lock.read_text(encoding="utf-8")).values()
        outs += [out for stage in stages for out in stage.get("outs", [])]
    return [out["md5"] for out in outs if "md5" in out]
