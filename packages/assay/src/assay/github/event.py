"""The run that a workflow was started by, from the event that GitHub hands over in a file."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.base.errors import InputError


@dataclass(frozen=True)
class Run:
    """A run of train.yml that has ended: what it was of, and where it came from."""

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
        """Whether it came from a branch of this repository, and not from a fork."""
        return self.source == self.home


def current_run() -> Run:
    """Return the run that the event is about; raises InputError outside of a workflow on `workflow_run`."""
    path = os.environ.get("GITHUB_EVENT_PATH")
    if not path:
        raise InputError("GITHUB_EVENT_PATH is not set: this is for a workflow on GitHub")
    try:
        return _run(json.loads(Path(path).read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: is no event of a run that has ended") from None


def _run(event: dict[str, Any]) -> Run:
    run, home = event["workflow_run"], event["repository"]
    # A fork may have been deleted in the meantime; nothing has a head in it then.
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
