"""The GitHub workflows: their actions are pinned, and have only the permissions they need."""

import re
from pathlib import Path

import pytest
import yaml

GITHUB = Path(".github")
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=str)
def test_every_action_is_pinned_to_a_commit(path):
    for used in re.findall(r"^[^#\n]*\buses: *(\S+)", path.read_text(), re.MULTILINE):
        assert used.startswith("./") or re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", used), used


@pytest.mark.parametrize("path", WORKFLOWS, ids=str)
def test_a_workflow_sets_permissions_for_each_job(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert "permissions" in job, name
        assert "timeout-minutes" in job, name


@pytest.mark.parametrize("path", WORKFLOWS, ids=str)
def test_a_workflow_that_runs_the_code_of_a_pull_request_has_no_secret_and_cannot_write(path):
    text = path.read_text()
    assert "pull_request_target" not in text
    # YAML 1.1 reads the key `on` as true.
    if "pull_request" in yaml.safe_load(text)[True]:
        assert not re.search(r"\bsecrets\s*[.\[:]", text)
        assert "github.token" not in text
        assert ": write" not in text
