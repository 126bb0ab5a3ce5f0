"""The champion: the model of the commit that a change starts from, with the code that made it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from dvc.api import DVCFileSystem
from dvc.repo import Repo

from assay.base.config import parse_yaml
from assay.base.errors import InputError
from assay.base.files import sha256, write_bytes
from assay.base.git import git
from assay.base.process import run
from assay.base.progress import say
from assay.contract.spec import CONTRACT, Contract
from assay.project.fingerprint import SOURCE, fingerprints
from assay.project.history import file_at, files_at, folder_in_repository
from assay.project.pipeline import locked_stages

KEPT = Path(".assay/champions")
WHEELS = Path(".assay/wheels")
MOST = 3
EMBEDDED = Path(".dvc/embedded/files/md5")
# What a model is judged, explained, reported and served by.
PARTS = (
    "src",
    "service.py",
    "bentofile.yaml",
    "loadtests",
    "requirements",
    "vendor",
    "packages/assay/src",
    "contract.yaml",
    "params.yaml",
    "dvc.lock",
    "metrics.json",
    "build",
    "models",
    "plots",
    "reports",
)


def has_model(commit: str) -> bool:
    """Say whether the pipeline had been run at a commit."""
    lock = file_at(commit, Path("dvc.lock"))
    return lock is not None and "train" in locked_stages(lock.decode())


def is_other_problem(commit: str, contract: Contract) -> bool:
    """Say whether a commit is about another target, and from other columns: there is nothing to compare then."""
    content = parse_yaml((file_at(commit, CONTRACT) or b"").decode())
    try:
        target, columns = content["target"]["name"], set(content["columns"])
    # What cannot be read is for whoever compares to say.
    except (KeyError, TypeError):
        return False
    return target != contract.target.name and 2 * len(columns & set(contract.columns)) <= len(columns)


def restore(commit: str) -> Path:
    """Return a folder with code, model, split and results of a commit, from the DVC cache or remote if these have it.

    Else the pipeline of that commit is run again, in a git worktree. Raises InputError when that fails too.
    """
    folder = KEPT / commit
    if folder.is_dir():
        os.utime(folder)
        return folder
    temporary = KEPT / f".{commit}.{os.getpid()}.tmp"
    temporary.mkdir(parents=True)
    try:
        _from_embedded(commit)
        try:
            _from_git_and_dvc(commit, temporary)
        # DVC raises errors of many kinds for what neither cache nor remote has; each means the same.
        except Exception as error:
            say(f"champion: {commit[:10]} is not in the DVC cache or remote ({_one_line(error)}): training it again")
            _rebuild(commit, temporary)
        # Another run may have been faster; what it made is the same.
        if not folder.is_dir():
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in sorted((path for path in KEPT.iterdir() if not path.name.startswith(".")), key=os.path.getmtime)[:-MOST]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def own_assay(folder: Path) -> Path | None:
    """Return where the Assay that a project holds can be imported from, None if the installed one serves alike.

    The template holds its source, a copy a wheel, which is unpacked once. Raises InputError for a broken wheel.
    """
    found = folder / "packages/assay/src"
    if not (found / "assay").is_dir():
        wheels = sorted(folder.glob("vendor/assay-*.whl"))
        if not wheels:
            return None
        found = _unpacked(wheels[-1])
    own, installed = (fingerprints(source, ["service"]) for source in (found / "assay", SOURCE))
    return None if own == installed else found.resolve()


def _unpacked(wheel: Path) -> Path:
    folder = WHEELS / sha256(wheel)[:16]
    if not folder.is_dir():
        temporary = folder.with_suffix(f".{os.getpid()}.tmp")
        try:
            with ZipFile(wheel) as content:
                content.extractall(temporary)
            temporary.rename(folder)
        except BadZipFile:
            raise InputError(f"{wheel}: not a whole wheel; take it from git again") from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def run_python(folder: Path, *arguments: str) -> None:
    """Run Python in a folder, with its src/ before what is installed; raises InputError with the last line it said."""
    path = [str((folder / "src").resolve()), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"{last.removeprefix('assay: ')}")


def _from_embedded(commit: str) -> None:
    """Put into the DVC cache what the embedded remote held at that commit: git still has it, the folder may not."""
    cache = _cache()
    for path in files_at(commit, EMBEDDED):
        kept = cache / path.relative_to(EMBEDDED)
        if not kept.exists() and (content := file_at(commit, path)) is not None:
            write_bytes(kept, content)


def _from_git_and_dvc(commit: str, folder: Path) -> None:
    # What git has comes from git: DVC reads it through pygit2, which may wait for ever for the rest of a large file.
    archive = folder / ".archive.tar"
    there = map(str, files_at(commit, *map(Path, PARTS)))
    git("archive", f"--output={archive}", commit, "--", *there)
    shutil.unpack_archive(archive, folder, filter="data")
    archive.unlink()
    files = DVCFileSystem(".", rev=commit)
    for part in PARTS:
        for path in files.find(f"/{part}", dvc_only=True):
            place = folder / path.lstrip("/")
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                files.get_file(path, str(place))


def _rebuild(commit: str, folder: Path) -> None:
    checkout = folder.with_suffix(".worktree")
    git("worktree", "add", "--detach", "--force", str(checkout), commit)
    worktree = checkout / folder_in_repository()
    try:
        run("dvc", "config", "--local", "cache.dir", str(_cache().parent.parent.resolve()), folder=worktree)
        run_python(worktree, "-c", "from assay.cli.main import main; main()", "repro")
        for part in PARTS:
            # A part of it may have been there after all.
            shutil.rmtree(folder / part, ignore_errors=True)
            if (worktree / part).exists():
                shutil.move(worktree / part, folder / part)
    finally:
        git("worktree", "remove", "--force", str(checkout))


def _cache() -> Path:
    with Repo() as repo:
        return Path(repo.cache.local.path)


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:200]
