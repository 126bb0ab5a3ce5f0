"""The run that triggered a workflow, from GitHub's event file."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.base.errors import InputError

# State and description of the status by conclusion, for runs without a report. A run that goes on has no conclusion.
UNFINISHED = {
    "": ("pending", "train is running"),
    "cancelled": ("error", "train was cancelled, or took longer than its limit; run it again"),
    "timed_out": ("error", "train took longer than its limit; run it again"),
    "startup_failure": ("error", "train did not start, because its workflow file is invalid; see the run"),
    "action_required": ("pending", "train waits until a maintainer approves its run"),
    "skipped": ("pending", "train was skipped by a condition of its workflow"),
}
FINISHED = ("success", "failure")


@dataclass(frozen=True)
class Run:
    """A run of train.yml: its commit, its origin and what became of it."""

    number: int
    url: str
    event: str
    commit: str
    branch: str
    owner: str
    source: str
    home: str
    main: str
    conclusion: str = "success"
    workflow: int = 0

    @property
    def unfinished(self) -> tuple[str, str] | None:
        """The state and description of the commit status if the run did not finish; None if it did."""
        if self.conclusion in FINISHED:
            return None
        return UNFINISHED.get(self.conclusion, ("error", "train ended without a result; run it again"))

    @property
    def is_own(self) -> bool:
        """Whether it came from a branch of this repository, not from a fork."""
        return self.source == self.home


def may_be_public() -> bool:
    """Say whether there is a workflow whose event does not say that its repository is private."""
    path = os.environ.get("GITHUB_EVENT_PATH")
    if not path:
        return False
    event = json.loads(Path(path).read_text(encoding="utf-8"))
    return (event.get("repository") or {}).get("private") is not True


def current_run() -> Run:
    """Return the run of the event; raises InputError outside of a workflow on `workflow_run`."""
    path = os.environ.get("GITHUB_EVENT_PATH")
    if not path:
        raise InputError("GITHUB_EVENT_PATH is not set; run this in a GitHub workflow")
    try:
        return _run(json.loads(Path(path).read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: not the event of a completed run") from None


def _run(event: dict[str, Any]) -> Run:
    run, home = event["workflow_run"], event["repository"]
    # The fork may have been deleted since; then no pull request matches.
    source = run["head_repository"] or {"full_name": "", "owner": {"login": ""}}
    return Run(
        number=int(run["id"]),
        url=str(run["html_url"]),
        event=str(run["event"]),
        commit=str(run["head_sha"]),
        branch=str(run["head_branch"] or ""),
        owner=str(source["owner"]["login"]),
        source=str(source["full_name"]),
        home=str(home["full_name"]),
        main=str(home["default_branch"]),
        conclusion=str(run["conclusion"] or ""),
        workflow=int(run["workflow_id"]),
    )
