"""Files at addresses such as s3://bucket/file, by fsspec: the credentials are those of its configuration."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from assay.base.errors import InputError, one_line
from assay.base.words import public, public_text

# Stores that show a file once all of it has arrived.
WHOLE = ("s3", "s3a", "gs", "gcs", "az", "abfs", "memory")


def is_address(location: str) -> bool:
    """Say whether fsspec knows the kind of an address; a path and the address of a database are none."""
    import fsspec

    kind, found, _ = location.partition("://")
    return bool(found) and kind in fsspec.available_protocols()


def path_or_address(location: str) -> str:
    """Return the path of a file:// address, and any other location as it is."""
    if not location.startswith(("file://", "local://")):
        return location
    import fsspec

    return str(fsspec.core.url_to_fs(location)[1])


@contextmanager
def fetched(address: str, folder: Path) -> Iterator[Path]:
    """Yield a copy, in a folder, of the file or folder at an address; messages of the block name the address.

    Raises InputError if it cannot be fetched.
    """
    with _named(address, "fetched"):
        system, remote = _opened(address)
        folder.mkdir(exist_ok=True)
        copy = folder.resolve() / (Path(re.sub(r"[?#].*", "", remote)).name or "data")
        # Asked for a folder, HTTP would read all of a file to look for links.
        if not address.startswith("http") and system.isdir(remote):
            system.get(remote, str(copy), recursive=True)
        else:
            system.get_file(remote, str(copy))
    try:
        yield copy
    except InputError as error:
        raise InputError(str(error).replace(str(copy), public(address))) from None


def require_store(address: str) -> None:
    """Raise InputError unless a file at an address is there as a whole or not at all, and its package is installed."""
    kind, _, _ = address.partition("://")
    if kind not in WHOLE:
        raise InputError(
            f"{public(address)}: a file at {kind}:// could be seen half written; name one at {', '.join(WHOLE[:-1])}, "
            "or a file here"
        )
    with _named(address, "written"):
        _opened(address)


def send(file: Path, address: str) -> None:
    """Put a file at an address, in place of what is there; raises InputError if that is not possible."""
    with _named(address, "written"):
        system, remote = _opened(address)
        system.put_file(str(file), remote)


def _opened(address: str) -> tuple[Any, str]:
    import fsspec

    system, remote = fsspec.core.url_to_fs(address)
    return system, str(remote)


@contextmanager
def _named(address: str, done: str) -> Iterator[None]:
    """Turn the errors of a store into InputError, which names the address."""
    name = public(address)
    try:
        yield
    except ImportError:
        raise InputError(
            f"{name}: needs an optional package; install it with `pip install -r requirements/remotes.txt`"
        ) from None
    except Exception as error:
        # Each store has its own errors; all mean the same here. Some write the address in another way.
        if isinstance(error, FileNotFoundError) and done == "fetched":
            raise InputError(f"{name}: there is no such file") from None
        said = one_line(public_text(str(error).replace(address, name))) or type(error).__name__
        raise InputError(f"{name}: cannot be {done}: {said}") from None
