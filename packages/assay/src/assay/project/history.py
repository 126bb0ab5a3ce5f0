"""What git knows: which commit this is, what it is compared with, and what lies between."""

import re
import subprocess
from pathlib import Path

from assay.base.errors import InputError

NULL = "0" * 40
VERSION = r"v\d+\.\d+\.\d+"
MAIN = ("refs/remotes/origin/HEAD", "refs/remotes/origin/main", "refs/heads/main", "refs/heads/master")


def head() -> str | None:
    """Return the commit that is checked out; None outside a git repository and before the first commit."""
    return _try("rev-parse", "--verify", "--quiet", "HEAD^{commit}")


def dirty_files() -> list[str]:
    """Return the tracked files that differ from the commit, and the new ones that git does not ignore."""
    listed = _try("status", "--porcelain", "--untracked-files=all", "-z") or ""
    # A renamed file is followed by its old name, which has no status in front.
    return sorted(entry[3:] for entry in listed.split("\0") if len(entry) > 3 and entry[2] == " ")


def base_commit(base: str | None) -> str | None:
    """Return the commit that a change starts from: where it left `base`, by default the main branch.

    None outside a git repository, and for the null commit that GitHub names before a first push. Raises InputError
    when `base` does not exist, or the history does not reach it.
    """
    if head() is None or base == NULL:
        return None
    if base:
        found = _try("rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}")
        if found is None:
            raise InputError(f"BASE: there is no commit {base!r} here{_shallow_hint()}")
    else:
        found = next((commit for ref in MAIN if (commit := _try("rev-parse", "--verify", "--quiet", ref))), None)
        if found is None:
            raise InputError(f"BASE: there is no main branch here; name the commit to compare with{_shallow_hint()}")
    common = _try("merge-base", "HEAD", found)
    if common is None:
        raise InputError(f"BASE: this change and {base or 'main'} have no commit in common{_shallow_hint()}")
    return common


def file_at(commit: str, path: Path) -> bytes | None:
    """Return the content of a file at a commit, None if it is not there."""
    done = subprocess.run(["git", "show", f"{commit}:{path.as_posix()}"], capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def files_at(commit: str, *places: Path) -> list[Path]:
    """Return the files at a commit that are one of these, or below one."""
    paths = [place.as_posix() for place in places]
    listed = _try("ls-tree", "-r", "-z", "--name-only", "--full-tree", commit, "--", *paths) or ""
    return [Path(name) for name in listed.split("\0") if name]


def last_change(*places: Path) -> str | None:
    """Return the last commit that changed a file at one of these places; None where there is none."""
    return _try("log", "--max-count=1", "--format=%H", "HEAD", "--", *(place.as_posix() for place in places)) or None


def changed_lines(base: str) -> list[tuple[str, int, int]]:
    """Return path, lines added and lines removed of each file that differs between a commit and the files here."""
    listed = _try("diff", "--numstat", "-z", "--no-renames", base, "--") or ""
    found = []
    for entry in filter(None, listed.split("\0")):
        added, removed, path = entry.split("\t", 2)
        # A binary file has no lines, and a dash in place of each number.
        found.append((path, int(added) if added.isdigit() else 0, int(removed) if removed.isdigit() else 0))
    return found


def tags() -> list[str]:
    """Return the tags that this commit has behind it, the highest version first."""
    return (_try("tag", "--list", "--merged", "HEAD", "--sort=-version:refname") or "").splitlines()


def last_release() -> str | None:
    """Return the tag of the highest version that this commit has behind it, None where nothing was released."""
    return next((tag for tag in tags() if re.fullmatch(VERSION, tag)), None)


def user_name() -> str | None:
    """Return the name that commits made here would have, None if git was not told of one."""
    return _try("config", "user.name") or None


def remote_url() -> str | None:
    """Return where `origin` is; None where there is none."""
    return _try("config", "remote.origin.url") or None


def subjects(base: str) -> list[str]:
    """Return the first lines of the commits since a commit, newest first."""
    return (_try("log", "--format=%s", f"{base}..HEAD") or "").splitlines()


def _shallow_hint() -> str:
    shallow = _try("rev-parse", "--is-shallow-repository") == "true"
    return "; this clone is shallow: `git fetch --unshallow` brings the rest" if shallow else ""


def _try(*arguments: str) -> str | None:
    """Return what git prints, None when it fails."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.rstrip("\n") if done.returncode == 0 else None
