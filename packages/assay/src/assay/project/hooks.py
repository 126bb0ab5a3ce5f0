"""Git hooks that check out the data when git changes data.dvc.

`assay repro` does the same when it starts; the hooks are for users of `dvc repro`.
"""

import os
import shlex
from pathlib import Path

from assay.base.files import write_text
from assay.base.git import git, git_or_none, is_repository
from assay.project.history import folder_in_repository

MARK = "# Written by `assay repro`."
# Conditions that git just changed data.dvc. A commit changes it only if it is a revert or a cherry-pick.
BROUGHT = {
    "post-checkout": '! git diff --quiet "$1" "$2" -- data.dvc',
    "post-merge": "! git diff --quiet ORIG_HEAD HEAD -- data.dvc",
    "post-commit": (
        'case "$(git reflog -1 --format=%gs)" in revert*|cherry-pick*) true;; *) false;; esac'
        " && ! git diff --quiet HEAD~1 HEAD -- data.dvc"
    ),
}


def install() -> list[str]:
    """Write the missing hooks and return their names; hooks of other tools stay unchanged.

    Nothing is written outside a git repository, or if git is configured with another folder for hooks.
    """
    if not is_repository() or git_or_none("config", "core.hooksPath"):
        return []
    folder = Path(git("rev-parse", "--git-path", "hooks"))
    project = folder_in_repository() or "."
    written = []
    for name, brought in BROUGHT.items():
        path = folder / name
        text = _script(project, brought)
        if path.exists() and (MARK not in (old := path.read_text(errors="replace")) or old == text):
            continue
        write_text(path, text)
        path.chmod(0o755)
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
