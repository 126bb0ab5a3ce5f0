import shutil
import subprocess
from pathlib import Path

import pytest

from assay.gates.limits import _meaning, judge, rewritten
from places import ROOT

SOURCE = ROOT / "src"

BEFORE = b"seed: 1\nvalidate:\n  leakage_score: 0.98\ngates:\n  quality:\n    margin: 0.01\n    floor: 0.9\n"


def test_the_same_limits_pass_whatever_else_changes():
    assert judge(BEFORE.replace(b"seed: 1", b"seed: 2  # another"), BEFORE).verdict == "PROMOTE"


def test_a_limit_that_changes_is_held_with_both_values():
    outcome = judge(BEFORE.replace(b"margin: 0.01", b"margin: 0.5"), BEFORE)
    assert outcome.verdict == "HOLD"
    assert "gates.quality.margin from 0.01 to 0.5" in outcome.reason


def test_limits_that_are_removed_are_held():
    outcome = judge(b"seed: 1\nvalidate:\n  leakage_score: 0.98\n", BEFORE)
    assert outcome.verdict == "HOLD"
    assert "gates.quality.margin from 0.01 to not set" in outcome.reason


def test_a_gate_that_is_switched_off_is_held():
    outcome = judge(BEFORE.replace(b"margin: 0.01", b"margin: 0.01\n    enabled: false"), BEFORE)
    assert outcome.verdict == "HOLD"
    assert "gates.quality.enabled from not set to False" in outcome.reason


def test_the_limits_of_the_data_checks_count_too():
    assert judge(BEFORE.replace(b"0.98", b"1.0"), BEFORE).verdict == "HOLD"


@pytest.mark.parametrize("limit", ["analyse:\n  noise: {}\n", "export:\n  tolerance: {}\n"])
def test_what_gates_take_from_elsewhere_is_a_limit_too(limit: str):
    before = BEFORE + limit.format(0.05).encode()
    assert judge(before, before).verdict == "PROMOTE"
    assert judge(BEFORE + limit.format(0.5).encode(), before).verdict == "HOLD"


def test_of_many_changes_three_are_named():
    now = BEFORE.replace(b"0.01", b"0.02").replace(b"0.9\n", b"0.1\n").replace(b"0.98", b"0.5")
    outcome = judge(now + b"  slices:\n    margin: 1\n", BEFORE)
    assert "and 1 more" in outcome.reason


def test_code_of_the_gates_that_changes_is_held():
    outcome = judge(BEFORE, BEFORE, ["packages/assay/src/assay/gates/quality.py"])
    assert outcome.verdict == "HOLD"
    assert "the code that judges changed: packages/assay/src/assay/gates/quality.py" in outcome.reason


def test_where_there_were_no_limits_there_is_nothing_to_compare():
    assert judge(BEFORE, None).verdict == "SKIP"
    assert judge(BEFORE, b"seed: 1\n").verdict == "SKIP"


@pytest.fixture
def committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git repository of the code of this project, which is the current folder."""
    for folder in ("src", "loadtests"):
        shutil.copytree(SOURCE.parent / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["init", "--quiet"], ["add", "--all"], [*who, "commit", "--quiet", "--message", "All"]):
        subprocess.run(["git", *command], check=True)


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize(
    "path",
    [
        "packages/assay/src/assay/gates/slices.py",
        "packages/assay/src/assay/load/driver.py",
        "packages/assay/src/assay/load/payloads.py",
        "loadtests/locustfile.py",
        "packages/assay/src/assay/evaluation/behaviour.py",
        "packages/assay/src/assay/evaluation/metrics.py",
        "src/model/expectations.py",
    ],
)
def test_whoever_rewrites_what_judges_is_noticed(path: str):
    assert rewritten("HEAD") == []
    Path(path).write_text(Path(path).read_text() + "\nMARGIN = 1\n")
    assert rewritten("HEAD") == [path]


@pytest.mark.usefixtures("committed")
def test_a_gate_that_is_removed_is_noticed():
    verdict = Path("packages/assay/src/assay/gates/verdict.py")
    text = verdict.read_text().replace("    slices,\n", "").replace('    "slices": slices.judge,\n', "")
    verdict.write_text(text)
    Path("packages/assay/src/assay/gates/slices.py").unlink()
    assert rewritten("HEAD") == [
        "packages/assay/src/assay/gates/slices.py",
        "packages/assay/src/assay/gates/verdict.py",
    ]


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize(
    "path",
    [
        "src/model/features.py",
        "packages/assay/src/assay/modelling/fitting.py",
        "packages/assay/src/assay/stages/train.py",
    ],
)
def test_what_makes_the_model_may_change_for_it_is_what_is_judged(path: str):
    Path(path).write_text(Path(path).read_text() + "\nMARGIN = 1\n")
    assert rewritten("HEAD") == []


@pytest.mark.usefixtures("committed")
def test_comments_and_docstrings_judge_nothing():
    path = Path("packages/assay/src/assay/gates/slices.py")
    path.write_text(path.read_text().replace('"""Slices:', '# A comment.\n"""The slices:'))
    assert rewritten("HEAD") == []


def test_what_code_means_is_not_how_it_is_written():
    code = (
        b'"""Doc."""\nLIMIT = 3\n\n\ndef over(values):\n    """Doc."""\n    found = values > LIMIT\n    return found\n'
    )
    again = b"# Why.\nLIMIT = 3\ndef over(values):\n    those = values > LIMIT\n    return those\n"
    assert _meaning(code) == _meaning(again)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"3", b"4"),
        (b"v > LIMIT", b"v >= LIMIT"),
        (b"LIMIT = 3", b"LIMIT = 3.0"),
        (b"over(values)", b"over(values=())"),
    ],
)
def test_any_other_change_of_code_counts(old, new):
    code = b"LIMIT = 3\ndef over(values):\n    return [v for v in values if v > LIMIT]\n"
    assert _meaning(code) != _meaning(code.replace(old, new))
