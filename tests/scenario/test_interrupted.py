"""A run that is killed, in each stage and at the worst moment, leaves nothing that the next run trips over."""

import os
import signal
import subprocess

import pytest

from scenario.project import STAGES, Project, stages_run

# The process dies with its first file written under its temporary name, and not yet under its own.
DIES_BEFORE_RENAMING = """
import os, signal
from pathlib import Path
Path.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_killed_in_a_stage_is_made_good_by_the_next(finished: Project, stage: str) -> None:
    module, wanted = f"src/assay/stages/{stage}.py", finished.locked()
    code = (finished.root / module).read_text(encoding="utf-8")

    # First the whole run, DVC and all, as when the machine stops.
    finished.append(module, "\n# changed, so that this stage has to run\n")
    kill_when_running(finished, stage)

    # Then the stage alone, in the middle of writing.
    finished.append(module, DIES_BEFORE_RENAMING)
    assert "stopped at the stage named above" in finished.refused("assay", "repro")
    assert finished.leftovers()

    (finished.root / module).write_text(code + "\n# changed once more\n", encoding="utf-8")
    done = finished.run("assay", "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    assert stages_run(done.stdout) == [stage]
    assert finished.locked() == wanted
    assert finished.leftovers() == []


@pytest.mark.parametrize("torn", ["", '{"write": {"/'])
def test_a_lock_file_that_dvc_was_killed_in_writing_does_not_stop_the_next_run(finished: Project, torn: str) -> None:
    (finished.root / ".dvc/tmp/rwlock").write_text(torn)
    assert "nothing changed" in finished.run("assay", "repro").stderr


def kill_when_running(project: Project, stage: str) -> None:
    """Start the pipeline, and kill it and all that it started as soon as it says that it runs the stage."""
    command = ["assay", "repro"]
    with subprocess.Popen(
        command,
        cwd=project.root,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if line == f"> assay stage {stage}\n":
                os.killpg(running.pid, signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
