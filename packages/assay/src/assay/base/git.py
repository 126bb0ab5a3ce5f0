"""Running git: its output, None for "not found", and an error if it fails or refuses."""

import os
import subprocess
from pathlib import Path

from assay.base.errors import InputError


def git(*arguments: str) -> str:
    """Run git and return its output; raises InputError, in git's own words, if it fails or refuses."""
    return _text(git_bytes(*arguments))


def git_bytes(*arguments: str) -> bytes:
    """Run git and return its output as bytes; raises InputError as `git` does."""
    done = _run(arguments)
    if done.returncode:
        raise InputError(_failure(arguments, done))
    return done.stdout


def git_or_none(*arguments: str) -> str | None:
    """Run a git command that answers "no" with exit status 1; return None for that, otherwise its output.

    Only for commands and options documented to do so, such as `rev-parse --verify --quiet`. Raises InputError as
    `git` does for every other failure: a refusal is not a "no".
    """
    done = _run(arguments)
    if done.returncode == 1 and not done.stderr.strip():
        return None
    if done.returncode:
        raise InputError(_failure(arguments, done))
    return _text(done.stdout)


def is_repository() -> bool:
    """Say whether the current folder is in a git repository; raises InputError if git refuses or cannot read it.

    Git has one exit status for two failures: no repository, and a repository that it refuses. So it runs only if there
    is a .git.
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
        raise InputError("git: not installed; install it") from None


def _failure(arguments: tuple[str, ...], done: "subprocess.CompletedProcess[bytes]") -> str:
    message = " ".join(_text(done.stderr).split())[:400] or f"exit status {done.returncode}"
    return f"git {arguments[0]}: {message.removeprefix('fatal: ')}"


def _text(output: bytes) -> str:
    return output.decode(errors="replace").rstrip("\n")
