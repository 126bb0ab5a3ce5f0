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
# The process waits for ever when it is about to write, and says so.
WAITS = """
import signal
def save_pipeline(*_):
    print("waiting", flush=True)
    signal.pause()
"""


# The stage that takes longest, and the last.
EVERY_TIME = ("tune", "export")


@pytest.mark.parametrize(
    "stage", [stage if stage in EVERY_TIME else pytest.param(stage, marks=pytest.mark.nightly) for stage in STAGES]
)
def test_a_run_killed_in_a_stage_is_made_good_by_the_next(finished: Project, stage: str) -> None:
    module, wanted = f"packages/assay/src/assay/stages/{stage}.py", finished.locked()
    code = (finished.root / module).read_text(encoding="utf-8")

    # First the whole run, DVC and all, as when the machine stops.
    finished.append(module, "\n# changed, so that this stage has to run\n")
    assert stop_when_running(finished, stage, signal.SIGKILL)[0] == -signal.SIGKILL

    # Then the stage alone, in the middle of writing.
    finished.append(module, DIES_BEFORE_RENAMING)
    assert "failed at the stage named above" in finished.refused("assay", "repro")
    assert finished.leftovers()

    (finished.root / module).write_text(code + "\n# changed once more\n", encoding="utf-8")
    done = finished.run("assay", "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    assert stages_run(done.stdout) == [stage]
    assert finished.locked() == wanted
    assert finished.leftovers() == []


@pytest.mark.nightly
def test_a_run_that_is_interrupted_at_the_keyboard_ends_without_a_traceback(finished: Project) -> None:
    wanted = finished.locked()
    finished.append("packages/assay/src/assay/stages/train.py", WAITS)
    # The keyboard interrupts processes, and not what a server runs for them.
    status, said = stop_when_running(finished.cold, "train", signal.SIGINT, "waiting\n")
    assert status == 2
    assert "Traceback" not in said
    assert "assay: interrupted" in said

    finished.edit("packages/assay/src/assay/stages/train.py", WAITS, "# changed once more\n")
    finished.ok("assay", "repro")
    assert finished.locked() == wanted


@pytest.mark.parametrize("torn", ["", '{"write": {"/'])
def test_a_lock_file_that_dvc_was_killed_in_writing_does_not_stop_the_next_run(finished: Project, torn: str) -> None:
    (finished.root / ".dvc/tmp/rwlock").write_text(torn)
    assert "nothing changed" in finished.run("assay", "repro").stderr


def stop_when_running(project: Project, stage: str, by: signal.Signals, line: str = "") -> tuple[int, str]:
    """Run the pipeline, and send a signal to it and all that it started once it prints that it runs the stage.

    With `line`, once it prints that. Returns the exit status, and what was printed as errors.
    """
    errors = project.root.parent / "errors"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            ["assay", "repro"],
            cwd=project.root,
            env=project.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        ) as running,
    ):
        assert running.stdout is not None
        for printed in running.stdout:
            if printed == (line or f"Running stage '{stage}':\n"):
                os.killpg(running.pid, by)
    return running.returncode, errors.read_text()
