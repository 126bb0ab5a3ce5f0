"""`assay eject`: put the source of Assay back into the project, in place of the wheel."""

import io
import zipfile

from assay.adoption.changes import Changes, own_environment, pip, put
from assay.adoption.wheel import BUILT_BY, LOCK, SOURCE, TEMPLATE, VENDOR, Wheel
from assay.base.progress import say


def ejection(wheel: Wheel) -> Changes:
    """Return the changes that replace a wheel by its source."""
    with zipfile.ZipFile(io.BytesIO(wheel.content)) as archive:
        source = {SOURCE / _place(name): archive.read(name) for name in archive.namelist() if name.startswith("assay/")}
    return {VENDOR / wheel.name: None, LOCK: None, **source}


def _place(name: str) -> str:
    """Return the path of a wheel's file in the source that it was built from."""
    if name == TEMPLATE:
        return name.removeprefix("assay/")
    return name.removeprefix(BUILT_BY) if name.startswith(BUILT_BY) else f"src/{name}"


def carry_out(changes: Changes) -> None:
    """Write the source, and install it as editable in the project's environment."""
    put(changes)
    if own_environment():
        pip("install", "--no-deps", "--no-index", "--no-build-isolation", "--editable", str(SOURCE))
    else:
        say("this Python is not the one in .venv: run `make repro` to install Assay there")
    say(f"ejected: Assay now runs from its source in {SOURCE}, changes included; `assay adopt` makes a wheel again")
