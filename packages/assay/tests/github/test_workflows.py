"""What is unsafe in a workflow is named."""

from pathlib import Path

import pytest

from assay.github.workflows import problems, workflow_files
from places import ROOT

PULLED = "it runs the code of pull requests and"
TRUSTED = "pull_request_target runs the code of strangers with the rights of this repository"
PINNED = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"
SAFE = """\
on:
  pull_request:
permissions: {}
jobs:
  test:
    permissions:
      contents: read
    timeout-minutes: 5
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
      - uses: ./.github/actions/setup
      # - uses: actions/checkout@v7
"""


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    path = tmp_path / ".github/workflows/ci.yml"
    path.parent.mkdir(parents=True)
    path.write_text(SAFE)
    return path


def test_a_safe_one_has_no_problem(workflow: Path):
    assert problems(workflow) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("./.github/actions/setup", "actions/cache@v4", "actions/cache@v4 is not pinned to a commit"),
        ("permissions: {}", "permissions: read-all", "the workflow does not set `permissions: {}`"),
        ("    timeout-minutes: 5\n", "", "job test does not set timeout-minutes"),
        ("    permissions:\n      contents: read\n", "", "job test does not set permissions"),
        ("contents: read", "contents: write", f"{PULLED} may write"),
        ("contents: read", "contents: read\n    env: {A: '${{ secrets.A }}'}", f"{PULLED} names a secret"),
        ("contents: read", "contents: read\n    env: {A: '${{ github.token }}'}", f"{PULLED} uses github.token"),
        ("./.github/actions/setup", "'actions/cache@v4'", "actions/cache@v4 is not pinned to a commit"),
        ("    permissions:\n      contents: read\n", "    permissions: write-all\n", f"{PULLED} may write"),
        ("contents: read", 'contents: "write"', f"{PULLED} may write"),
        ("contents: read", "contents: read\n    env: {A: '${{ toJSON(secrets) }}'}", f"{PULLED} names a secret"),
        ("contents: read", "contents: read\n    env: {A: '${{ toJSON(github) }}'}", f"{PULLED} uses github.token"),
        ("contents: read", "contents: read\n    env:\n      A: ${{ github['token'] }}", f"{PULLED} uses github.token"),
        ("pull_request:", "pull_request_target:", TRUSTED),
        ("on:\n  pull_request:", "on: [pull_request_target]", TRUSTED),
    ],
)
def test_what_is_unsafe_is_named(workflow: Path, old: str, new: str, problem: str):
    assert old in SAFE
    workflow.write_text(SAFE.replace(old, new, 1))
    assert problems(workflow) == [problem]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (PINNED, f"'{PINNED}'"),
        ("./.github/actions/setup", f"docker://alpine@sha256:{'0' * 64}"),
        (SAFE[SAFE.index("    timeout-minutes") :], "    uses: ./.github/workflows/other.yml\n"),
        ("contents: read", "contents: read\n      id-token: write"),
    ],
)
def test_other_words_for_the_same_are_safe_too(workflow: Path, old: str, new: str):
    assert old in SAFE
    workflow.write_text(SAFE.replace(old, new, 1))
    assert problems(workflow) == []


def test_an_action_has_to_pin_what_it_uses(tmp_path: Path):
    path = tmp_path / ".github/actions/setup/action.yml"
    path.parent.mkdir(parents=True)
    path.write_text("runs:\n  steps:\n    - uses: actions/setup-python@v6\n")
    assert problems(path) == ["actions/setup-python@v6 is not pinned to a commit"]
    assert workflow_files(tmp_path / ".github") == [path]


def test_the_workflows_of_the_template_are_safe():
    files = workflow_files(ROOT / ".github")
    assert len(files) > 5
    assert {path: problems(path) for path in files if problems(path)} == {}
