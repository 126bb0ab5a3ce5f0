"""A full disk, for real: a small file system, mounted where only the command under test sees it."""

import re
import subprocess

import pytest

from scenario.project import Done, Project, stages_run

# A mount namespace of its own ends with the command, and the mount with it.
UNSHARE = ("unshare", "--user", "--map-root-user", "--mount")


def _may_mount() -> str:
    """Return why no file system can be mounted here, or nothing."""
    try:
        tried = subprocess.run(
            [*UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return "there is no unshare command"
    return tried.stderr.strip()


REFUSAL = _may_mount()
pytestmark = pytest.mark.skipif(bool(REFUSAL), reason=f"a file system cannot be mounted here: {REFUSAL}")


def on_small_disk(project: Project, folder: str, script: str) -> Done:
    """Run a shell script in the project, with a folder of it on an otherwise empty file system of 32 kB.

    Its commands are processes of their own: a server would not see the file system.
    """
    mount = f"mkdir -p {folder} && mount -t tmpfs -o size=32k none {folder}"
    return project.cold.run(*UNSHARE, "sh", "-c", f"{mount} && {script}")


@pytest.mark.parametrize(
    ("folder", "stage", "lost"),
    [
        pytest.param("build/split", "prepare", r"\w+.parquet", marks=pytest.mark.nightly),
        ("models", "export", "model.onnx"),
        pytest.param("reports", "analyse", "analyse.json", marks=pytest.mark.nightly),
    ],
)
def test_a_stage_that_finds_no_room_says_so_and_leaves_nothing_half_written(
    finished: Project, folder: str, stage: str, lost: str
) -> None:
    fill = f"head --bytes 31000 /dev/zero > {folder}/filler"
    done = on_small_disk(finished, folder, f"{fill}; assay stage {stage}; status=$?; ls -A {folder}; exit $status")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("assay: ") == 1
    last = done.stderr.splitlines()[-1]
    assert re.match(rf"assay: {folder}/{lost}: cannot be written: ", last)
    assert last.endswith("No space left on device")
    assert done.stdout.split() == ["filler"]


def test_the_pipeline_stops_on_a_full_disk_and_goes_on_when_there_is_room(finished: Project) -> None:
    wanted = finished.locked()
    finished.append("packages/assay/src/assay/stages/prepare.py", "\n# changed, so that this stage has to run\n")
    done = on_small_disk(finished, "build", "assay repro")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert finished.leftovers() == []

    done = finished.run("assay", "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "prepare" in stages_run(done.stdout)
    assert finished.locked() == wanted
