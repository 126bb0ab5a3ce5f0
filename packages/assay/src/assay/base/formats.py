"""Versions of file formats: a reader accepts the newest version that it knows, and the one before."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.base.errors import InputError
from assay.base.files import read_json


def check_format(content: Mapping[str, Any], newest: int, path: Path) -> int:
    """Return the format version of a file's content; 1 if the file names none.

    Raises InputError for a format that is newer than `newest`, or older than the one before.
    """
    found = content.get("format", 1)
    if type(found) is not int or found < 1:
        raise InputError(f"{path}: its format should be a whole number of at least 1, found {found!r:.40}")
    if found > newest:
        raise InputError(f"{path}: written by a newer Assay (format {found}); upgrade")
    if found < newest - 1:
        raise InputError(f"{path}: written by an Assay that is too old (format {found}); run `make pr` to rewrite it")
    return found


def read_format(path: Path, newest: int) -> dict[str, Any]:
    """Read a JSON object that this project wrote; raises InputError if it is missing, broken or of another format."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected an object, found {type(content).__name__}")
    check_format(content, newest, path)
    return content
