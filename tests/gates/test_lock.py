from pathlib import Path

import pytest

from assay.gates.lock import judge

STAGE = "stages:\n  train:\n    cmd: assay stage train\n    deps:\n      - src/assay/stages/train.py\n"


@pytest.fixture(autouse=True)
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("src/assay/stages").mkdir(parents=True)
    Path("src/assay/stages/train.py").write_text("from assay import helper\n")
    Path("src/assay/helper.py").write_text("ANSWER = 42\n")
    Path("dvc.yaml").write_text(STAGE + "      - src/assay/helper.py\n")
    return tmp_path


def test_a_lock_of_this_code_passes():
    assert judge([], refreshed=False).verdict == "PROMOTE"


def test_a_module_that_dvc_yaml_forgets_holds_and_is_named():
    Path("dvc.yaml").write_text(STAGE)
    outcome = judge([], refreshed=False)
    assert outcome.verdict == "HOLD"
    assert "stage train lacks src/assay/helper.py" in outcome.reason


def test_stages_that_would_run_hold():
    outcome = judge(["train", "evaluate"], refreshed=False)
    assert outcome.verdict == "HOLD"
    assert "train, evaluate; run `dvc repro`" in outcome.reason


def test_a_committed_lock_of_another_version_holds():
    outcome = judge([], refreshed=True)
    assert outcome.verdict == "HOLD"
    assert "commit the new one" in outcome.reason
