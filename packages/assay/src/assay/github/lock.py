"""The refreshed dvc.lock of a run: committed to the branch of its pull request, and checked there."""

import json
import re
from pathlib import Path
from urllib.parse import quote

from dvc.schema import COMPILED_LOCKFILE_SCHEMA

from assay.base.config import parse_yaml
from assay.base.errors import InputError
from assay.base.progress import say
from assay.github.api import BOT, GitHub
from assay.github.artifact import contents, fetch_artifact, refusing, report_of
from assay.github.comment import rederive_verdict
from assay.github.event import Run
from assay.github.pulls import open_pulls, with_head
from assay.project.history import folder_in_repository

# The workflow that the commit of a refreshed dvc.lock needs, like any other commit.
CHECKS = "ci.yml"
# The outputs of a run that git tracks.
REFRESHED = ("dvc.lock", "metrics.json", "requirements/process.yaml")
# The hashes of Assay's code, as `assay.project.fingerprint` writes them.
HASHES = r'(#.*\n|[a-z_]+: "?[0-9a-f]{16}"?\n)+'
# What became of the checks of the commit.
STARTED, FAILED = "started", "failed"


def commit_lock(github: GitHub, run: Run, archive: Path) -> dict[str, str]:
    """Commit dvc.lock and the other tracked outputs of a run to its branch; return the outputs of the step.

    `commit` is the commit, empty if nothing changed or the branch has moved; `checks` says whether its checks started.
    A later attempt finds the commit of an earlier one again: a commit on top of that of the run with the same files.

    Raises InputError for a run of a fork or of the main branch.
    """
    if not run.is_own or run.event != "pull_request" or run.branch == run.main:
        raise InputError("dvc.lock is committed only to branches of this repository other than its main branch")
    pulls = open_pulls(github, run)
    is_head = bool(with_head(pulls, run.commit))
    above = [] if is_head else [one.head for one in pulls if _parents(github, one.head) == [run.commit]]
    if not is_head and not above:
        say(f"{run.commit[:12]} is no longer the head of an open pull request: nothing is committed")
        return {"commit": "", "checks": ""}
    fetch_artifact(github, run, archive)
    with refusing():
        files = contents(archive)
        rederive_verdict(report_of(files), run.commit)
        made = {name: _text(name, files[name]) for name in REFRESHED if name in files}
    before = _tree(github, run.commit)
    # GitHub names files from the top of the repository, which may hold other things than this project.
    folder = folder_in_repository()
    entries = [
        {"path": f"{folder}{name}", "mode": "100644", "type": "blob", "content": text} for name, text in made.items()
    ]
    tree = github.send("POST", "git/trees", {"base_tree": before, "tree": entries})["sha"]
    if tree == before:
        return {"commit": "", "checks": ""}
    if not is_head:
        commit = next((head for head in above if _tree(github, head) == tree), "")
        return {"commit": commit, "checks": _start_checks(github, run, commit, again=True) if commit else ""}
    message = f"Refresh {', '.join(made)}\n\nMade by {run.url}"
    commit = str(github.send("POST", "git/commits", {"message": message, "tree": tree, "parents": [run.commit]})["sha"])
    # Without force: if someone has pushed since, the branch stays unchanged.
    github.send("PATCH", f"git/refs/heads/{quote(run.branch, safe='')}", {"sha": commit, "force": False})
    return {"commit": commit, "checks": _start_checks(github, run, commit)}


def forget_waiting_runs(github: GitHub, run: Run) -> None:
    """Delete the runs that wait for approval of a commit whose checks this workflow has started.

    GitHub creates them when a workflow's token pushes to a pull request. The commit of a refreshed dvc.lock needs none:
    its verdict is that of the commit before. A pull request that a workflow opened needs them.
    """
    if not _were_started(github, run.commit):
        say(f"{CHECKS} was not started for {run.commit[:12]}: its runs wait for approval")
        return
    for one in list(github.pages("actions/runs", "workflow_runs", head_sha=run.commit, status="action_required")):
        if (one["actor"] or {}).get("login") == BOT:
            github.send("DELETE", f"actions/runs/{int(one['id'])}")


def _start_checks(github: GitHub, run: Run, commit: str, *, again: bool = False) -> str:
    """Start the checks of a commit, because a push with a workflow's token starts none; return what became of them."""
    try:
        if again and _were_started(github, commit):
            return STARTED
        github.send("POST", f"actions/workflows/{CHECKS}/dispatches", {"ref": run.branch})
    except InputError as error:
        say(f"::warning::{CHECKS} could not be started for {commit}: {error}")
        return FAILED
    return STARTED


def _were_started(github: GitHub, commit: str) -> bool:
    query = {"head_sha": commit, "event": "workflow_dispatch"}
    return bool(github.get(f"actions/workflows/{CHECKS}/runs", **query)["total_count"])


def _parents(github: GitHub, commit: str) -> list[str]:
    return [str(one["sha"]) for one in github.get(f"git/commits/{commit}")["parents"]]


def _tree(github: GitHub, commit: str) -> str:
    return str(github.get(f"git/commits/{commit}")["tree"]["sha"])


def _text(name: str, content: bytes) -> str:
    """Return a file as text; raises InputError if the content does not fit the name."""
    try:
        text = content.decode()
        if name == "dvc.lock":
            COMPILED_LOCKFILE_SCHEMA(parse_yaml(text))
        elif name.endswith(".yaml"):
            # A newer Assay in the change may have parts that this one does not know.
            re.fullmatch(HASHES, text).group()  # type: ignore[union-attr]
        else:
            # Fails for anything but an object.
            json.loads(text).keys()
    # Other content may make the libraries raise any error.
    except Exception:
        raise InputError(f"{name}: the content does not fit the name") from None
    return text
