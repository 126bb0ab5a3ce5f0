"""The steps of report.yml: find the pull requests of a run, post the comment, set the status."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from assay.base.errors import InputError
from assay.base.progress import say
from assay.github.api import BOT, DeniedError, GitHub, UnansweredError
from assay.github.artifact import contents, fetch_artifact, refusing, report_of
from assay.github.comment import MARKER, MOST_STATUS, UNCHECKED, rederive_verdict, status
from assay.github.event import Run
from assay.github.lock import FAILED
from assay.github.pulls import Pull, judged_for, open_pulls, with_head

CONTEXT = "assay"
# CML's mark of its comment, and the number of comments that it searches.
WATERMARK = "CML watermark"
LOOKED_AT = 30
# A branch of the merge queue: GitHub names it by the branch to merge into, the pull request and the commit below.
QUEUE = "gh-readonly-queue/{main}/pr-"
OTHER_BASE = "the run compared with another commit than the base of this pull request; run train again"


def fetch(github: GitHub, run: Run, archive: Path, refreshed: str = "") -> dict[str, str]:
    """Fetch the data of a run, if there is any; return the outputs of the step.

    `prs` are the numbers of the pull requests to comment on, `pr` is the first of them, and `poster` the tool for its
    comment: `cml`, or `api` if CML would not find its own comment again. `finished` says whether the run has a report.
    """
    pulls = _pulls(github, run, refreshed) if run.event == "pull_request" else []
    if pulls and run.unfinished is None:
        fetch_artifact(github, run, archive)
        try:
            pulls = judged_for(github, run, pulls, _base(rederive_verdict(report_of(contents(archive)), run.commit)))
        except InputError as error:
            # The comment on a report that is missing or refused goes to all of them.
            say(f"the report cannot be read: {type(error).__name__}")
    poster = _poster(github.pages(f"issues/{pulls[0].number}/comments")) if pulls else ""
    numbers = [str(one.number) for one in pulls]
    finished = str(run.unfinished is None).lower()
    return {"pr": "".join(numbers[:1]), "prs": " ".join(numbers), "poster": poster, "finished": finished}


def post(github: GitHub, numbers: Iterable[int], body: str, summary: Path | None) -> str:
    """Post or update the comment on pull requests where it is not yet there; return a message.

    If the token may not comment, the comment goes to the job summary.
    """
    try:
        return "; ".join(_post(github, number, body) for number in numbers)
    except DeniedError as error:
        if summary is None:
            raise
        with summary.open("a", encoding="utf-8") as file:
            file.write(body)
        return f"::warning::the comment is in the summary of this job because GitHub refused to post it ({error})"


def is_ours(comment: dict[str, Any]) -> bool:
    """Return whether a comment is the report: anyone can write the marker, but only the bot is its author."""
    return MARKER in (comment["body"] or "") and (comment["user"] or {}).get("login") == BOT


def set_status(github: GitHub, run: Run, archive: Path, refreshed: str = "", checks: str = "") -> str:
    """Set the commit status `assay`, from the outcomes in the data; return a message.

    The status counts for the main branch. It is set for a commit of that branch, of its merge queue, or of an open pull
    request for it that the run judged.
    """
    pulls = _pulls(github, run, refreshed) if run.event == "pull_request" else []
    if not _is_for_main(run, pulls):
        return f"no status: neither on {run.main} nor the head of a pull request for it"
    if run.unfinished is not None:
        state, description = run.unfinished
        return _set(github, run, state, description, keep=state == "pending")
    fetch_artifact(github, run, archive)
    try:
        with refusing():
            report = rederive_verdict(report_of(contents(archive)), run.commit, refreshed)
            state, description = status(report)
    except InputError as error:
        return _set(github, run, "error", str(error), refreshed)
    if run.event == "pull_request":
        judged = judged_for(github, run, pulls, _base(report))
        if judged and not _for_main(run, judged):
            return f"no status: the run judged a pull request for {judged[0].base}"
        is_judged = bool(judged)
    else:
        is_judged = run.event == "push" or run.branch.endswith(f"-{_base(report)}")
    if not is_judged:
        state, description = "error", OTHER_BASE
    elif run.event == "merge_group" and state == "pending":
        # The queue would wait for its time limit.
        state = "failure"
    elif checks == FAILED:
        description = f"{UNCHECKED}. {description}"
    return _set(github, run, state, description, refreshed)


def is_to_release(github: GitHub, run: Run, archive: Path, newest: str) -> bool:
    """Return whether the commit of a run is the newest of main, and promoted by the outcomes in the run's data.

    A signature names the newest commit of main, because the workflow runs on that. Raises InputError without such data.
    """
    if run.commit != newest:
        say(f"{run.commit[:12]} is no longer the newest commit of {run.main}: that one will be released")
        return False
    fetch_artifact(github, run, archive)
    with refusing():
        verdict = rederive_verdict(report_of(contents(archive)), run.commit)["verdict"]["verdict"]
    say(f"{run.commit[:12]}: {verdict}")
    return bool(verdict == "PROMOTE")


def require_runs_on(branch: str, folder: Path) -> None:
    """Raise InputError if workflows name other branches: without a word, nothing would run on pushes to this one."""
    for path in sorted(folder.glob("*.yml")):
        for listed in re.findall(r"\bbranches: *\[([^\]]*)\]", path.read_text(encoding="utf-8")):
            if branch not in re.split(r"[\s,\"']+", listed):
                raise InputError(f"{path}: runs on {listed} and not on the default branch; write branches: [{branch}]")


def raise_alarm(github: GitHub, title: str, body: str) -> str:
    """Open an issue, or comment on the open issue with this title; return a message."""
    if issue := open_issue(github, title):
        github.send("POST", f"issues/{int(issue['number'])}/comments", {"body": body})
        return f"a comment on issue #{issue['number']} was posted"
    made = github.send("POST", "issues", {"title": title, "body": body})
    return f"issue #{made['number']} was opened"


def open_issue(github: GitHub, title: str) -> dict[str, Any] | None:
    """Return the open issue of the bot with this title, None if there is none."""
    issues = github.pages("issues", state="open", creator=BOT)
    ours = (one for one in issues if one["title"] == title and (one["user"] or {}).get("login") == BOT)
    return next(ours, None)


def write_outputs(outputs: dict[str, str]) -> None:
    """Write the outputs of a step for later steps, and print them."""
    lines = "".join(f"{name}={value}\n" for name, value in outputs.items())
    if path := os.environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(lines)
    say(lines.rstrip())


def _pulls(github: GitHub, run: Run, refreshed: str = "") -> list[Pull]:
    """Return the open pull requests whose newest commit is that of a run, none if a newer run has taken its place."""
    found = with_head(open_pulls(github, run), run.commit, refreshed)
    if not found:
        say(f"{run.commit[:12]} is no longer the head of an open pull request: nothing is posted")
    elif run.conclusion == "cancelled" and _has_newer(github, run):
        say(f"a newer run of {run.commit[:12]} has taken the place of this one: nothing is posted")
        return []
    return found


def _has_newer(github: GitHub, run: Run) -> bool:
    listed = github.pages(f"actions/workflows/{run.workflow}/runs", "workflow_runs", head_sha=run.commit)
    return any(int(one["id"]) > run.number for one in listed)


def _is_for_main(run: Run, pulls: list[Pull]) -> bool:
    match run.event:
        case "pull_request":
            return bool(_for_main(run, pulls))
        case "push":
            return run.is_own and run.branch == run.main
        case "merge_group":
            return run.is_own and run.branch.startswith(QUEUE.format(main=run.main))
    return False


def _for_main(run: Run, pulls: list[Pull]) -> list[Pull]:
    return [one for one in pulls if one.base == run.main]


def _base(report: dict[str, Any]) -> str | None:
    base = (report["reproduce"] or {}).get("base")
    return str(base) if base else None


def _set(github: GitHub, run: Run, state: str, text: str, refreshed: str = "", *, keep: bool = False) -> str:
    """Set the status of the commits of a run, with `keep` unless it has one; return a message."""
    if keep and any(one["context"] == CONTEXT for one in github.pages(f"commits/{run.commit}/statuses")):
        return "no status: the commit has one"
    body = {"state": state, "context": CONTEXT, "description": text[:MOST_STATUS], "target_url": run.url}
    for commit in filter(None, (run.commit, refreshed)):
        github.send("POST", f"statuses/{commit}", body)
    return f"{state}: {text}"


def _post(github: GitHub, number: int, body: str, tries: int = 3) -> str:
    mine = next((one for one in github.pages(f"issues/{number}/comments") if is_ours(one)), None)
    if mine is not None and mine["body"].startswith(body.rstrip()):
        return f"the comment on #{number} is there"
    if mine is not None:
        github.send("PATCH", f"issues/comments/{int(mine['id'])}", {"body": body})
        return f"the comment on #{number} was updated"
    try:
        github.send("POST", f"issues/{number}/comments", {"body": body}, repeat=False)
    except UnansweredError:
        # It may have been posted: look again, so that there are never two.
        if tries == 1:
            raise
        return _post(github, number, body, tries - 1)
    return f"a comment on #{number} was posted"


def _poster(comments: Iterable[dict[str, Any]]) -> str:
    """Return the tool that can find the comment.

    Of the first comments CML takes the last with its own mark, no matter who wrote it, and edits it.
    """
    listed = list(comments)
    mine = next((one for one in listed if is_ours(one)), None)
    marked = [one for one in listed[:LOOKED_AT] if WATERMARK in (one["body"] or "")]
    if mine is None:
        return "cml" if len(listed) < LOOKED_AT and not marked else "api"
    return "cml" if marked and marked[-1] is mine else "api"
