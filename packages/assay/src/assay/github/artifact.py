"""The data artifact of an untrusted run: a few known files, read without unpacking."""

import json
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from assay.base.errors import InputError
from assay.base.files import write_bytes
from assay.github.api import GitHub
from assay.github.event import Run

NAME = "assay-data"
REPORT = "reports/report.json"
# The files that train.yml puts into the artifact, with their size limits in bytes.
KNOWN = {REPORT: 50_000_000, **dict.fromkeys(("dvc.lock", "metrics.json", "requirements/process.yaml"), 1_000_000)}
FOLDERS = {f"{parent}/" for name in KNOWN for parent in PurePosixPath(name).parents}
MOST_BYTES = sum(KNOWN.values())


def fetch_artifact(github: GitHub, run: Run, archive: Path) -> None:
    """Download the data of a run to a file, if the run left any."""
    found = github.pages(f"actions/runs/{run.number}/artifacts", "artifacts", name=NAME)
    # A re-run leaves another artifact with the same name.
    kept = [one for one in found if one["name"] == NAME and not one["expired"]]
    if kept:
        newest = max(kept, key=lambda one: int(one["id"]))
        write_bytes(archive, github.download(f"actions/artifacts/{int(newest['id'])}/zip", MOST_BYTES))


def contents(path: Path) -> dict[str, bytes]:
    """Return the files of an artifact, an archive or the folder of an unpacked one, by name.

    Raises InputError for unexpected files, symlinks, names with `..`, files that are too large, and broken archives.
    Nothing is written.
    """
    if path.is_dir():
        return dict(_of_folder(path))
    if not path.is_file():
        raise InputError(f"{path}: the run left no data; see its log")
    return _of_archive(path)


def report_of(files: dict[str, bytes]) -> dict[str, Any]:
    """Return the report's data in an artifact; raises InputError if it is missing or not a JSON object."""
    if REPORT not in files:
        raise InputError("the artifact has no report: the run failed before it wrote one; see its log")
    try:
        found = json.loads(files[REPORT])
    except (ValueError, RecursionError):
        raise InputError("the artifact's report.json is not valid JSON") from None
    if not isinstance(found, dict):
        raise InputError("the artifact's report.json is not a JSON object")
    return found


@contextmanager
def refusing() -> Iterator[None]:
    """Sanitize texts of the artifact in errors: workflow logs interpret commands, and a status cannot be escaped."""
    try:
        yield
    except InputError as error:
        raise InputError(f"the artifact was refused: {shown(str(error), 300)}") from None


def shown(text: str, most: int = 80) -> str:
    """Return a text with all but harmless characters replaced."""
    return re.sub(":+", ":", re.sub(r"[^\w./,;:=()' -]", "?", text, flags=re.ASCII))[:most]


def _of_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    def fail(error: OSError) -> None:
        raise InputError(f"the artifact cannot be read: {error.strerror}")

    for place, folders, names in os.walk(folder, onerror=fail):
        for name in [*folders, *names]:
            path = Path(place, name)
            known = path.relative_to(folder).as_posix()
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode) and f"{known}/" in FOLDERS:
                continue
            _require_known(known, is_plain=stat.S_ISREG(mode), size=path.lstat().st_size)
            yield known, path.read_bytes()


def _of_archive(path: Path) -> dict[str, bytes]:
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"the artifact is larger than the limit of {MOST_BYTES} bytes")
    found: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename in FOLDERS:
                    continue
                kind = stat.S_IFMT(entry.external_attr >> 16)
                _require_known(entry.filename, is_plain=kind in (0, stat.S_IFREG), size=entry.file_size)
                if entry.filename in found:
                    raise InputError(f"the artifact contains {entry.filename} twice")
                with archive.open(entry) as file:
                    content = file.read(KNOWN[entry.filename] + 1)
                # The size that an entry declares may be wrong.
                _require_known(entry.filename, is_plain=True, size=len(content))
                found[entry.filename] = content
    # The archive is broken, encrypted or uses an unknown compression.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError, ValueError):
        raise InputError("the artifact is not a readable archive") from None
    return found


def _require_known(name: str, *, is_plain: bool, size: int) -> None:
    if name not in KNOWN:
        raise InputError(f"the artifact contains an unexpected file {shown(name)!r}")
    if not is_plain:
        raise InputError(f"the artifact's {name} is not a regular file")
    if size > KNOWN[name]:
        raise InputError(f"the artifact's {name} is larger than the limit of {KNOWN[name]} bytes")
