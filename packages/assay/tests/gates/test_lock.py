import pytest

from assay.gates.lock import compare
from assay.gates.repository import Repository


def test_a_lock_of_this_code_passes():
    assert compare(Repository()).verdict == "PROMOTE"


def test_results_of_another_assay_than_the_installed_one_hold():
    outcome = compare(Repository(foreign=("train", "judge")))
    assert outcome.verdict == "HOLD"
    assert "requirements/process.yaml does not match the installed Assay (differs for train, judge);" in outcome.reason


def test_stages_that_would_run_hold():
    outcome = compare(Repository(stale=("train", "evaluate")))
    assert outcome.verdict == "HOLD"
    assert "train, evaluate; run `dvc repro`" in outcome.reason


def test_a_lock_that_this_run_wrote_is_no_fault_of_the_change():
    outcome = compare(Repository(refreshed=True))
    assert outcome.verdict == "PROMOTE"
    assert outcome.measured["fresh"]["refreshed"] is True


BEFORE = b"""
stages:
  validate:
    cmd: assay stage validate
    deps:
      - contract.yaml
    params:
      - params.yaml:
    outs:
      - reports/validate.json
  train:
    cmd: assay stage train
    deps:
      - data
      - src
    params:
      - requirements/process.yaml: [train]
      - seed
      - train
    outs:
      - build/model
    metrics:
      - metrics.json:
          cache: false
"""


def changed(old: str, new: str) -> bytes:
    text = BEFORE.decode()
    assert old in text
    return text.replace(old, new).encode()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("      - data\n", "", "stage train no longer lists data;"),
        ("      - seed\n", "", "stage train no longer lists params.yaml: seed;"),
        ("[train]", "[prepare]", "stage train no longer lists requirements/process.yaml: train;"),
        ("    params:\n      - params.yaml:\n", "", "stage validate no longer lists params.yaml: all of it;"),
        ("metrics.json:", "other.json:", "stage train no longer lists metrics.json;"),
        ("cmd: assay stage train", "cmd: cp old new", "stage train now runs 'cp old new';"),
        ("    cmd: assay stage train", "    frozen: true\n    cmd: assay stage train", "stage train is frozen"),
        (BEFORE.decode()[: BEFORE.index(b"  train:")], "stages:\n", "stage validate was removed;"),
    ],
)
def test_a_stage_that_does_less_than_before_holds(old: str, new: str, said: str):
    now = changed(old, new)
    outcome = compare(Repository(pipeline=now, pipeline_before=BEFORE))
    assert outcome.verdict == "HOLD"
    assert said in outcome.reason


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("      - seed\n      - train\n", "      - train\n      - seed\n      - more\n"),
        ("      - data\n", "      - data\n      - contract.yaml\n"),
        ("stages:\n", "# All of them.\nstages:\n  mine:\n    cmd: ./mine\n"),
    ],
)
def test_a_pipeline_that_does_more_passes(old: str, new: str):
    now = changed(old, new)
    assert compare(Repository(pipeline=now, pipeline_before=BEFORE)).verdict == "PROMOTE"
