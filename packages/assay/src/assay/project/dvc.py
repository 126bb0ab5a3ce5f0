"""The pipeline: fetch missing data from the remote, then run the stages that changed.

`python -m assay.project.dvc STAGE` runs one stage in the current folder, beside another, until its stdin ends.
"""

import io
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from dvc.cli import main as dvc
from dvc.dependency.param import ParamsDependency
from dvc.repo import Repo

from assay.base.conflicts import require_no_conflict
from assay.base.errors import InputError, one_line
from assay.base.files import sha256, write_text
from assay.base.progress import say
from assay.contract.spec import CONTRACT, load_contract
from assay.project.data import bring, in_one_line
from assay.project.fingerprint import PROCESS, refresh
from assay.project.freeze import switch_search, write_choice
from assay.project.hooks import install
from assay.project.layout import METRICS, read_choice
from assay.project.params import ModelChoice, load_params
from assay.project.settings import PARAMS

# DVC names a merge conflict in one of these as broken YAML, or overwrites it.
READ_BY_DVC = (Path("dvc.yaml"), Path("dvc.lock"), Path("data.dvc"), PROCESS, METRICS)
KEPT = "the results of finished stages are kept"
# Modules and functions of DVC that log which stage runs, and which comes from the cache.
STAGE_LINES = {("dvc.stage.run", "cmd_run"), ("dvc.stage.cache", "restore")}


def stale_stages() -> list[str]:
    """Return the stages that `dvc repro` would run; raises InputError if there is no pipeline."""
    _require_pipeline()
    with in_one_line(), Repo() as repo:
        return list(repo.status())


def changed() -> bool:
    """Return whether `dvc repro` would run any stage."""
    return bool(stale_stages())


def reproduce(*names: str) -> bool:
    """Run `dvc repro` in this process, of these stages or all, if anything changed; return whether it ran.

    Raises InputError if the configuration is wrong or a stage failed; the stage has then printed the reason.
    """
    _prepare()
    if not changed():
        say("nothing changed: no stage ran")
        return False
    _require_success(*names)
    return True


def finish(name: str, beside: str) -> None:
    """Run the stages that `reproduce` has left: first these two at the same time, which must not need each other.

    Raises InputError as `reproduce` does. If the first fails or this process dies, the one beside it ends too.
    """
    # One DVC runs one stage at a time.
    command = [sys.executable, "-P", "-m", "assay.project.dvc", beside]
    # Whatever leaves the block closes the pipe, which ends the child; so does the death of this process.
    with subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0) as child:
        if _stage_fails(name):
            raise InputError(f"stage {name} failed; its message is above; {KEPT}")
        if child.wait():
            raise InputError(f"stage {beside} failed; its message is above; {KEPT}")
    _require_success()


def _stage_fails(name: str) -> bool:
    """Run one stage beside another DVC, and say whether it failed."""
    return _repro_fails("--single-item", name, is_alone=False)


def _end_with_stdin() -> None:
    """End this process, which leads a group, and the others of its group as soon as its stdin ends."""
    pipe = os.dup(sys.stdin.fileno())
    # A stage that reads its stdin must not wait for what is never written.
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())

    def end() -> None:
        os.read(pipe, 1)
        os.killpg(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end, daemon=True).start()


def _require_success(*names: str) -> None:
    if _repro_fails(*names):
        raise InputError(f"the pipeline failed at the stage named above; {KEPT}")


@contextmanager
def results_kept(*names: str) -> Iterator[None]:
    """Let the block edit files that these stages (by default all) read, where the edit changes none of their results.

    They are recorded as up to date afterwards, unless one of them was stale before the edit.
    """
    stale = stale_stages()
    was_stale = any(name in stale for name in names) if names else bool(stale)
    yield
    if not was_stale and _dvc_fails("commit", "--quiet", "--force", *names):
        raise InputError("DVC could not record the results; run `dvc repro`")


def tune() -> ModelChoice:
    """Search for a model, write it into params.yaml and return it; what is edited in that file meanwhile stays.

    Raises InputError if the search fails, or if params.yaml cannot be read after it. The model that it found is then
    kept in build/.
    """
    _prepare()
    was_on, before = load_params().tune.search, PARAMS.read_text(encoding="utf-8")
    switch_search(on=True)
    searching = PARAMS.read_text(encoding="utf-8")
    failed = True
    try:
        failed = _repro_fails("tune")
    finally:
        if failed and PARAMS.read_text(encoding="utf-8") == searching:
            write_text(PARAMS, before)
        elif failed:
            with _readable():
                switch_search(on=was_on)
    if failed:
        raise InputError("the search failed; its message is above")
    choice = read_choice()
    # The first stage reads all parameters, and this one changes nothing of what it wrote.
    with results_kept("validate"), _readable():
        write_choice(choice)
    return choice


@contextmanager
def _readable() -> Iterator[None]:
    """Say what to do if params.yaml was edited during a search so that it cannot be read."""
    try:
        yield
    except InputError as error:
        raise InputError(
            f"{one_line(error)}; mend it, and `assay freeze` writes the model that the search found"
        ) from None


class _StageLines(logging.Filter):
    """Let warnings, errors and the lines that name a stage through; keep everything else in `held`."""

    def __init__(self) -> None:
        super().__init__()
        self.held = io.StringIO()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING or (record.name, record.funcName) in STAGE_LINES:
            return True
        print(record.getMessage(), file=self.held)
        return False


def _repro_fails(*arguments: str, is_alone: bool = True) -> bool:
    """Run `dvc repro` and say whether it failed; name the files that were edited meanwhile.

    DVC reads what a stage depends on only when the stage has ended. It waits for another DVC unless it `is_alone`.
    """
    before = _states()
    failed = _dvc_fails(*([] if is_alone else ["--wait-for-lock"]), "repro", *arguments)
    if edited := sorted({str(path) for path, _ in before ^ _states()}):
        say(
            f"edited while stages ran, whose results may be those of before: {', '.join(edited[:10])}; "
            "`dvc repro --force` runs them again"
        )
    return failed


def _states() -> set[tuple[Path, str | int]]:
    # Data may be large, and DVC may put a link in place of a file.
    data = {(path, path.stat().st_size) for path in Path("data").rglob("*") if path.is_file()}
    return data | {(path, sha256(path)) for path in (CONTRACT, PARAMS, *Path("src").rglob("*.py")) if path.is_file()}


def _dvc_fails(*arguments: str) -> bool:
    """Run DVC and say whether it failed; its hints, such as what to commit, are printed only then."""
    # A stage prints to the terminal by itself; what DVC prints must not overtake it.
    sys.stdout.flush()
    lines = _StageLines()
    handlers = [one for name in ("dvc", "dvc_objects", "dvc_data") for one in logging.getLogger(name).handlers]
    for handler in handlers:
        handler.addFilter(lines)
    try:
        # DVC prints some of its hints without its logger. Stages write to the file descriptor.
        with redirect_stdout(lines.held):
            failed = bool(dvc(list(arguments)))
    finally:
        for handler in handlers:
            handler.removeFilter(lines)
    if failed:
        sys.stdout.write(lines.held.getvalue())
    return failed


def _prepare() -> None:
    """Check the configuration, record the hashes of Assay and fetch the data, so that DVC sees all changes."""
    load_params()
    contract = load_contract()
    _require_pipeline()
    _require_parameters()
    refresh()
    bring(contract)
    install()


def _require_pipeline() -> None:
    if not Path("dvc.yaml").exists():
        raise InputError("dvc.yaml: there is no such file; run this in the project's folder")
    for path in filter(Path.exists, READ_BY_DVC):
        require_no_conflict(path, path.read_text(encoding="utf-8", errors="replace"))


def _require_parameters() -> None:
    """Raise InputError if dvc.yaml names a parameter that params.yaml leaves to its default: DVC knows no defaults."""
    with in_one_line(), Repo() as repo:
        watched = [
            (stage.addressing, one)
            for stage in repo.index.stages
            for one in stage.deps
            if isinstance(one, ParamsDependency) and Path(one.fs_path).name == PARAMS.name
        ]
        for stage, one in watched:
            if lacking := set(one.params) - one.read_params().keys():
                name = min(lacking)
                raise InputError(
                    f"{PARAMS}: {name}: is missing, but stage {stage} of dvc.yaml depends on it; add it as "
                    "`assay manual params` explains it"
                )


if __name__ == "__main__":
    _end_with_stdin()
    sys.exit(_stage_fails(sys.argv[1]))
