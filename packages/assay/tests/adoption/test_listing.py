"""Whose each file of this repository is."""

import subprocess

import pytest

from assay.adoption.listing import TEMPLATE, VENDORED, owner
from places import ROOT

LISTED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
# What somebody who uses the template says of data, model and results; no newer Assay touches it.
USERS = (".dvc/embedded/", "src/", "docs/")
USERS_FILES = {
    "README.md",
    "contract.yaml",
    "data.dvc",
    "dvc.lock",
    "metrics.json",
    "overrides.yaml",
    "requirements/process.yaml",
    "trials.csv",
}


def test_what_no_list_names_is_what_the_user_says():
    others = {path for path in LISTED if owner(path) == "user" and not path.startswith(USERS)}
    assert others == USERS_FILES


def test_every_pattern_of_the_template_is_of_a_file():
    templates = [path for path in LISTED if owner(path) == "template"]
    for pattern in TEMPLATE:
        start = pattern.partition("*")[0]
        assert any(path.startswith(start) for path in templates), pattern


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".github/workflows/ci.yml", "template"),
        (".github/workflows/package-ci.yml", "package"),
        ("packages/assay/src/assay/__init__.py", "package"),
        ("tests/deep/down/test_one.py", "template"),
        ("notebooks/first.ipynb", "user"),
        (VENDORED, "user"),
    ],
)
def test_a_file_is_of_one(path, expected):
    assert owner(path) == expected
