"""`assay upgrade`: install a newer Assay and merge its template files, as one commit."""

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
    """An upgrade: the two versions, the result for each file of the template, and all changes of files."""

    before: str
    after: str
    merged: Mapping[str, Merged]
    changes: Changes
    # The new version of each conflicting file, under the name PATH.assay-new.
    conflicts: Changes

    @property
    def subject(self) -> str:
        """The first line of the commit."""
        return f"Assay {self.before} -> {self.after}"


def current() -> Wheel:
    """Return the wheel that this project uses; raises InputError if it has the source of Assay."""
    if SOURCE.is_dir():
        raise InputError(f"{SOURCE}: Assay runs from source here, not from a wheel; run `assay adopt` first")
    if not LOCK.exists():
        raise InputError(f"{LOCK}: no such file; run this in the project folder")
    with TemporaryDirectory() as folder:
        _download(folder, "--require-hashes", "--requirement", str(LOCK))
        return _only_wheel(folder)


def wanted(what: str | None) -> Wheel:
    """Return the wheel at a path or URL, or of a version in the index; by default the newest version."""
    if what is not None and Path(what).is_file():
        return read_wheel(Path(what))
    if what is not None and what.endswith(".whl") and "://" not in what:
        raise InputError(f"{what}: there is no such file")
    source = "assay" if what is None else what if "://" in what else f"assay=={what}"
    with TemporaryDirectory() as folder:
        try:
            _download(folder, source)
        except InputError as error:
            raise InputError(
                f"{source}: cannot be downloaded ({error}); `assay upgrade WHEEL` installs from a file"
            ) from None
        return _only_wheel(folder)


def upgrade(old: Wheel, new: Wheel) -> Upgrade:
    """Return the upgrade of this project from one wheel to another; raises InputError for an older one."""
    if Version(new.version) < Version(old.version):
        raise InputError(f"{new.name}: is older than the {old.version} in use; go back with `git revert`")
    here = {path: Path(path).read_bytes() for path in {*old.template, *new.template} if Path(path).is_file()}
    merged = merge_all(_of_this_project(old.template, here), here, _of_this_project(new.template, here))
    changes = {
        VENDOR / old.name: None,
        **{Path(path): found.content for path, found in merged.items() if found.result != "conflict"},
        **new.files(),
        PROCESS: process_of(new),
    }
    conflicts = {
        Path(path + NEW): new.template[path]
        for path, found in merged.items()
        if found.result == "conflict" and path in new.template
    }
    return Upgrade(old.version, new.version, merged, different(changes), conflicts)


def carry_out(found: Upgrade) -> None:
    """Apply an upgrade, and install the wheel in the project's environment."""
    put({**found.changes, **found.conflicts})
    install()


def described(found: Upgrade) -> list[str]:
    """Return a line for each changed file of the template; conflicts come last."""
    lines = [f"{merged.result:8} {path}" for path, merged in found.merged.items() if merged.result != "conflict"]
    for path, merged in found.merged.items():
        if merged.result != "conflict":
            continue
        if Path(path + NEW) in found.conflicts:
            todo = "copy what you want from it" if not _is_lock(path) else "replace yours with it and run `make lock`"
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
    """Return a template with the name of this project."""
    path = str(PYPROJECT)
    if path not in template or path not in here:
        return dict(template)
    own = named(here[path].decode())
    return {**template, path: renamed(template[path].decode(), own).encode()}


def _download(folder: str, *what: str) -> None:
    pip("download", "--no-deps", "--only-binary", ":all:", "--dest", folder, *what)


def _only_wheel(folder: str) -> Wheel:
    return read_wheel(next(Path(folder).glob("*.whl")))
