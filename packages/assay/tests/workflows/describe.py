"""Writes github.json: what GitHub's own OpenAPI description says of the calls that the stand-in answers.

npm install @octokit/openapi@23.0.2
python tests/workflows/describe.py node_modules/@octokit/openapi/generated/api.github.com.deref.json
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from workflows.github import ROUTES

# What the stand-in answers with; GitHub answers with far more.
ANSWERED = {
    *(
        "actor",
        "artifacts",
        "author",
        "base",
        "body",
        "context",
        "created_at",
        "description",
        "expired",
        "full_name",
        "head",
        "id",
        "labels",
    ),
    *("login", "message", "name", "number", "ref", "repo", "sha", "size_in_bytes", "state", "target_url", "title"),
    *(
        "conclusion",
        "event",
        "head_sha",
        "merge_base_commit",
        "parents",
        "path",
        "status",
        "total_count",
        "tree",
        "user",
    ),
    "workflow_runs",
}
NOT_KEPT = {"description", "example", "examples", "title", "externalDocs", "x-github", "deprecated", "default"}


def trimmed(schema: Any, kept: set[str] | None) -> Any:
    """Return a schema without what says nothing of values; of the answers with the properties that are kept alone."""
    if isinstance(schema, list):
        return [trimmed(one, kept) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            names = {name for name in value if kept is None or name in kept}
            found[key] = {name: trimmed(value[name], kept) for name in value if name in names}
        elif key == "nullable":
            continue
        elif key not in NOT_KEPT and not (key == "required" and kept is not None):
            found[key] = trimmed(value, kept)
    if schema.get("nullable") is True and "type" in found:
        found["type"] = [found["type"], "null"]
        found.pop("enum", None)
    return found


def content(of: dict[str, Any] | None) -> Any:
    """Return the schema of a JSON body."""
    return ((of or {}).get("content") or {}).get("application/json", {}).get("schema")


def operation(paths: dict[str, Any], method: str, pattern: str) -> tuple[str, dict[str, Any]]:
    """Return the path of the description that a route of the stand-in answers, and what it says of it."""
    example = "/repos/{owner}/{repo}/" + re.sub(r"\([^)]*\)", "x", pattern)
    fits = [path for path, methods in paths.items() if method.lower() in methods and _fits(path, example)]
    # The most literal one is meant.
    path = min(fits, key=lambda one: one.count("{"))
    return path, paths[path][method.lower()]


def _fits(path: str, example: str) -> bool:
    ours, theirs = example.split("/"), path.split("/")
    return len(ours) == len(theirs) and all(a == b or b.startswith("{") for a, b in zip(ours, theirs, strict=True))


def main(file: Path) -> None:
    paths = json.loads(file.read_text(encoding="utf-8"))["paths"]
    made = {}
    for method, pattern, _, _, status in ROUTES:
        path, said = operation(paths, method, pattern)
        query = {
            one["name"]: trimmed(one["schema"], None) for one in said.get("parameters", []) if one["in"] == "query"
        }
        answers = said["responses"]
        wanted = "302" if pattern.endswith("zip") else str(status)
        assert wanted in answers, f"{method} {path}: {wanted} is none of {list(answers)}"
        made[f"{method} {pattern}"] = {
            "path": path,
            "query": query,
            "body": trimmed(content(said.get("requestBody")), None),
            "answer": trimmed(content(answers[wanted]), ANSWERED),
        }
    Path(__file__).with_name("github.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
