import subprocess
from pathlib import Path

import pytest

from assay.gates.limits import compare
from assay.gates.repository import _meaning, rewritten

BEFORE = b"seed: 1\nvalidate:\n  leakage_score: 0.98\ngates:\n  quality:\n    margin: 0.01\n    floor: 0.9\n"


def test_the_same_limits_pass_whatever_else_changes():
    assert compare(BEFORE.replace(b"seed: 1", b"seed: 2  # another"), BEFORE).verdict == "PROMOTE"


def test_a_limit_that_changes_is_held_with_both_values():
    outcome = compare(BEFORE.replace(b"margin: 0.01", b"margin: 0.5"), BEFORE)
    assert outcome.verdict == "HOLD"
    assert "gates.quality.margin from 0.01 to 0.5" in outcome.reason


def test_limits_that_are_removed_are_held():
    outcome = compare(b"seed: 1\nvalidate:\n  leakage_score: 0.98\n", BEFORE)
    assert outcome.verdict == "HOLD"
    assert "gates.quality.margin from 0.01 to not set" in outcome.reason


def test_a_gate_that_is_switched_off_is_held():
    outcome = compare(BEFORE.replace(b"margin: 0.01", b"margin: 0.01\n    enabled: false"), BEFORE)
    assert outcome.verdict == "HOLD"
    assert "gates.quality.enabled from not set to False" in outcome.reason


def test_the_limits_of_the_data_checks_count_too():
    assert compare(BEFORE.replace(b"0.98", b"1.0"), BEFORE).verdict == "HOLD"


@pytest.mark.parametrize("limit", ["analyse:\n  noise: {}\n", "export:\n  tolerance: {}\n"])
def test_what_gates_take_from_elsewhere_is_a_limit_too(limit: str):
    before = BEFORE + limit.format(0.05).encode()
    assert compare(before, before).verdict == "PROMOTE"
    assert compare(BEFORE + limit.format(0.5).encode(), before).verdict == "HOLD"


def test_of_many_changes_three_are_named():
    now = BEFORE.replace(b"0.01", b"0.02").replace(b"0.9\n", b"0.1\n").replace(b"0.98", b"0.5")
    outcome = compare(now + b"  slices:\n    margin: 1\n", BEFORE)
    assert "and 1 more" in outcome.reason


def test_code_that_judges_and_changes_is_held():
    outcome = compare(BEFORE, BEFORE, ["Assay", "src/model/expectations.py"])
    assert outcome.verdict == "HOLD"
    assert "the judging code changed: Assay, src/model/expectations.py" in outcome.reason
    assert outcome.measured["rewritten"] == ["Assay", "src/model/expectations.py"]


def test_where_there_were_no_limits_there_is_nothing_to_compare():
    assert compare(BEFORE, None).verdict == "SKIP"
    assert compare(BEFORE, b"seed: 1\n").verdict == "SKIP"


# Of a project: what judges, what is judged, and what both use.
FILES = {
    "requirements/process.yaml": "train: aaaa\njudge: bbbb\nservice: cccc\n",
    "loadtests/locustfile.py": "from assay.load.caller import Caller\n",
    "src/model/__init__.py": "",
    "src/model/expectations.py": "from model import features, limits, shared\nE = [features, limits]\n",
    "src/model/limits.py": '"""Limits."""\nLOWEST = 1\n',
    "src/model/shared.py": "COLUMNS = ['age']\n",
    "src/model/features.py": "from model.shared import COLUMNS\nDERIVED = []\n",
    "src/model/estimators.py": "FAMILIES = {}\n",
    "docs/page.md": "# Page\n",
}


@pytest.fixture
def committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git repository of such a project, which is the current folder."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["init", "--quiet"], ["add", "--all"], [*who, "commit", "--quiet", "--message", "All"]):
        subprocess.run(["git", *command], check=True)


def append(path: str, text: str = "MARGIN = 1\n") -> None:
    with Path(path).open("a") as file:
        file.write(text)


@pytest.mark.usefixtures("committed")
def test_where_nothing_changed_nothing_that_judges_did():
    assert rewritten("HEAD") == []


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize("path", ["src/model/expectations.py", "src/model/limits.py", "loadtests/locustfile.py"])
def test_whoever_rewrites_what_judges_is_noticed(path: str):
    append(path)
    assert rewritten("HEAD") == [path]


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize("path", ["src/model/expectations.py", "loadtests/locustfile.py"])
def test_whoever_removes_what_judges_is_noticed(path: str):
    Path(path).unlink()
    assert rewritten("HEAD") == [path]


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize(
    "path", ["src/model/features.py", "src/model/shared.py", "src/model/estimators.py", "docs/page.md"]
)
def test_what_makes_the_model_may_change_for_it_is_what_is_judged(path: str):
    append(path)
    assert rewritten("HEAD") == []


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize("path", ["src/model/features.py", "src/model/estimators.py"])
def test_what_makes_the_model_may_go(path: str):
    Path("src/model/expectations.py").write_text("E = []\n")
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qam", "Less"], check=True)
    Path(path).unlink()
    assert rewritten("HEAD") == []


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize("path", ["src/model/expectations.py", "src/model/limits.py", "loadtests/locustfile.py"])
def test_comments_docstrings_and_formatting_judge_nothing(path: str):
    code = Path(path).read_text().replace('"""Limits."""\n', "").replace(" = ", "  =  ")
    Path(path).write_text(f'"""What it says of itself."""\n\n# A comment.\n{code}')
    assert rewritten("HEAD") == []


@pytest.mark.usefixtures("committed")
def test_another_problem_has_expectations_of_its_own_and_the_load_test_of_all():
    append("src/model/expectations.py")
    append("src/model/limits.py")
    append("loadtests/locustfile.py")
    assert rewritten("HEAD", is_new_problem=True) == ["loadtests/locustfile.py"]


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize(("part", "said"), [("judge: bbbb", ["Assay"]), ("train: aaaa", []), ("service: cccc", [])])
def test_another_assay_is_noticed_where_its_judge_is_another(part: str, said: list[str]):
    path = Path("requirements/process.yaml")
    path.write_text(path.read_text().replace(part, f"{part[:-1]}d"))
    assert rewritten("HEAD") == said
    assert rewritten("HEAD", is_new_problem=True) == said


@pytest.mark.usefixtures("committed")
def test_an_assay_that_does_not_say_which_it_is_is_another():
    Path("requirements/process.yaml").unlink()
    assert rewritten("HEAD") == ["Assay"]
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qam", "Less"], check=True)
    Path("requirements/process.yaml").write_text(FILES["requirements/process.yaml"])
    assert rewritten("HEAD") == ["Assay"]


def test_what_code_means_is_not_how_it_is_written():
    code = (
        b'"""Doc."""\nLIMIT = 3\n\n\ndef over(values):\n    """Doc."""\n    found = values > LIMIT\n    return found\n'
    )
    again = b"# Why.\nLIMIT = (3)\ndef over( values ):\n    found = (values  > LIMIT)  # Strictly.\n    return found\n"
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


def test_what_an_override_names_changes_with_each_limit_and_with_the_code_that_judges():
    def named(now: bytes, judge: str) -> str:
        return compare(now, BEFORE, ["Assay"], judge).measured["limits"]

    assert named(BEFORE, "a") == named(BEFORE, "a")
    assert len({named(BEFORE, "a"), named(BEFORE, "b"), named(BEFORE + b"\n# no limit\n", "b")}) == 2
    assert named(BEFORE.replace(b"0.01", b"0.02"), "a") != named(BEFORE, "a")
