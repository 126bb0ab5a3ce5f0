"""What a Bento is made of: the files that bentofile.yaml packs, and the part of Assay that serves them."""

import filecmp
import hashlib
from pathlib import Path

from assay.base.files import sha256
from assay.project.fingerprint import PROCESS, recorded
from assay.project.layout import MODELS

SERVICE = Path("service.py")
LOCUSTFILE = Path("loadtests/locustfile.py")
# Besides the user's code, the model and the locks.
PACKED = (SERVICE, Path("bentofile.yaml"))
# As bentofile.yaml has it.
LEFT_OUT = ("__pycache__", ".egg-info")


def service_identity(folder: Path) -> str:
    """Return a hash of all that is served from a folder, and of what loads it."""
    made = hashlib.sha256(f"assay {_served_by(folder)}\n".encode())
    for path in sorted(_files(folder)):
        made.update(f"{path.as_posix()} {sha256(folder / path)}\n".encode())
    return made.hexdigest()


def is_same_service(champion: Path) -> bool:
    """Say whether what is served here, and what loads it, is what the champion's folder holds, to the last byte."""
    here, there = _files(Path()), _files(champion)
    same = here == there and _served_by(Path()) == _served_by(champion)
    return same and not any(filecmp.cmpfiles("", champion, here, shallow=False)[1:])


def _served_by(folder: Path) -> str:
    """Return the hash of Assay's code that answers requests, as the project in a folder recorded it."""
    return recorded(folder / PROCESS).get("service", "")


def _files(folder: Path) -> set[Path]:
    """Return the files of a folder that bentofile.yaml packs, and those that load what is packed."""
    trees = [path for tree in (Path("src"), MODELS) for path in (folder / tree).rglob("*") if path.is_file()]
    made = {path.relative_to(folder) for path in trees}
    made = {path for path in made if not any(part.endswith(LEFT_OUT) for part in path.parts)}
    locks = {path.relative_to(folder) for path in folder.glob("requirements/serve*.txt")}
    return made | locks | {path for path in (*PACKED, LOCUSTFILE) if (folder / path).exists()}
