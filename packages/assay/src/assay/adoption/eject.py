"""`assay eject`: the source of Assay comes back into the project, and takes the place of the wheel."""

import io
import zipfile

from assay.adoption.changes import Changes, own_environment, pip, put
from assay.adoption.wheel import BUILT_BY, LOCK, SOURCE, TEMPLATE, VENDOR, Wheel
from assay.base.progress import say


def ejection(wheel: Wheel) -> Changes:
    """Return what puts the source of a wheel in its place."""
    with zipfile.ZipFile(io.BytesIO(wheel.content)) as archive:
        source = {SOURCE / _place(name): archive.read(name) for name in archive.namelist() if name.startswith("assay/")}
    return {VENDOR / wheel.name: None, LOCK: None, **source}


def _place(name: str) -> str:
    """Return where a file of the wheel is in the source that it was built from."""
    if name == TEMPLATE:
        return name.removeprefix("assay/")
    return name.removeprefix(BUILT_BY) if name.startswith(BUILT_BY) else f"src/{name}"


def carry_out(changes: Changes) -> None:
    """Put the source in place, and let the project's environment run it."""
    put(changes)
    if own_environment():
        pip("install", "--no-deps", "--no-index", "--no-build-isolation", "--editable", str(SOURCE))
    else:
        say("this Python is not that of .venv: `make repro` installs Assay there")
    say(f"ejected: Assay is now the source in {SOURCE}, and runs as you change it; `assay adopt` makes a wheel of it")
