"""Git hooks that bring the data along when git brings another data.dvc.

`assay repro` does the same when it starts; the hooks are for those who type `dvc repro`.
"""

import os
import shlex
from pathlib import Path

from assay.base.errors import InputError
from assay.base.git import git, git_or_none, is_repository

MARK = "# Written by `assay repro`."
# Whether git has just changed data.dvc. A commit does so itself only when it reverts or picks another one.
BROUGHT = {
    "post-checkout": '! git diff --quiet "$1" "$2" -- data.dvc',
    "post-merge": "! git diff --quiet ORIG_HEAD HEAD -- data.dvc",
    "post-commit": (
        'case "$(git reflog -1 --format=%gs)" in revert*|cherry-pick*) true;; *) false;; esac'
        " && ! git diff --quiet HEAD~1 HEAD -- data.dvc"
    ),
}


def install() -> list[str]:
    """Write the hooks that are missing, and return their names; a hook of somebody else stays as it is.

    Nothing is written outside a git repository, and where git is told to look for hooks in another folder.
    """
    if not is_repository() or git_or_none("config", "core.hooksPath"):
        return []
    folder = Path(git("rev-parse", "--git-path", "hooks"))
    project = git("rev-parse", "--show-prefix") or "."
    written = []
    for name, brought in BROUGHT.items():
        path = folder / name
        text = _script(project, brought)
        if path.exists() and (MARK not in (old := path.read_text(errors="replace")) or old == text):
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror}") from None
        written.append(name)
    return written


def _script(project: str, brought: str) -> str:
    return f"""#!/bin/sh
{MARK} Checks out the data that data.dvc names; data that was changed by hand stays.
unset $(git rev-parse --local-env-vars)
cd {shlex.quote(project)} || exit 0
if [ -x .venv/bin/dvc ] && {{ {brought}; }} 2> {os.devnull}; then
    .venv/bin/dvc checkout --quiet data.dvc ||
        echo "data/ is not what data.dvc names; \\`make repro\\` says what to do" >&2
fi
exit 0
"""
