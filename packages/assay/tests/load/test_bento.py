"""Specification of the ports that are given to services."""

import socket

import pytest

from assay.base.errors import InputError
from assay.load import bento
from assay.load.bento import HOST, free_port


def test_one_port_of_those_that_nobody_listens_on_is_given(monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as other:
        taken = free_port()
        other.bind((HOST, taken))
        other.listen()
        monkeypatch.setattr(bento, "PORTS", range(taken, taken + 1))
        with pytest.raises(InputError, match=f"no port from {taken} to {taken} is free"):
            free_port()
    assert free_port() == taken
