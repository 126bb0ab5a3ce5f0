"""Keys of clients: the log holds only hashes of them, which nobody can make without the secret of the log."""

import os
from hashlib import blake2b
from pathlib import Path

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
