"""`assay adopt`: turn a copy of the template into a project of its own, with Assay as a wheel."""

import shutil
from pathlib import Path

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from assay.adoption.blobs import unneeded
from assay.adoption.changes import (
    Changes,
    different,
    files_here,
    own_environment,
    pip,
    put,
    remove_empty,
    require_clean,
    undo,
)
from assay.adoption.listing import owner
from assay.adoption.naming import SAMPLE, project_name, renamed
from assay.adoption.wheel import LOCK, SOURCE, Wheel, build, process_of
from assay.base.errors import InputError
from assay.base.progress import say
from assay.contract.spec import CONTRACT, load_contract
from assay.gates.overrides import OVERRIDES, load_overrides
from assay.project.fingerprint import PROCESS
from assay.project.freeze import edit_yaml
from assay.project.history import remote_url

PYPROJECT = Path("pyproject.toml")
README = Path("README.md")
# Pages about the template's sample data.
ABOUT_SAMPLE = (Path("docs/data.md"),)
# Files of a copy that replace the template's own.
INSTEAD = SOURCE / "copy"


def may_adopt(source: str) -> bool:
    """Say whether `assay init` with a source may adopt this copy of the template; prints why not."""
    if not INSTEAD.is_dir():
        return False
    try:
        require_clean("assay init", besides=source)
    except InputError as error:
        say(f"  the source of Assay stays in {SOURCE} until you run `assay adopt`: {error}")
        return False
    return True


def is_adopted() -> bool:
    """Say whether this project is adopted already; raises InputError if it has neither source nor wheel."""
    if SOURCE.is_dir():
        return False
    if not LOCK.exists():
        raise InputError(f"{SOURCE}: no source of Assay here; run this in a copy of the template")
    return True


def adoption(name: str | None = None) -> Changes:
    """Return the changes that adopt this copy: a wheel replaces the package and its development files.

    In a project that ejected the source of Assay, only that source is removed.
    """
    wheel = build()
    here = files_here()
    if not INSTEAD.is_dir():
        return {**dict.fromkeys((path for path in here if path.is_relative_to(SOURCE)), None), **_installed(wheel)}
    gone = [path for path in here if owner(path.as_posix()) == "package"]
    instead = {path.relative_to(INSTEAD): path.read_bytes() for path in INSTEAD.rglob("*") if path.is_file()}
    contract = load_contract() if CONTRACT.exists() else None
    own = project_name(name, contract.name if contract else "", remote_url(), Path.cwd().name)
    title = contract.name if contract else own
    readme = instead[README].decode().replace("NAME", title.replace("-", " ").capitalize(), 1)
    readme = readme.replace("DESCRIPTION", contract.description if contract else "", 1)
    if contract is not None and contract.name != SAMPLE:
        gone += [path for path in ABOUT_SAMPLE if path.exists()]
    return {
        **dict.fromkeys([*gone, *unneeded()], None),
        **instead,
        **_installed(wheel),
        README: readme.encode(),
        PYPROJECT: renamed(PYPROJECT.read_text(encoding="utf-8"), own).encode(),
    }


def no_overrides() -> Changes:
    """Return the change that empties overrides.yaml, for a project without accepted exceptions."""
    if not OVERRIDES.exists() or not load_overrides():
        return {}

    def change(content: CommentedMap) -> None:
        content["overrides"] = CommentedSeq()

    return {OVERRIDES: edit_yaml(OVERRIDES.read_text(encoding="utf-8"), change).encode()}


def carry_out(changes: Changes) -> None:
    """Apply the changes, and install the wheel in the project's environment."""
    put(different(changes))
    # Tools may have left files there.
    shutil.rmtree(SOURCE, ignore_errors=True)
    remove_empty(SOURCE.parent)
    install()
    say(f"adopted: Assay now runs from the wheel in {LOCK}; {undo()}")


def install() -> None:
    """Install the locked wheel, if this Python is that of the project's own .venv."""
    if own_environment():
        pip("install", "--force-reinstall", "--no-deps", "--require-hashes", "--requirement", str(LOCK))
    else:
        say("this Python is not the one in .venv: run `make repro` to install Assay there")


def _installed(wheel: Wheel) -> Changes:
    return {**wheel.files(), PROCESS: process_of(wheel)}
