"""The run that triggered a workflow, from GitHub's event file."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.base.errors import InputError


@dataclass(frozen=True)
class Run:
    """A completed run of train.yml: its commit and its origin."""

    number: int
    url: str
    event: str
    commit: str
    branch: str
    owner: str
    source: str
    home: str
    main: str

    @property
    def is_own(self) -> bool:
        """Whether it came from a branch of this repository, not from a fork."""
        return self.source == self.home


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
    )
