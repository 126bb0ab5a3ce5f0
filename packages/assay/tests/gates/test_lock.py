from pathlib import Path

import pytest

from assay.gates.lock import judge

STAGE = "stages:\n  train:\n    cmd: assay stage train\n    deps:\n      - packages/assay/src/assay/stages/train.py\n"


@pytest.fixture(autouse=True)
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("packages/assay/src/assay/stages").mkdir(parents=True)
    Path("packages/assay/src/assay/stages/train.py").write_text("from assay import helper\n")
    Path("packages/assay/src/assay/helper.py").write_text("ANSWER = 42\n")
    Path("dvc.yaml").write_text(STAGE + "      - packages/assay/src/assay/helper.py\n")
    return tmp_path


def test_a_lock_of_this_code_passes():
    assert judge([], refreshed=False).verdict == "PROMOTE"


def test_a_module_that_dvc_yaml_forgets_holds_and_is_named():
    Path("dvc.yaml").write_text(STAGE)
    outcome = judge([], refreshed=False)
    assert outcome.verdict == "HOLD"
    assert "stage train lacks packages/assay/src/assay/helper.py" in outcome.reason


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
      - packages/assay/src/assay/stages/validate.py
    params:
      - params.yaml:
    outs:
      - reports/validate.json
  train:
    cmd: assay stage train
    deps:
      - data
      - packages/assay/src/assay/stages/train.py
      - packages/assay/src/assay/helper.py
    params:
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


@pytest.fixture
def validate() -> None:
    Path("packages/assay/src/assay/stages/validate.py").write_text("")


@pytest.mark.usefixtures("validate")
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("      - data\n", "", "stage train no longer looks at data;"),
        ("      - seed\n", "", "stage train no longer looks at params.yaml: seed;"),
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


@pytest.mark.usefixtures("validate")
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


@pytest.mark.usefixtures("validate")
def test_a_module_may_go_when_nothing_imports_it_any_more():
    Path("packages/assay/src/assay/stages/train.py").write_text("")
    Path("dvc.yaml").write_bytes(changed("      - packages/assay/src/assay/helper.py\n", ""))
    assert judge([], refreshed=False, before=BEFORE).verdict == "PROMOTE"
