"""The warm server runs a command as a process of its own would."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gates.warm import server

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(commands: Path, tmp_path: Path) -> Run:
    """Runs a command of the server in an empty folder."""

    def made(name: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path), "COLOUR": "blue"}
        given = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True} | options
        return subprocess.run([str(commands / name), *arguments], check=False, **given)

    return made


def test_the_command_sees_folder_environment_arguments_and_input(run: Run, tmp_path: Path):
    code = "import json, os, sys; print(json.dumps([os.getcwd(), os.environ['COLOUR'], sys.argv, sys.stdin.read()]))"
    done = run("python", "-c", code, "one", "two words", input="said")
    assert json.loads(done.stdout) == [str(tmp_path), "blue", ["-c", "one", "two words"], "said"]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("pass", 0),
        ("raise SystemExit(3)", 3),
        ("raise SystemExit('no')", 1),
        ("1 / 0", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    ],
)
def test_it_ends_as_the_command_does(run: Run, code: str, status: int):
    assert run("python", "-c", code).returncode == status


def test_what_goes_wrong_is_said_on_stderr(run: Run):
    assert "ZeroDivisionError" in run("python", "-c", "1 / 0").stderr
    assert run("python", "-c", "raise SystemExit('no')").stderr == "no\n"


def test_code_is_that_of_the_folder_as_it_is_now(run: Run, tmp_path: Path):
    for answer in ("one", "another"):
        (tmp_path / "mine.py").write_text(f"print({answer!r})\n")
        assert run("python", "-m", "mine").stdout == f"{answer}\n"


def test_the_project_is_not_loaded_beforehand(run: Run):
    code = "import sys; print([name for name in sys.modules if name.split('.')[0] in ('assay', 'model')])"
    assert run("python", "-c", code).stdout == "[]\n"


def test_chance_differs_from_command_to_command(run: Run):
    code = "import random, numpy; print(random.random(), numpy.random.rand())"
    first, second = (run("python", "-c", code).stdout.split() for _ in range(2))
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_a_command_that_starts_python_asks_the_server_again(run: Run):
    code = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import sys; print(\"numpy\" in sys.modules)'])"
    )
    assert run("python", "-c", code).stdout == "True\n"


def test_what_the_server_cannot_do_the_real_python_does(run: Run):
    assert run("python", "-V").stdout == f"Python {sys.version.split()[0]}\n"


def test_a_command_that_shares_a_pipe_is_a_process_of_its_own(run: Run):
    end, other = os.pipe()
    code = f"import os, sys; os.write({other}, str('numpy' in sys.modules).encode())"
    assert run("python", "-c", code, pass_fds=[other]).returncode == 0
    assert os.read(end, 9) == b"False"
    for file in (end, other):
        os.close(file)


def test_the_commands_may_lie_in_another_folder(run: Run, commands: Path, tmp_path: Path):
    (tmp_path / "bin").symlink_to(commands)
    done = run(str(tmp_path / "bin/python"), "-c", "import sys; print('numpy' in sys.modules, sys.executable)")
    assert done.stdout == f"True {commands}/python\n"


def test_a_command_whose_client_is_killed_ends(commands: Path, tmp_path: Path):
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with subprocess.Popen([commands / "python", "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        running = int(client.stdout.readline())
        client.kill()
        # The pipe ends when the last process that may write to it has ended.
        assert client.stdout.read() == ""
    with pytest.raises(ProcessLookupError):
        wait_for_its_end(running)


def wait_for_its_end(pid: int) -> None:
    for _ in range(1000):
        os.kill(pid, 0)
        time.sleep(0.01)


@pytest.fixture
def short_lived(tmp_path: Path) -> Iterator[Path]:
    with server(tmp_path / "warm") as commands:
        with server(tmp_path / "warm") as again:
            assert again == commands
        yield commands


@pytest.mark.nightly
def test_one_server_serves_all_who_ask_for_it_in_a_folder(short_lived: Path):
    assert subprocess.run([short_lived / "python", "-c", "raise SystemExit(5)"], check=False).returncode == 5
