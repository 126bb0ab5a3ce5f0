"""Other programs end in one line, and signals end this one as an error would."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from assay.base.errors import InputError
from assay.base.process import ended_by_signals, run


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("first\\ndenied", "denied"),
        ("docker: no such image\\n\\nRun 'docker run --help' for more information", "docker: no such image"),
        ("", "exit status 3"),
    ],
)
def test_a_program_that_fails_is_told_of_in_one_line(said: str, told: str) -> None:
    script = f'printf "{said}" >&2; exit 3'
    with pytest.raises(InputError) as caught:
        run("sh", "-c", script)
    assert str(caught.value) == f"sh -c: {told}"


def test_what_a_program_prints_is_returned() -> None:
    assert run("echo", "a", "b") == "a b\n"


@contextmanager
def handled(number: signal.Signals, how: signal.Handlers) -> Iterator[None]:
    """Handle a signal in one way, whatever the program that runs the tests has said."""
    before = signal.signal(number, how)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_closes_what_is_open(number: signal.Signals) -> None:
    with handled(number, signal.SIG_DFL), pytest.raises(SystemExit) as ended, ended_by_signals():
        os.kill(os.getpid(), number)
    assert ended.value.code == 128 + number


def test_a_signal_that_is_ignored_as_under_nohup_stays_so() -> None:
    with handled(signal.SIGHUP, signal.SIG_IGN):
        with ended_by_signals():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
