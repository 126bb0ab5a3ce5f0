"""A project as a person has it after `git clone`, and the commands that are typed in it."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from ruamel.yaml import YAML

from places import ROOT

SOURCE = ROOT
# Parameters that take no time for what decides nothing: figures are less exact, and fewer rows are looked at.
SHORT: dict[str, object] = {
    "evaluate__learning_curve_points": 2,
    "evaluate__resamples": 100,
    "analyse__max_rows": 50,
    "gates__service__enabled": False,
}
# Enough to find what the tests put there; and where they put nothing.
FEW_EXAMPLES = {"gates__expectations__examples": 10, "gates__parity__examples": 10}
FEWEST_EXAMPLES = {"gates__expectations__examples": 3, "gates__parity__examples": 3}
FUTURE = 4e9
STAGES = ("validate", "prepare", "tune", "train", "evaluate", "analyse", "export")

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Project:
    """A clone of this repository, and the home of whoever works in it.

    `commands` is the `bin` folder of a server of `gates.warm`, which runs `python`, `assay` and `dvc` at a fraction of
    what they cost; without it they are processes of their own.
    """

    root: Path
    home: Path
    commands: Path | None = None

    @property
    def cold(self) -> Self:
        """The same project, where each command is a process of its own."""
        return replace(self, commands=None)

    @property
    def environment(self) -> dict[str, str]:
        """What a command sees: the commands of this Python, the clone's own Assay, and nothing of whoever tests."""
        places = [self.commands, Path(sys.executable).parent, os.environ["PATH"]]
        return {
            "PATH": os.pathsep.join(str(place) for place in places if place),
            "HOME": str(self.home),
            "DVC_SITE_CACHE_DIR": str(self.home / "dvc"),
            "PYTHONPATH": str(self.root / "packages/assay/src"),
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            **{
                f"GIT_{role}_{field}": "test@localhost"
                for role in ("AUTHOR", "COMMITTER")
                for field in ("NAME", "EMAIL")
            },
        }

    def run(self, *command: str, **environment: str) -> Done:
        """Run a command in the project, whatever its exit status."""
        return subprocess.run(
            command,
            cwd=self.root,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def ok(self, *command: str, **environment: str) -> str:
        """Run a command that has to succeed, and return what it printed."""
        done = self.run(*command, **environment)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def refused(self, *command: str, **environment: str) -> str:
        """Run a command that has to refuse its input, with exit status 2; return what `assay` says first."""
        done = self.run(*command, **environment)
        assert done.returncode == 2, f"{' '.join(command)}: {done.returncode}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr + done.stdout
        said = [line for line in done.stderr.splitlines() if line.startswith("assay: ")]
        assert said, done.stderr
        return said[0].removeprefix("assay: ")

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text in a file, which has to be there."""
        file = self.root / path
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{path} holds no {old!r}"
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    def set_params(self, **values: object) -> None:
        """Set keys of params.yaml, named like `tune__search`; a key that was not there is added."""
        yaml, file = YAML(), self.root / "params.yaml"
        content = yaml.load(file.read_text(encoding="utf-8"))
        for name, value in values.items():
            *parts, key = name.split("__")
            place = content
            for part in parts:
                place = place[part]
            place[key] = value
        yaml.dump(content, file)

    def append(self, path: str, text: str) -> None:
        """Append a text to a file."""
        with (self.root / path).open("a", encoding="utf-8") as file:
            file.write(text)

    def locked(self) -> dict[str, str]:
        """Return the hash of each output of the pipeline, from dvc.lock."""
        lock: Any = YAML(typ="safe").load((self.root / "dvc.lock").read_text(encoding="utf-8"))
        return {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage["outs"]}

    def leftovers(self) -> list[str]:
        """Return the files that a write left unfinished."""
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*.tmp") if path.is_file())

    def copy(self, root: Path) -> Self:
        """Return a copy of the project as it is, with what git and DVC do not track."""
        subprocess.run(["cp", "-a", self.root, root], check=True)
        return replace(self, root=root)


def make_environment(path: Path, commands: Path | None = None) -> None:
    """Make what set-up would: an environment that is the one of this Python, or has other commands."""
    path.mkdir()
    (path / "bin").symlink_to(commands or Path(sys.prefix) / "bin")
    for part in ("lib", "pyvenv.cfg"):
        (path / part).symlink_to(Path(sys.prefix) / part)
    for stamp in (".setup", ".train", ".dev", ".package"):
        (path / stamp).touch()
        # Newer than anything a test writes: set-up would install into the environment that runs the tests.
        os.utime(path / stamp, (FUTURE, FUTURE))


def stages_run(output: str) -> list[str]:
    """Return the stages that DVC says it ran."""
    return [stage for stage in STAGES if f"Running stage '{stage}':" in output]


def make_template(project: Project, left_out: tuple[str, ...] = ()) -> None:
    """Make a git repository of the working tree of this one, as it is, with the data in its embedded remote.

    Files whose paths begin like one of `left_out` are not in it.
    """
    root = project.root
    root.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=SOURCE,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (SOURCE / name).is_file() and not name.startswith(left_out):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(SOURCE / name, root / name)
    if not (root / ".dvc/embedded").exists():
        shutil.copytree(SOURCE / ".dvc/cache/files", root / ".dvc/embedded/files")
    project.ok("git", "init", "--quiet", "--initial-branch", "main")
    project.ok("git", "add", "--all")
    project.ok("git", "commit", "--quiet", "--message", "All of it")


def clone(template: Project, root: Path) -> Project:
    """Return a fresh clone."""
    template.ok("git", "clone", "--quiet", str(template.root), str(root))
    return replace(template, root=root)


def once(folder: Path, make: Callable[[], object]) -> None:
    """Make a folder unless another worker did; the others wait."""
    made = folder.with_suffix(".made")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            make()
            made.touch()
