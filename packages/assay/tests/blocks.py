"""Small files that are read in many parts."""

import pytest

from assay.data import delimited, encoded


def read_in_blocks(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let texts be read in blocks of some bytes."""
    for module in (delimited, encoded):
        monkeypatch.setattr(module, "BLOCK", size)
