"""What every workflow must have: pinned actions, time limits, few rights, and no secret near code of strangers."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

GITHUB = Path(".github")
PINNED = re.compile(r"\./.*|[\w./-]+@[0-9a-f]{40}")
# Events that run the code of a pull request with the rights of this repository.
TRUSTING = "pull_request_target"


def workflow_files(folder: Path = GITHUB) -> list[Path]:
    """Return the workflows and actions of a project."""
    return sorted([*folder.glob("workflows/*.y*ml"), *folder.glob("actions/*/action.y*ml")])


def problems(path: Path) -> list[str]:
    """Return what is unsafe in a workflow or an action, a sentence each."""
    text = path.read_text(encoding="utf-8")
    return [*_unpinned(text), *(_unsafe(YAML(typ="safe").load(text), text) if "workflows" in path.parts else ())]


def _unpinned(text: str) -> Iterator[str]:
    for used in re.findall(r"^[^#\n]*\buses: *(\S+)", text, re.MULTILINE):
        if not PINNED.fullmatch(used):
            yield f"{used} is not pinned to a commit"


def _unsafe(workflow: dict[str, Any], text: str) -> Iterator[str]:
    if workflow.get("permissions") != {}:
        yield "the workflow does not set `permissions: {}`"
    for name, job in workflow["jobs"].items():
        for key in ("permissions", "timeout-minutes"):
            if key not in job:
                yield f"job {name} does not set {key}"
    events = workflow["on"]
    if TRUSTING in events:
        yield f"{TRUSTING} runs the code of strangers with the rights of this repository"
    if "pull_request" in events:
        for words, found in (
            ("names a secret", re.search(r"\bsecrets\s*[.\[:]", text)),
            ("uses github.token", "github.token" in text),
            ("may write", ": write" in text),
        ):
            if found:
                yield f"it runs the code of pull requests and {words}"
