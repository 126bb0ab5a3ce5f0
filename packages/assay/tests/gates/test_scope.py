import subprocess
from pathlib import Path

import pytest

from assay.gates.gate import GATES
from assay.gates.scope import changes_no_model, outcomes
from assay.project.change import resolve
from patients import contract

LOCK = "schema: '2.0'\nstages:\n  train:\n    cmd: x\n"
NAMES = {f"GIT_{role}_{what}": "ann@x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], check=True, capture_output=True, text=True, env={"PATH": "/usr/bin", **NAMES}
    )
    return done.stdout.strip()


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch", "main")
    Path("dvc.lock").write_text(LOCK)
    Path("docs").mkdir()
    Path("docs/page.md").write_text("one\n")
    git("add", "--all")
    git("commit", "--quiet", "--message", "x")
    return git("rev-parse", "HEAD")


def passes(start: str) -> bool:
    return changes_no_model(resolve(start, contract()))


def change(*paths: str) -> None:
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("two\n")


def test_pages_tests_and_workflows_make_no_other_model(start: str):
    change("docs/page.md", "README.md", "LICENSE", "tests/x.py", ".github/workflows/train.yml")
    change("packages/assay/bench/x.py")
    assert passes(start)
    assert len(resolve(start, contract()).files) == 6
    git("add", "--all")
    git("commit", "--quiet", "--message", "y")
    assert passes(start)


@pytest.mark.parametrize(
    "path",
    [
        *("params.yaml", "contract.yaml", "dvc.yaml", "dvc.lock", "data.dvc", "metrics.json", "overrides.yaml"),
        *(
            "src/model/features.py",
            "packages/assay/src/assay/cli/main.py",
            "src/model/report.md.j2",
            "service.py",
            "requirements/train.txt",
        ),
        *(".dvc/config", "loadtests/locustfile.py", "bentofile.yaml", "src/notes.md", "docsx/page.md", "Makefile", "x"),
    ],
)
def test_anything_else_may_and_is_judged(start: str, path: str):
    change("docs/page.md", path)
    assert not passes(start)


def test_a_file_that_is_gone_counts(start: str):
    change("docs/page.md")
    Path("dvc.lock").unlink()
    assert not passes(start)


def test_nothing_changed_is_judged_in_full(start: str):
    assert not passes(start)


def test_without_a_champion_everything_is_judged(start: str):
    git("rm", "--quiet", "dvc.lock")
    git("commit", "--quiet", "--message", "y")
    change("docs/page.md")
    assert not passes(git("rev-parse", "HEAD"))
    assert not passes("0" * 40)


def test_every_gate_says_why_it_passes():
    made = outcomes(["docs/a.md", "docs/b.md"])
    assert [one.gate for one in made] == [gate.name for gate in GATES]
    assert {(one.verdict, one.reason) for one in made} == {
        ("PROMOTE", "the change cannot affect the model, its code or its data: it touches only docs/a.md and 1 more")
    }
