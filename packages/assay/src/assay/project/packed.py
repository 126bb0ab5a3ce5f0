"""The contents of a Bento: the files that bentofile.yaml packs, and the part of Assay that serves them."""

import filecmp
import hashlib
from pathlib import Path

from assay.base.files import sha256
from assay.project.fingerprint import PROCESS, recorded
from assay.project.layout import MODELS

SERVICE = Path("service.py")
LOCUSTFILE = Path("loadtests/locustfile.py")
# In addition to the user's code, the model and the locks.
PACKED = (SERVICE, Path("bentofile.yaml"))
# As in bentofile.yaml.
LEFT_OUT = ("__pycache__", ".egg-info")


def service_identity(folder: Path) -> str:
    """Return a hash of the files that are served from a folder, the serving code and the load script."""
    made = hashlib.sha256(f"assay {_served_by(folder)}\n".encode())
    for path in sorted(_files(folder)):
        made.update(f"{path.as_posix()} {sha256(folder / path)}\n".encode())
    return made.hexdigest()


def is_same_service(champion: Path) -> bool:
    """Return whether the files of the service and the load script are identical to the champion's."""
    here, there = _files(Path()), _files(champion)
    same = here == there and _served_by(Path()) == _served_by(champion)
    return same and not any(filecmp.cmpfiles("", champion, here, shallow=False)[1:])


def _served_by(folder: Path) -> str:
    """Return the recorded hash of Assay's serving code of the project in a folder."""
    return recorded(folder / PROCESS).get("service", "")


def _files(folder: Path) -> set[Path]:
    """Return the files of a folder that bentofile.yaml packs, and the load script."""
    trees = [path for tree in (Path("src"), MODELS) for path in (folder / tree).rglob("*") if path.is_file()]
    made = {path.relative_to(folder) for path in trees}
    made = {path for path in made if not any(part.endswith(LEFT_OUT) for part in path.parts)}
    locks = {path.relative_to(folder) for path in folder.glob("requirements/serve*.txt")}
    return made | locks | {path for path in (*PACKED, LOCUSTFILE) if (folder / path).exists()}
