"""The steps of report.yml: find the pull request, fetch data, commit dvc.lock, post the comment, set the status."""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dvc.schema import COMPILED_LOCKFILE_SCHEMA

from assay.base.config import parse_yaml
from assay.base.errors import InputError
from assay.base.files import write_bytes
from assay.base.progress import say
from assay.github.api import BOT, DeniedError, GitHub
from assay.github.artifact import MOST_BYTES, NAME, contents, refusing, report_of
from assay.github.comment import MARKER, MOST_STATUS, rederive_verdict, status
from assay.github.event import Run
from assay.project.history import folder_in_repository

CONTEXT = "assay"
# The workflow that the commit of a refreshed dvc.lock needs, like any other commit.
CHECKS = "ci.yml"
# CML's mark of its comment, and the number of comments that it searches.
WATERMARK = "CML watermark"
LOOKED_AT = 30
# The outputs of a run that git tracks.
REFRESHED = ("dvc.lock", "metrics.json", "requirements/process.yaml")
# The hashes of Assay's code, as `assay.project.fingerprint` writes them.
HASHES = r'(#.*\n|[a-z_]+: "?[0-9a-f]{16}"?\n)+'


def fetch(github: GitHub, run: Run, archive: Path, refreshed: str = "") -> dict[str, str]:
    """Fetch the data of a run, if there is any; return the outputs of the step.

    `current` says whether the run is for the newest commit of its pull request or push, `pr` is the number of the pull
    request, `poster` the tool for the comment: `cml`, or `api` if CML would not find its own comment again.
    """
    number: int | None = None
    if run.event == "pull_request":
        number = pull_request(github, run, {run.commit, refreshed} - {""})
        if number is None:
            say(f"{run.commit[:12]} is no longer the head of an open pull request: nothing is posted")
            return {"current": "false", "pr": "", "poster": ""}
    found = list(github.pages(f"actions/runs/{run.number}/artifacts", "artifacts", name=NAME))
    # A re-run leaves another artifact with the same name.
    kept = [one for one in found if one["name"] == NAME and not one["expired"]]
    if kept:
        newest = max(kept, key=lambda one: int(one["id"]))
        write_bytes(archive, github.download(f"actions/artifacts/{int(newest['id'])}/zip", MOST_BYTES))
    poster = "" if number is None else _poster(list(github.pages(f"issues/{number}/comments")))
    return {"current": "true", "pr": "" if number is None else str(number), "poster": poster}


def pull_request(github: GitHub, run: Run, heads: set[str]) -> int | None:
    """Return the number of the open pull request of a run, None if its head has changed since.

    GitHub provides the number: a number in untrusted data could point to any pull request.
    """
    found = [
        one
        for one in github.pages("pulls", state="open", head=f"{run.owner}:{run.branch}")
        if one["head"]["sha"] in heads and (one["head"]["repo"] or {}).get("full_name") == run.source
    ]
    found.sort(key=lambda one: (one["base"]["ref"] != run.main, one["number"]))
    return int(found[0]["number"]) if found else None


def post(github: GitHub, number: int, body: str, summary: Path | None) -> str:
    """Post or update the comment on a pull request; return a message.

    If the token may not comment, the comment goes to the job summary.
    """
    try:
        mine = [one for one in github.pages(f"issues/{number}/comments") if is_ours(one)]
        if mine:
            github.send("PATCH", f"issues/comments/{int(mine[0]['id'])}", {"body": body})
            return f"the comment on #{number} was updated"
        github.send("POST", f"issues/{number}/comments", {"body": body})
    except DeniedError as error:
        if summary is None:
            raise
        with summary.open("a", encoding="utf-8") as file:
            file.write(body)
        return f"::warning::the comment is in the summary of this job because GitHub refused to post it ({error})"
    return f"a comment on #{number} was posted"


def is_ours(comment: dict[str, Any]) -> bool:
    """Return whether a comment is the report: anyone can write the marker, but only the bot is its author."""
    return MARKER in (comment["body"] or "") and (comment["user"] or {}).get("login") == BOT


def set_status(github: GitHub, run: Run, archive: Path, refreshed: str = "") -> str:
    """Set the commit status `assay`, from the outcomes in the data; return its description."""
    try:
        with refusing():
            report = rederive_verdict(report_of(contents(archive)), run.commit, refreshed)
            state, description = status(report)
    except InputError as error:
        state, description = "error", str(error)
    body = {"state": state, "context": CONTEXT, "description": description[:MOST_STATUS], "target_url": run.url}
    for commit in filter(None, (run.commit, refreshed)):
        github.send("POST", f"statuses/{commit}", body)
    return f"{state}: {description}"


def commit_lock(github: GitHub, run: Run, archive: Path) -> str | None:
    """Commit dvc.lock and the other tracked outputs of a run to its branch; return the commit, None if nothing changed.

    Raises InputError for a run of a fork or of the main branch, and if the branch has moved.
    """
    if not run.is_own or run.event != "pull_request" or run.branch == run.main:
        raise InputError("dvc.lock is committed only to branches of this repository other than its main branch")
    with refusing():
        files = contents(archive)
        rederive_verdict(report_of(files), run.commit)
        made = {name: _text(name, files[name]) for name in REFRESHED if name in files}
    before = github.get(f"git/commits/{run.commit}")["tree"]["sha"]
    # GitHub names files from the top of the repository, which may hold other things than this project.
    folder = folder_in_repository()
    entries = [
        {"path": f"{folder}{name}", "mode": "100644", "type": "blob", "content": text} for name, text in made.items()
    ]
    tree = github.send("POST", "git/trees", {"base_tree": before, "tree": entries})["sha"]
    if tree == before:
        return None
    message = f"Refresh {', '.join(made)}\n\nMade by {run.url}"
    commit = github.send("POST", "git/commits", {"message": message, "tree": tree, "parents": [run.commit]})["sha"]
    # Without force: if someone has pushed since, the branch stays unchanged.
    github.send("PATCH", f"git/refs/heads/{quote(run.branch, safe='')}", {"sha": commit, "force": False})
    # A push with a workflow's token does not start workflows.
    github.send("POST", f"actions/workflows/{CHECKS}/dispatches", {"ref": run.branch})
    return str(commit)


def raise_alarm(github: GitHub, title: str, body: str) -> str:
    """Open an issue, or comment on the open issue with this title; return a message."""
    for issue in github.pages("issues", state="open", creator=BOT):
        if issue["title"] == title and (issue["user"] or {}).get("login") == BOT:
            github.send("POST", f"issues/{int(issue['number'])}/comments", {"body": body})
            return f"a comment on issue #{issue['number']} was posted"
    made = github.send("POST", "issues", {"title": title, "body": body})
    return f"issue #{made['number']} was opened"


def write_outputs(outputs: dict[str, str]) -> None:
    """Write the outputs of a step for later steps, and print them."""
    lines = "".join(f"{name}={value}\n" for name, value in outputs.items())
    if path := os.environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(lines)
    say(lines.rstrip())


def _poster(comments: Iterable[dict[str, Any]]) -> str:
    """Return the tool that can find the comment: CML searches only the first comments, for its own mark."""
    listed = list(comments)
    mine = next((one for one in listed if is_ours(one)), None)
    if mine is None:
        return "cml" if len(listed) < LOOKED_AT else "api"
    return "cml" if mine in listed[:LOOKED_AT] and WATERMARK in mine["body"] else "api"


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
