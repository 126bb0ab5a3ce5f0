from pathlib import Path

import pytest

from assay.base.files import write_text
from assay.gates import lock
from assay.gates.lock import judge
from assay.project.fingerprint import PROCESS, fingerprints, refresh

INSTALLED = {"train": "aaaa", "evaluate": "bbbb", "judge": "cccc"}
RECORDED = "train: aaaa\nevaluate: bbbb\njudge: cccc\n"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of the Assay that is installed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lock, "fingerprints", lambda: INSTALLED)
    write_text(PROCESS, RECORDED)
    return tmp_path


def test_a_lock_of_this_code_passes():
    assert judge([], refreshed=False).verdict == "PROMOTE"


def test_what_is_recorded_of_the_installed_assay_passes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lock, "fingerprints", fingerprints)
    assert refresh(PROCESS)
    assert judge([], refreshed=False).verdict == "PROMOTE"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (RECORDED.replace("bbbb", "dddd"), "for evaluate;"),
        (RECORDED.replace("cccc", "dddd"), "for judge;"),
        (RECORDED.replace("aaaa", "dddd").replace("judge: cccc\n", ""), "for train, judge;"),
        ("", "for train, evaluate, judge;"),
    ],
)
def test_results_of_another_assay_than_the_installed_one_hold(text: str, parts: str):
    write_text(PROCESS, text)
    outcome = judge([], refreshed=False)
    assert outcome.verdict == "HOLD"
    assert "requirements/process.yaml is of another Assay than the one installed" in outcome.reason
    assert parts in outcome.reason


def test_a_project_that_does_not_say_which_assay_it_is_of_holds():
    PROCESS.unlink()
    assert judge([], refreshed=False).verdict == "HOLD"


def test_stages_that_would_run_hold():
    outcome = judge(["train", "evaluate"], refreshed=False)
    assert outcome.verdict == "HOLD"
    assert "train, evaluate; run `dvc repro`" in outcome.reason


def test_a_committed_lock_of_another_version_holds():
    outcome = judge([], refreshed=True)
    assert outcome.verdict == "HOLD"
    assert "commit the new one" in outcome.reason


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
        ("      - data\n", "", "stage train no longer looks at data;"),
        ("      - seed\n", "", "stage train no longer looks at params.yaml: seed;"),
        ("[train]", "[prepare]", "stage train no longer looks at requirements/process.yaml: train;"),
        ("    params:\n      - params.yaml:\n", "", "stage validate no longer looks at params.yaml: all of it;"),
        ("metrics.json:", "other.json:", "stage train no longer looks at metrics.json;"),
        ("cmd: assay stage train", "cmd: cp old new", "stage train runs 'cp old new';"),
        ("    cmd: assay stage train", "    frozen: true\n    cmd: assay stage train", "stage train is frozen"),
        (BEFORE.decode()[: BEFORE.index(b"  train:")], "stages:\n", "stage validate is gone;"),
    ],
)
def test_a_stage_that_does_less_than_before_holds(old: str, new: str, said: str):
    Path("dvc.yaml").write_bytes(changed(old, new))
    outcome = judge([], refreshed=False, before=BEFORE)
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
    Path("dvc.yaml").write_bytes(changed(old, new))
    assert judge([], refreshed=False, before=BEFORE).verdict == "PROMOTE"
