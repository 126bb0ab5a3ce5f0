"""The champion: the model of the base commit, with the code that trained it."""

import os
import shutil
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from dvc.api import DVCFileSystem
from dvc.repo import Repo

from assay.base.config import parse_yaml
from assay.base.errors import InputError, with_type
from assay.base.files import sha256, write_bytes
from assay.base.git import git
from assay.base.process import run, run_python
from assay.base.progress import say
from assay.contract.spec import CONTRACT, Contract
from assay.project.fingerprint import SOURCE, fingerprints
from assay.project.history import file_at, files_at, folder_in_repository, write_commit
from assay.project.pipeline import locked_stages

CACHE_DIR = Path(".assay/champions")
WHEELS = Path(".assay/wheels")
MOST_CACHED = 3
EMBEDDED = Path(".dvc/embedded/files/md5")
# The files needed to judge, explain, report and serve a model.
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
    """Return whether a commit has a trained model."""
    lock = file_at(commit, Path("dvc.lock"))
    return lock is not None and "train" in locked_stages(lock.decode())


def is_other_problem(commit: str, contract: Contract) -> bool:
    """Return whether a commit has another target and mostly other columns: its model cannot be compared."""
    content = parse_yaml((file_at(commit, CONTRACT) or b"").decode())
    try:
        target, columns = content["target"]["name"], set(content["columns"])
    # The comparison reports a contract that cannot be read.
    except (KeyError, TypeError):
        return False
    return target != contract.target.name and 2 * len(columns & set(contract.columns)) <= len(columns)


def restore(commit: str) -> Path:
    """Return a folder with code, model, split and results of a commit, from the DVC cache or remote if possible.

    Otherwise the pipeline of that commit is run again in a git worktree. Raises InputError if that fails too.
    """
    folder = CACHE_DIR / commit
    if folder.is_dir():
        os.utime(folder)
        return folder
    temporary = CACHE_DIR / f".{commit}.{os.getpid()}.tmp"
    temporary.mkdir(parents=True)
    try:
        _from_embedded(commit)
        # Files in git come from git itself: DVC reads them through pygit2, which can hang on large files.
        write_commit(commit, temporary, files_at(commit, *map(Path, PARTS)))
        try:
            _from_dvc(commit, temporary)
        # DVC raises many kinds of errors for files that neither cache nor remote has.
        except Exception as error:
            say(f"champion: {commit[:10]} is not in the DVC cache or remote ({with_type(error)}): training it again")
            _rebuild(commit, temporary)
        # Another process may have been faster, with the same result.
        if not folder.is_dir():
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    cached = (path for path in CACHE_DIR.iterdir() if not path.name.startswith("."))
    for old in sorted(cached, key=os.path.getmtime)[:-MOST_CACHED]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def own_assay(folder: Path) -> Path | None:
    """Return the import path of the project's own Assay, None if its service code equals the installed one.

    The template contains the source, a copy contains a wheel, which is unpacked once. Raises InputError for a broken
    wheel.
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
            raise InputError(f"{wheel}: the wheel is broken; restore it from git") from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def run_with_own_code(folder: Path, *arguments: str) -> None:
    """Run Python in a folder, with its src/ first on the path; raises InputError with the last line of stderr."""
    path = [str((folder / "src").resolve()), os.environ.get("PYTHONPATH", "")]
    try:
        run_python(*arguments, folder=folder, name="", PYTHONPATH=os.pathsep.join(filter(None, path)))
    except InputError as error:
        raise InputError(str(error).removeprefix("assay: ")) from None


def _from_embedded(commit: str) -> None:
    """Copy the embedded remote of a commit into the DVC cache: git still has files that the folder may lack."""
    cache = _cache()
    for path in files_at(commit, EMBEDDED):
        kept = cache / path.relative_to(EMBEDDED)
        if not kept.exists() and (content := file_at(commit, path)) is not None:
            write_bytes(kept, content)


def _from_dvc(commit: str, folder: Path) -> None:
    # DVC names files from the top of the repository, in which the project may be a folder.
    above = f"/{folder_in_repository()}"
    files = DVCFileSystem(".", rev=commit, subrepos=above != "/")
    for part in PARTS:
        for path in files.find(above + part, dvc_only=True):
            place = folder / path.removeprefix(above)
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                files.get_file(path, str(place))


def _rebuild(commit: str, folder: Path) -> None:
    checkout = folder.with_suffix(".worktree")
    git("worktree", "add", "--detach", "--force", str(checkout), commit)
    worktree = checkout / folder_in_repository()
    try:
        run("dvc", "config", "--local", "cache.dir", str(_cache().parent.parent.resolve()), folder=worktree)
        run_with_own_code(worktree, "-c", "from assay.cli.main import main; main()", "repro")
        for part in PARTS:
            # Some parts may already have been restored.
            shutil.rmtree(folder / part, ignore_errors=True)
            if (worktree / part).exists():
                shutil.move(worktree / part, folder / part)
    finally:
        git("worktree", "remove", "--force", str(checkout))


def _cache() -> Path:
    with Repo() as repo:
        return Path(repo.cache.local.path)
