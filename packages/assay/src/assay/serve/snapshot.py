"""The model that all workers of a server load, also those that start after the project has been retrained."""

import atexit
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from assay.contract.spec import CONTRACT
from assay.project.layout import MODELS, SOURCE

SNAPSHOT = "ASSAY_SNAPSHOT"
PARTS = (CONTRACT, MODELS, SOURCE)


def take_snapshot(root: Path) -> None:
    """Copy the model and the user's code for the workers that this process will start; remove the copy when it ends.

    A Bento, which does not change, is not copied. Neither is a project under `bentoml serve --reload`.
    """
    if not (root / CONTRACT).exists() or "--reload" in sys.argv:
        return
    folder = Path(tempfile.mkdtemp(prefix="assay-served-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for part in PARTS:
        if (root / part).is_dir():
            shutil.copytree(root / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        elif (root / part).exists():
            shutil.copy(root / part, folder / part)
    os.environ[SNAPSHOT] = json.dumps([os.getpid(), str(root), str(folder)])


def snapshot(root: Path) -> Path:
    """Return the folder from which this process loads the model of a project: a copy, or the project itself."""
    process, source, folder = json.loads(os.environ.get(SNAPSHOT, "[0, null, null]"))
    return Path(folder) if source == str(root) and process != os.getpid() else root
