"""Keys of clients, and ids of rows: the log holds only hashes of them, which nobody can make without its secret."""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

from assay.base.files import write_once

NAME = "secret"


def log_secret(folder: Path) -> bytes:
    """Return the secret of a log; make one if it has none."""
    path = folder / NAME
    write_once(path, os.urandom(32), mode=0o600)
    return path.read_bytes()


def key_hash(secret: bytes, key: bytes) -> str:
    """Return the hash of a key as the log has it."""
    return blake2b(key, key=secret, digest_size=8).hexdigest()


def key_forms(key: str) -> dict[str, bytes]:
    r"""Return what the header may have held that gives a key, by encoding: programs take UTF-8 or Latin-1.

    Bytes of Latin-1 that are valid UTF-8 are left out: they are more likely another key in UTF-8.

    >>> key_forms("ann"), key_forms("zoë")
    ({'UTF-8': b'ann'}, {'UTF-8': b'zo\xc3\xab', 'Latin-1': b'zo\xeb'})
    """
    # A terminal may have passed on bytes that are not valid UTF-8.
    forms = {"UTF-8": os.fsencode(key)}
    with suppress(UnicodeEncodeError):
        latin = key.encode("latin-1")
        try:
            latin.decode()
        except UnicodeDecodeError:
            forms["Latin-1"] = latin
    return forms


def ids_hash(secret: bytes, ids: Sequence[Any]) -> str | None:
    """Return the hash of the ids of a row as the log has it; None if one is missing."""
    if any(one in (None, "") for one in ids):
        return None
    # 17 is the id 17.0 of JSON, and "17" of a file.
    texts = [str(int(one)) if isinstance(one, float) and one.is_integer() else str(one) for one in ids]
    return key_hash(secret, json.dumps(texts).encode())
