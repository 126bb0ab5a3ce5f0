"""Git: what it prints, what it says is not there, and an error where it fails or refuses."""

import os
import subprocess
from pathlib import Path

from assay.base.errors import InputError


def git(*arguments: str) -> str:
    """Run git and return what it printed; raises InputError, in git's own words, where it fails or refuses."""
    return _text(git_bytes(*arguments))


def git_bytes(*arguments: str) -> bytes:
    """Run git and return what it printed as bytes; raises InputError as `git` does."""
    done = _run(arguments)
    if done.returncode:
        raise InputError(_failure(arguments, done))
    return done.stdout


def git_or_none(*arguments: str) -> str | None:
    """Run a git command that answers "no" with exit status 1; return None for that, and what it printed otherwise.

    Only for commands and options that git documents so, such as `rev-parse --verify --quiet`. Raises InputError as
    `git` does for every other failure: a refusal is not a "no".
    """
    done = _run(arguments)
    if done.returncode == 1 and not done.stderr.strip():
        return None
    if done.returncode:
        raise InputError(_failure(arguments, done))
    return _text(done.stdout)


def is_repository() -> bool:
    """Say whether the current folder is in a git repository; raises InputError for one that git refuses or cannot read.

    Git ends alike outside of a repository and in one that it refuses, so it is only asked where there is one to see.
    """
    here = Path.cwd()
    ceilings = {Path(one) for one in os.environ.get("GIT_CEILING_DIRECTORIES", "").split(os.pathsep) if one}
    folders = [here]
    for folder in here.parents:
        if folder in ceilings:
            break
        folders.append(folder)
    if "GIT_DIR" not in os.environ and not any((folder / ".git").exists() for folder in folders):
        return False
    git("rev-parse", "--git-dir")
    return True


def _run(arguments: tuple[str, ...]) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(["git", *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except FileNotFoundError:
        raise InputError("git: is not installed; install it") from None


def _failure(arguments: tuple[str, ...], done: "subprocess.CompletedProcess[bytes]") -> str:
    said = " ".join(_text(done.stderr).split())[:400] or f"exit status {done.returncode}"
    return f"git {arguments[0]}: {said.removeprefix('fatal: ')}"


def _text(output: bytes) -> str:
    return output.decode(errors="replace").rstrip("\n")
