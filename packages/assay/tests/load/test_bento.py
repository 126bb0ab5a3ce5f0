"""Specification of the ports and the environment that are given to services."""

import socket
from pathlib import Path

import pytest

from assay.base.errors import InputError
from assay.load import bento
from assay.load.bento import HOST, _last_line, free_port


def test_one_port_of_those_that_nobody_listens_on_is_given(monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as other:
        taken = free_port()
        other.bind((HOST, taken))
        other.listen()
        monkeypatch.setattr(bento, "PORTS", range(taken, taken + 1))
        with pytest.raises(InputError, match=f"no port from {taken} to {taken} is free"):
            free_port()
    assert free_port() == taken


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("[ERROR] [entry] assay: /p/model.onnx: differs\n[ERROR] [entry] Startup failed.\n", "/p/model.onnx: differs"),
        ("Traceback:\nOSError: no licence\nit ended\n", "OSError: no licence"),
        ("it ended\n", "it ended"),
        ("", "nothing"),
    ],
)
def test_of_what_a_service_wrote_its_error_is_told(output: str, said: str):
    assert _last_line(output) == said


def test_the_load_test_does_not_write_to_the_log_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / bento.ASSAY).write_text("/somewhere/site-packages")
    monkeypatch.setenv("ASSAY_LOG", "/in/production")
    assert "ASSAY_LOG" not in bento._environment(tmp_path)
