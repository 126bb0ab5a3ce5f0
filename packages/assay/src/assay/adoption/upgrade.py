"""`assay upgrade`: a newer Assay, merged into what was changed here, as one commit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.version import Version

from assay.adoption.adopt import PYPROJECT, install
from assay.adoption.changes import Changes, different, pip, put
from assay.adoption.merge import Merged, merge_all
from assay.adoption.naming import named, renamed
from assay.adoption.wheel import LOCK, SOURCE, VENDOR, Wheel, process_of, read_wheel
from assay.base.errors import InputError
from assay.project.fingerprint import PROCESS

NEW = ".assay-new"


@dataclass(frozen=True)
class Upgrade:
    """What an upgrade does: the versions, what happens to each file of the template, and all changes of files."""

    before: str
    after: str
    merged: Mapping[str, Merged]
    changes: Changes
    # The new version of each file with a conflict, under another name.
    beside: Changes

    @property
    def subject(self) -> str:
        """The first line of the commit."""
        return f"Assay {self.before} -> {self.after}"


def current() -> Wheel:
    """Return the wheel that this project is installed from; raises InputError where it has the source of Assay."""
    if SOURCE.is_dir():
        raise InputError(f"{SOURCE}: Assay is its source here, and no wheel; `assay adopt` makes one of it")
    if not LOCK.exists():
        raise InputError(f"{LOCK}: there is no such file; run this in the folder of the project")
    with TemporaryDirectory() as folder:
        _download(folder, "--require-hashes", "--requirement", str(LOCK))
        return _only_wheel(folder)


def wanted(what: str | None) -> Wheel:
    """Return the wheel at a path or an address, or of a version of the index; by default of its newest version."""
    if what is not None and Path(what).is_file():
        return read_wheel(Path(what))
    if what is not None and what.endswith(".whl") and "://" not in what:
        raise InputError(f"{what}: there is no such file")
    source = "assay" if what is None else what if "://" in what else f"assay=={what}"
    with TemporaryDirectory() as folder:
        try:
            _download(folder, source)
        except InputError as error:
            raise InputError(f"{source}: cannot be downloaded ({error}); `assay upgrade WHEEL` takes a file") from None
        return _only_wheel(folder)


def upgrade(old: Wheel, new: Wheel) -> Upgrade:
    """Return what brings the project here from one wheel to another; raises InputError for an older one."""
    if Version(new.version) < Version(old.version):
        raise InputError(f"{new.name}: is older than the {old.version} that is here; `git revert` goes back")
    here = {path: Path(path).read_bytes() for path in {*old.template, *new.template} if Path(path).is_file()}
    merged = merge_all(_of_this_project(old.template, here), here, _of_this_project(new.template, here))
    changes = {
        VENDOR / old.name: None,
        **{Path(path): found.content for path, found in merged.items() if found.result != "conflict"},
        **new.files(),
        PROCESS: process_of(new),
    }
    beside = {
        Path(path + NEW): new.template[path]
        for path, found in merged.items()
        if found.result == "conflict" and path in new.template
    }
    return Upgrade(old.version, new.version, merged, different(changes), beside)


def carry_out(found: Upgrade) -> None:
    """Put an upgrade in place, and the wheel into the project's environment."""
    put({**found.changes, **found.beside})
    install()


def described(found: Upgrade) -> list[str]:
    """Return a line for each file of the template that changed; last come those that a person has to look at."""
    lines = [f"{merged.result:8} {path}" for path, merged in found.merged.items() if merged.result != "conflict"]
    for path, merged in found.merged.items():
        if merged.result != "conflict":
            continue
        if Path(path + NEW) in found.beside:
            todo = "copy what you want from it" if not _is_lock(path) else "replace yours by it and run `make lock`"
            lines.append(f"conflict {path} is unchanged; the new version is in {path}{NEW}: {todo}, then delete it")
        else:
            lines.append(
                f"conflict {path} is unchanged; the new version has no such file: delete yours if you do not need it"
            )
    locks = [path for path, merged in found.merged.items() if merged.result == "merged" and _is_lock(path)]
    return [*lines, *(["run `make lock`: your locks were merged line by line"] if locks else [])]


def _is_lock(path: str) -> bool:
    return path.startswith("requirements/") and path.endswith(".txt")


def _of_this_project(template: Mapping[str, bytes], here: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return a template with the name that this project has."""
    path = str(PYPROJECT)
    if path not in template or path not in here:
        return dict(template)
    own = named(here[path].decode())
    return {**template, path: renamed(template[path].decode(), own).encode()}


def _download(folder: str, *what: str) -> None:
    pip("download", "--no-deps", "--only-binary", ":all:", "--dest", folder, *what)


def _only_wheel(folder: str) -> Wheel:
    return read_wheel(next(Path(folder).glob("*.whl")))
