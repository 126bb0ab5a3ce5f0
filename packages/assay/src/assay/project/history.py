"""Git history: the current commit, the base commit, and the changes between them.

Paths are relative to the current folder, the project's, which may be a folder of a larger repository. Files outside of
it are not part of the project.
"""

import re
import tarfile
from collections.abc import Sequence
from pathlib import Path

from assay.base.errors import InputError
from assay.base.git import git, git_bytes, git_or_none, is_repository

NULL = "0" * 40
VERSION = r"v\d+\.\d+\.\d+"
MAIN = ("refs/remotes/origin/HEAD", "refs/remotes/origin/main", "refs/heads/main", "refs/heads/master")


def head() -> str | None:
    """Return the commit that is checked out; None outside a git repository and before the first commit."""
    if not is_repository():
        return None
    branch = git_or_none("symbolic-ref", "--quiet", "HEAD")
    # A new branch has no commit yet.
    if branch is not None and git_or_none("show-ref", "--verify", "--quiet", branch) is None:
        return None
    commit = git("rev-parse", "--verify", "HEAD")
    git("cat-file", "-e", f"{commit}^{{commit}}")
    return commit


def dirty_files() -> list[str]:
    """Return the tracked files that differ from the commit, and the new ones that git does not ignore."""
    if not is_repository():
        return []
    # Unlike other commands, this one names files from the top of the repository.
    above = folder_in_repository()
    listed = git("status", "--porcelain", "--untracked-files=all", "--no-renames", "-z", "--", ".")
    return sorted(entry[3:].removeprefix(above) for entry in filter(None, listed.split("\0")))


def base_commit(base: str | None) -> str | None:
    """Return the merge base of HEAD with `base`, by default the main branch.

    None outside a git repository, and for the null commit that GitHub uses before a first push. Raises InputError if
    `base` does not exist or the history does not reach it.
    """
    if head() is None or base == NULL:
        return None
    if base:
        found = git_or_none("rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}")
        if found is None:
            raise InputError(f"BASE: there is no commit {base!r} in this clone{_shallow_hint()}")
    else:
        found = next((commit for ref in MAIN if (commit := git_or_none("rev-parse", "--verify", "--quiet", ref))), None)
        if found is None:
            raise InputError(
                f"BASE: there is no main branch in this clone; name the commit to compare with{_shallow_hint()}"
            )
    common = git_or_none("merge-base", "HEAD", found)
    if common is None:
        raise InputError(f"BASE: this change and {base or 'main'} have no commit in common{_shallow_hint()}")
    return common


def file_at(commit: str, path: Path) -> bytes | None:
    """Return the content of a file at a commit, None if the commit has no such file.

    Raises InputError if the commit or the content is missing in this clone.
    """
    listed = git("ls-tree", "-z", commit, "--", path.as_posix())
    _, kind, blob = listed.partition("\t")[0].split() if listed else ("", "", "")
    return git_bytes("cat-file", "blob", blob) if kind == "blob" else None


def files_at(commit: str, *places: Path) -> list[Path]:
    """Return the files at a commit that are at or below these paths."""
    paths = [place.as_posix() for place in places]
    listed = git("ls-tree", "-r", "-z", "--name-only", commit, "--", *paths)
    return [Path(name) for name in listed.split("\0") if name]


def write_commit(commit: str, folder: Path, paths: Sequence[Path] = ()) -> None:
    """Write the files of a commit to a folder: those at or below these paths, or all."""
    packed = folder / ".archive.tar"
    git("archive", f"--output={packed}", commit, "--", *(path.as_posix() for path in paths))
    with tarfile.open(packed) as archive:
        # Python 3.11.3 and older have no filter; git writes no path that leaves the folder.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)  # noqa: S202
    packed.unlink()


def was_committed(path: Path, text: str) -> bool:
    """Return whether a file contained a text in any commit of any branch; False outside a git repository."""
    if head() is None:
        return False
    return bool(git("log", "--all", "--max-count=1", "--format=%H", f"-S{text}", "--", path.as_posix()))


def last_change(*places: Path) -> str | None:
    """Return the last commit that changed a file at or below these paths; None if there is none."""
    if head() is None:
        return None
    return git("log", "--max-count=1", "--format=%H", "HEAD", "--", *(place.as_posix() for place in places)) or None


def changed_lines(base: str) -> list[tuple[str, int, int]]:
    """Return path, lines added and lines removed of each file that differs between a commit and the working tree."""
    listed = git("diff", "--numstat", "-z", "--no-renames", "--relative", base, "--", ".")
    found = []
    for entry in filter(None, listed.split("\0")):
        added, removed, path = entry.split("\t", 2)
        # A binary file has no lines, and a dash in place of each number.
        found.append((path, int(added) if added.isdigit() else 0, int(removed) if removed.isdigit() else 0))
    return found


def tags() -> list[str]:
    """Return the tags reachable from HEAD, the highest version first."""
    if head() is None:
        return []
    return git("tag", "--list", "--merged", "HEAD", "--sort=-version:refname").splitlines()


def last_release() -> str | None:
    """Return the release tag with the highest version reachable from HEAD, None if there is none."""
    return next((tag for tag in tags() if re.fullmatch(VERSION, tag)), None)


def user_name() -> str | None:
    """Return git's configured user name, None if there is none."""
    return git_or_none("config", "user.name") or None


def remote_url() -> str | None:
    """Return the URL of the remote `origin`, None if there is none."""
    return git_or_none("config", "remote.origin.url") or None


def folder_in_repository() -> str:
    """Return the current folder from the top of its repository, such as `projects/ours/`; empty at the top."""
    return git("rev-parse", "--show-prefix")


def subjects(base: str) -> list[str]:
    """Return the subjects of the commits since `base`, newest first."""
    return git("log", "--format=%s", f"{base}..HEAD").splitlines()


def _shallow_hint() -> str:
    shallow = git("rev-parse", "--is-shallow-repository") == "true"
    return "; the clone is shallow: run `git fetch --unshallow`" if shallow else ""
