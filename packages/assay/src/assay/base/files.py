"""Atomic writes: files are written to a temporary name in the same folder, then renamed."""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from assay.base.conflicts import require_no_conflict
from assay.base.errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` if the block succeeds.

    Temporary files left by a process that was killed are removed. Raises InputError if the file cannot be written, for
    example because the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path.parent, escape(path.name))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        # The error of a failed write names no file, or the temporary one.
        if error.filename is None or str(temporary) in (error.filename, error.filename2):
            raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def remove_abandoned(folder: Path, pattern: str = "*") -> None:
    """Remove temporary files of killed processes from a folder, those for files whose names match."""
    for temporary in folder.glob(f".{pattern}.*.tmp"):
        if not _is_in_use(temporary):
            temporary.unlink(missing_ok=True)


def _is_in_use(temporary: Path) -> bool:
    """Say whether the process that made a temporary file is there, and not this one."""
    number = temporary.name.split(".")[-2]
    if not number.isdecimal() or int(number) == os.getpid():
        return False
    try:
        os.kill(int(number), 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Lock a file or folder while the block runs; yield whether nobody else has locked it.

    A lock ends with its process, however that ends.
    """
    try:
        opened = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another process that had locked it may have deleted it in between.
        is_ours = os.path.samestat(os.fstat(opened), path.stat())
    except (BlockingIOError, FileNotFoundError):
        is_ours = False
    try:
        yield is_ours
    finally:
        os.close(opened)


@contextmanager
def lock_alone(path: Path, otherwise: str) -> Iterator[None]:
    """Lock a file or folder while the block runs.

    Raises InputError with the message `otherwise` if another process has locked it, or has just removed it.
    """
    with locked(path) as is_ours:
        if not is_ours:
            raise InputError(otherwise)
        yield


@contextmanager
def writes_to(path: Path) -> Iterator[None]:
    """Turn an error of the file system in the block into InputError, which names this file or folder."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` in UTF-8, atomically."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON; NaN and infinities are an error, because other readers refuse them."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_once(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file to the disk, unless it exists: of several processes the first one decides what it holds.

    Raises OSError if it cannot be written.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        with temporary.open("xb") as file:
            temporary.chmod(mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            pass
        except OSError:
            # A file system without links: of processes that start at the same time, the last one decides.
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """Read a JSON file that this project wrote; raises InputError if it is missing or incomplete."""
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; run `make pr`") from None
    except ValueError:
        require_no_conflict(path, text)
        raise InputError(f"{path}: not a complete JSON file; delete it and run `make pr`") from None


def replace_links(folder: Path) -> None:
    """Replace the symbolic links in a folder with copies of what they lead to, so that the folder can be moved.

    DVC makes links into its cache where `cache.type` is `symlink`.
    """
    for path in [path for path in folder.rglob("*") if path.is_symlink() and path.is_file()]:
        write_bytes(path, path.read_bytes())


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_all(files: Iterable[Path], folder: Path, digest: Callable[[Path], str] = sha256) -> str:
    """Return the SHA-256 of files: of their names below a folder, and of what they hold; `digest` hashes one."""
    lines = [f"{path.relative_to(folder).as_posix()} {digest(path)}\n" for path in sorted(files)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
