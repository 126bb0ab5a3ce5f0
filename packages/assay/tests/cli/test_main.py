import os
import re
import signal
import subprocess
import sys

import click
import pyarrow as pa
import pytest
from click.testing import CliRunner

from assay.base.errors import InputError
from assay.cli import main as cli
from places import PACKAGE, ROOT


def ended(monkeypatch: pytest.MonkeyPatch, error: BaseException | None, result: int | None = None) -> int:
    """Return the exit status of `assay` when a command ends so."""

    def command() -> int | None:
        if error:
            raise error
        return result

    monkeypatch.setitem(cli.app.commands, "try", click.Command("try", callback=command))
    monkeypatch.setattr(sys, "argv", ["assay", "try"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


def test_each_end_of_a_command_has_its_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ended(monkeypatch, None) == 0
    assert ended(monkeypatch, None, 3) == 3
    assert ended(monkeypatch, InputError("x")) == 2


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InputError("a.yaml: no\n  key"), "assay: a.yaml: no key\n"),
        (OSError(28, "No space left on device", "build/x"), "assay: build/x: No space left on device\n"),
        (OSError("a message only"), "assay: a message only\n"),
        (
            pa.ArrowMemoryError("malloc of size 9 failed"),
            "assay: there is not enough memory here: malloc of size 9 failed\n",
        ),
        (MemoryError(), "assay: there is not enough memory here: an allocation failed\n"),
    ],
)
def test_what_the_user_can_mend_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, said: str
) -> None:
    assert ended(monkeypatch, error) == 2
    assert capsys.readouterr() == ("", said)


def test_a_fault_of_the_program_is_not_disguised_as_one_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        ended(monkeypatch, ZeroDivisionError())


def test_every_command_says_what_it_does() -> None:
    shown = CliRunner().invoke(cli.app, ["--help"]).output
    for name in cli.app.commands:
        assert re.search(rf"^  {name} +[A-Z]", shown, re.MULTILINE), f"{name} has no help"


@pytest.mark.parametrize("arguments", [["--help"], ["stage", "--help"]])
def test_a_reader_that_stops_reading_gets_no_traceback_and_no_verdict(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", "from assay.cli.main import main; main()", *arguments],
        env={"PYTHONPATH": f"{ROOT}/packages/assay/src:{ROOT}/src"},
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_an_interrupt_at_the_keyboard_ends_without_a_traceback() -> None:
    # The command waits for its stage, which waits for input that does not come.
    script = """
import sys
from types import ModuleType
from assay.cli import main as cli
stage = sys.modules["assay.stages.train"] = ModuleType("train")
def wait():
    print("running", flush=True)
    sys.stdin.read()
stage.main = wait
sys.argv = ["assay", "stage", "train"]
cli.main()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd="/",
        env={"PYTHONPATH": f"{ROOT}/packages/assay/src:{ROOT}/src"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "running\n"
        running.send_signal(signal.SIGINT)
        _, said = running.communicate()
    assert running.returncode == 130
    assert said.strip() == "assay: interrupted"


def test_every_target_of_the_makefiles_is_in_their_help() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "Makefile", PACKAGE / "package.mk"))
    targets = re.findall(r"^([a-z-]+):(?!=)", text, re.MULTILINE)
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^  make ([a-z-]+) +\S", shown, re.MULTILINE) == targets
    assert {"repro", "test", "lint", "help", "test-all"} <= set(targets)
