"""The identity of a model: its commit, and the hashes of data, model and contract."""

from pathlib import Path

from assay.base.files import sha256
from assay.contract.spec import CONTRACT
from assay.project.pipeline import locked_stages

LOCK = Path("dvc.lock")


def identity(commit: str | None, folder: Path) -> dict[str, str | None]:
    """Return commit and hashes of data, model and contract for the model in a folder."""
    lock = folder / LOCK
    stages = locked_stages(lock.read_text(encoding="utf-8")) if lock.exists() else {}
    hashes = {
        e["path"]: e.get("md5") for stage in stages.values() for e in [*stage.get("deps", []), *stage.get("outs", [])]
    }
    return {
        "commit": commit,
        "data": hashes.get("data"),
        "model": hashes.get("build/model"),
        "contract": sha256(folder / CONTRACT),
    }
