"""Git repositories to try things in."""

import subprocess
from pathlib import Path


def git(*arguments: str, folder: Path | None = None) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@localhost")
    return subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(name: str, text: str) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)
    git("add", "--all")
    git("commit", "--quiet", "--message", f"Write {name}")
    return git("rev-parse", "HEAD")


def lose(name: str) -> None:
    """Remove an object of the repository: a commit, or `COMMIT:FILE`."""
    digest = git("rev-parse", name)
    (Path(git("rev-parse", "--git-common-dir")) / "objects" / digest[:2] / digest[2:]).unlink()
