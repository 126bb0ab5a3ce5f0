"""The data artifact of a run, as a stranger may have made it: a few known files, read and never unpacked."""

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

NAME = "assay-data"
REPORT = "reports/report.json"
# What train.yml puts into the artifact, with the most bytes that are read of each.
KNOWN = {REPORT: 50_000_000, **dict.fromkeys(("dvc.lock", "metrics.json", "requirements/process.yaml"), 1_000_000)}
FOLDERS = {f"{parent}/" for name in KNOWN for parent in PurePosixPath(name).parents}
MOST_BYTES = sum(KNOWN.values())


def contents(path: Path) -> dict[str, bytes]:
    """Return the files of an artifact, an archive or the folder of an unpacked one, by name.

    Raises InputError for a file that does not belong there, one that leads elsewhere (a symlink, a name with `..`),
    one that is too large, and for what is no archive. Nothing is written.
    """
    if path.is_dir():
        return dict(_of_folder(path))
    if not path.is_file():
        raise InputError(f"{path}: the run left no data; its log says why")
    return _of_archive(path)


def report_of(files: dict[str, bytes]) -> dict[str, Any]:
    """Return the data of the report in an artifact; raises InputError where it is missing or no JSON object."""
    if REPORT not in files:
        raise InputError("the artifact holds no report: the run stopped before there was one; its log says why")
    try:
        found = json.loads(files[REPORT])
    except (ValueError, RecursionError):
        raise InputError("the artifact's report.json is no JSON") from None
    if not isinstance(found, dict):
        raise InputError("the artifact's report.json is no JSON object")
    return found


@contextmanager
def refusing() -> Iterator[None]:
    """Let no error carry a text of the artifact to where it could act: a log reads commands, a status has no escape."""
    try:
        yield
    except InputError as error:
        raise InputError(f"the artifact was refused: {shown(str(error), 300)}") from None


def shown(text: str, most: int = 80) -> str:
    """Return a text of which only what is harmless anywhere is left."""
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
        raise InputError(f"the artifact has more than {MOST_BYTES} bytes")
    found: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename in FOLDERS:
                    continue
                kind = stat.S_IFMT(entry.external_attr >> 16)
                _require_known(entry.filename, is_plain=kind in (0, stat.S_IFREG), size=entry.file_size)
                if entry.filename in found:
                    raise InputError(f"the artifact holds {entry.filename} twice")
                with archive.open(entry) as file:
                    content = file.read(KNOWN[entry.filename] + 1)
                # What an entry says of its own size need not be so.
                _require_known(entry.filename, is_plain=True, size=len(content))
                found[entry.filename] = content
    # An archive that is torn, encrypted or packed in an unknown way.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError, ValueError):
        raise InputError("the artifact is no archive that can be read") from None
    return found


def _require_known(name: str, *, is_plain: bool, size: int) -> None:
    if name not in KNOWN:
        raise InputError(f"the artifact holds {shown(name)!r}, which does not belong there")
    if not is_plain:
        raise InputError(f"the artifact's {name} is no plain file")
    if size > KNOWN[name]:
        raise InputError(f"the artifact's {name} has more than {KNOWN[name]} bytes")
