"""The steps of report.yml: find the pull request, fetch the data, bring the lock, post the comment, set the status."""

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

CONTEXT = "assay"
# The checks of ci.yml, which the commit of a new lock needs as any other.
CHECKS = "ci.yml"
# How CML marks its comment, and among how many it looks for it.
WATERMARK = "CML watermark"
LOOKED_AT = 30
# What a run makes of the project, and what git keeps of that.
REFRESHED = ("dvc.lock", "metrics.json", "requirements/process.yaml")
# The hashes of Assay's code, as `assay.project.fingerprint` writes them.
HASHES = r'(#.*\n|[a-z_]+: "?[0-9a-f]{16}"?\n)+'


def fetch(github: GitHub, run: Run, archive: Path, refreshed: str = "") -> dict[str, str]:
    """Fetch the data of a run, if there is any; return what to do with it, as outputs of the step.

    `current` says that the run is of the newest commit (of a pull request, or of what was pushed), `pr` the number of
    the pull request, `poster` who writes the comment: `cml`, or `api` where CML would not find its own one again.
    """
    number: int | None = None
    if run.event == "pull_request":
        number = pull_request(github, run, {run.commit, refreshed} - {""})
        if number is None:
            say(f"{run.commit[:12]} is no longer the head of an open pull request: nothing is posted")
            return {"current": "false", "pr": "", "poster": ""}
    found = list(github.pages(f"actions/runs/{run.number}/artifacts", "artifacts", name=NAME))
    # A run that was started again leaves another of the same name.
    kept = [one for one in found if one["name"] == NAME and not one["expired"]]
    if kept:
        newest = max(kept, key=lambda one: int(one["id"]))
        write_bytes(archive, github.download(f"actions/artifacts/{int(newest['id'])}/zip", MOST_BYTES))
    poster = "" if number is None else _poster(list(github.pages(f"issues/{number}/comments")))
    return {"current": "true", "pr": "" if number is None else str(number), "poster": poster}


def pull_request(github: GitHub, run: Run, heads: set[str]) -> int | None:
    """Return the number of the open pull request that a run belongs to, None if it has another head by now.

    It is asked of GitHub: a number in the data would let a stranger choose where to write.
    """
    found = [
        one
        for one in github.pages("pulls", state="open", head=f"{run.owner}:{run.branch}")
        if one["head"]["sha"] in heads and (one["head"]["repo"] or {}).get("full_name") == run.source
    ]
    found.sort(key=lambda one: (one["base"]["ref"] != run.main, one["number"]))
    return int(found[0]["number"]) if found else None


def post(github: GitHub, number: int, body: str, summary: Path | None) -> str:
    """Write the comment on a pull request, over the one that is there; return what was done.

    Where the token may not write, the comment goes to the summary of the job.
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
        return f"::warning::the comment is in the summary of this job, since it may not be posted ({error})"
    return f"a comment on #{number} was posted"


def is_ours(comment: dict[str, Any]) -> bool:
    """Say whether a comment is the report: anybody can write the marker, nobody but the bot as the bot."""
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


def bring_lock(github: GitHub, run: Run, archive: Path) -> str | None:
    """Commit dvc.lock and its like of a run to the branch it was of; return the commit, None if nothing differs.

    Raises InputError for a run of a fork or of the main branch, and when the branch has moved.
    """
    if not run.is_own or run.event != "pull_request" or run.branch == run.main:
        raise InputError("only a branch of this repository that is not its main branch gets its dvc.lock")
    with refusing():
        files = contents(archive)
        rederive_verdict(report_of(files), run.commit)
        made = {name: _text(name, files[name]) for name in REFRESHED if name in files}
    before = github.get(f"git/commits/{run.commit}")["tree"]["sha"]
    entries = [{"path": name, "mode": "100644", "type": "blob", "content": text} for name, text in made.items()]
    tree = github.send("POST", "git/trees", {"base_tree": before, "tree": entries})["sha"]
    if tree == before:
        return None
    message = f"Refresh {', '.join(made)}\n\nMade by {run.url}"
    commit = github.send("POST", "git/commits", {"message": message, "tree": tree, "parents": [run.commit]})["sha"]
    # Without force: where somebody has pushed in the meantime, the branch stays as it is.
    github.send("PATCH", f"git/refs/heads/{quote(run.branch, safe='')}", {"sha": commit, "force": False})
    # What the token of a workflow pushes starts no workflow by itself.
    github.send("POST", f"actions/workflows/{CHECKS}/dispatches", {"ref": run.branch})
    return str(commit)


def raise_alarm(github: GitHub, title: str, body: str) -> str:
    """Open an issue, or say it once more in the one of this title that is open; return what was done."""
    for issue in github.pages("issues", state="open", creator=BOT):
        if issue["title"] == title and (issue["user"] or {}).get("login") == BOT:
            github.send("POST", f"issues/{int(issue['number'])}/comments", {"body": body})
            return f"issue #{issue['number']} was told"
    made = github.send("POST", "issues", {"title": title, "body": body})
    return f"issue #{made['number']} was opened"


def write_outputs(outputs: dict[str, str]) -> None:
    """Hand the outputs of a step to the steps after it, and print them."""
    lines = "".join(f"{name}={value}\n" for name, value in outputs.items())
    if path := os.environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(lines)
    say(lines.rstrip())


def _poster(comments: Iterable[dict[str, Any]]) -> str:
    """Return who can find the comment again: CML looks at the first ones alone, and for its own mark."""
    listed = list(comments)
    mine = next((one for one in listed if is_ours(one)), None)
    if mine is None:
        return "cml" if len(listed) < LOOKED_AT else "api"
    return "cml" if mine in listed[:LOOKED_AT] and WATERMARK in mine["body"] else "api"


def _text(name: str, content: bytes) -> str:
    """Return a file as text; raises InputError where it is not what its name says."""
    try:
        text = content.decode()
        if name == "dvc.lock":
            COMPILED_LOCKFILE_SCHEMA(parse_yaml(text))
        elif name.endswith(".yaml"):
            # Other parts than this Assay knows, where the change brings a newer one.
            re.fullmatch(HASHES, text).group()  # type: ignore[union-attr]
        else:
            # Nothing but an object has keys.
            json.loads(text).keys()
    # Whatever it holds instead makes other libraries raise what they like.
    except Exception:
        raise InputError(f"{name} is not what its name says") from None
    return text
