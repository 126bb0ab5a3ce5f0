"""What every workflow must have: pinned actions, time limits, few rights, and no secret near code of strangers."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

GITHUB = Path(".github")
PINNED = re.compile(r"\./.*|[\w./-]+@[0-9a-f]{40}|docker://.+@sha256:[0-9a-f]{64}")
# Also all of them at once, as in `toJSON(secrets)`.
SECRET = re.compile(r"\bsecrets\s*[.\[:]|\btoJSON\(\s*secrets\b", re.IGNORECASE)
TOKEN = re.compile(r"\bgithub\s*(?:\.\s*|\[\s*['\"])token\b|\btoJSON\(\s*github\s*\)", re.IGNORECASE)
# Events that run the code of a pull request with the rights of this repository.
TRUSTING = "pull_request_target"
# With it a job signs in to a cloud, and changes nothing on GitHub. Forks never have it.
SIGN_IN = "id-token"


def workflow_files(folder: Path = GITHUB) -> list[Path]:
    """Return the workflows and actions of a project."""
    return sorted([*folder.glob("workflows/*.y*ml"), *folder.glob("actions/*/action.y*ml")])


def problems(path: Path) -> list[str]:
    """Return what is unsafe in a workflow or an action, a sentence each."""
    text = path.read_text(encoding="utf-8")
    content = YAML(typ="safe").load(text)
    return [*_unpinned(content), *(_unsafe(content, text) if "workflows" in path.parts else ())]


def _unpinned(content: Any) -> Iterator[str]:
    if isinstance(content, list):
        for entry in content:
            yield from _unpinned(entry)
    elif isinstance(content, dict):
        for key, value in content.items():
            if key == "uses" and not PINNED.fullmatch(value):
                yield f"{value} is not pinned to a commit"
            elif key != "uses":
                yield from _unpinned(value)


def _unsafe(workflow: dict[str, Any], text: str) -> Iterator[str]:
    if workflow.get("permissions") != {}:
        yield "the workflow does not set `permissions: {}`"
    for name, job in workflow["jobs"].items():
        # GitHub allows no time limit where a job calls another workflow.
        for key in ("permissions", *(["timeout-minutes"] if "uses" not in job else [])):
            if key not in job:
                yield f"job {name} does not set {key}"
    events = workflow["on"]
    if TRUSTING in events:
        yield f"{TRUSTING} runs the code of strangers with the rights of this repository"
    if "pull_request" in events:
        for words, found in (
            ("names a secret", SECRET.search(text)),
            ("uses github.token", TOKEN.search(text)),
            ("may write", any(map(_may_write, workflow["jobs"].values()))),
        ):
            if found:
                yield f"it runs the code of pull requests and {words}"


def _may_write(job: dict[str, Any]) -> bool:
    allowed = job.get("permissions") or {}
    if isinstance(allowed, str):
        return allowed == "write-all"
    return any(level == "write" and scope != SIGN_IN for scope, level in allowed.items())
