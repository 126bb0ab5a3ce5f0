"""The monitor on another machine, over a real SSH server: by a key that may run it, and nothing else."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from assay.base.errors import InputError
from assay.production.run import watch_on
from assay.project.layout import model_version
from places import PACKAGE
from production.test_command import project, run, write_log
from sshd import ssh_server
from watched import missing

__all__ = ["project"]
MONITOR = "import sys; from assay.cli.main import main; sys.argv = ['assay', 'monitor', '--json', 'monitoring']; main()"


def test_a_key_that_may_only_run_the_monitor_brings_its_result_and_no_row(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    there, here = project, tmp_path / "here"
    write_log(there / "monitoring", model_version(), change=missing)
    script = there / "monitor.sh"
    script.write_text(f'cd {there} && PYTHONPATH={PACKAGE}/src exec {sys.executable} -c "{MONITOR}"\n')
    with ssh_server(tmp_path, tmp_path / "keys", f'restrict,command="sh {script}"') as url:
        client = here / "bin/ssh"
        client.parent.mkdir(parents=True)
        about = f"-i {tmp_path}/keys/id_ed25519 -o UserKnownHostsFile={here}/known -o StrictHostKeyChecking=accept-new"
        client.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F none {about} "$@"\n')
        client.chmod(0o755)
        monkeypatch.setenv("PATH", f"{client.parent}:/usr/bin:/bin")
        monkeypatch.chdir(here)
        # What is asked for does not matter.
        assert run("--host", url, "--models", "/etc", "passwd") == 1
    result = json.loads(Path("reports/monitor.json").read_text())
    assert result == json.loads((there / "reports/monitor.json").read_text())
    assert {path.name for path in here.rglob("*") if path.is_file()} == {
        "ssh",
        "known",
        "monitor.json",
        "monitor.md",
        "monitor.html",
    }


@pytest.mark.parametrize("says", [r"printf '\377\376'", "echo '[1]'", "echo down >&2; exit 255"])
def test_a_machine_that_answers_with_something_else_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str
):
    client = tmp_path / "ssh"
    client.write_text(f"#!/bin/sh\n{says}\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^ward: (it answered with something else than a result|down)$"):
        watch_on("ward", [])
    assert not Path("reports").exists()
