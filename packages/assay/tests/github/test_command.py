"""`assay comment`, as a person types it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assay.base.errors import InputError
from assay.cli import main as cli
from assay.gates.gate import GATES
from assay.github.comment import MARKER, UNCHECKED
from assay.github.steps import require_runs_on
from places import PACKAGE, ROOT
from reports import TEMPLATE, report

COMMIT = "a" * 40


@pytest.fixture
def artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src/model").mkdir(parents=True)
    (tmp_path / "src/model/report.md.j2").write_text(TEMPLATE, encoding="utf-8")
    made = report()
    outcomes = [{"gate": gate, "verdict": "HOLD", "reason": "too few rows"} for gate in (one.name for one in GATES)]
    made["verdict"] |= {"candidate": {"commit": COMMIT}, "outcomes": outcomes, "overrides": []}
    made["reproduce"] |= {"base": None}
    (tmp_path / "artifact/reports").mkdir(parents=True)
    (tmp_path / "artifact/reports/report.json").write_text(json.dumps(made), encoding="utf-8")
    return tmp_path / "artifact"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["comment", *arguments])


def test_the_comment_is_written_from_a_folder(artifact: Path):
    done = run("artifact", "--out", "made/report.md", "--commit", COMMIT, "--run", "https://x.y/7")
    assert (done.exit_code, done.output) == (0, "HOLD: made/report.md\n")
    assert "✋ HOLD: contract: too few rows" in Path("made/report.md").read_text(encoding="utf-8")


def test_what_is_refused_is_one_line_and_a_page_that_says_so(artifact: Path):
    (artifact / "run.sh").write_text("x")
    done = run("artifact", "--out", "report.md")
    assert isinstance(done.exception, InputError)
    assert str(done.exception) == "the artifact was refused: the artifact contains an unexpected file 'run.sh'"
    assert "There is no report" in Path("report.md").read_text(encoding="utf-8")


def test_a_comment_says_that_ci_did_not_start(artifact: Path):
    done = run("artifact", "--out", "report.md", "--commit", COMMIT, "--refreshed", "c" * 40, "--checks", "failed")
    assert done.exit_code == 0, done.output
    start = Path("report.md").read_text(encoding="utf-8").splitlines()
    assert start[:3] == [MARKER, "> [!WARNING]", f"> {UNCHECKED}"]


def test_a_run_without_an_end_has_a_comment_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = {"id": 7, "html_url": "https://x.y/7", "event": "pull_request", "head_sha": COMMIT, "head_branch": "x"}
    run |= {"conclusion": "cancelled", "workflow_id": 3, "head_repository": None}
    home = {"full_name": "ada/ward", "default_branch": "main"}
    (tmp_path / "event.json").write_text(json.dumps({"workflow_run": run, "repository": home}))
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
    done = CliRunner().invoke(cli.app, ["github", "unfinished", "--out", str(tmp_path / "comment.md")])
    assert done.exit_code == 0, done.output
    assert "train was cancelled, or took longer than its limit" in (tmp_path / "comment.md").read_text()


@pytest.mark.parametrize(("environment", "status"), [({}, 1), ({"EXIT_ZERO": "true"}, 0)])
def test_a_workflow_can_ask_for_success_whatever_the_verdict(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], status: int
):
    monkeypatch.setattr("assay.cli.gates._change", lambda base: None)
    monkeypatch.setattr("assay.cli.pull_request.run", lambda change: {"verdict": {"verdict": "REJECT"}})
    done = CliRunner().invoke(cli.app, ["pr", "--json"], env=environment, standalone_mode=False)
    assert done.return_value == status


def test_workflows_that_name_another_branch_than_the_default_are_told_of(tmp_path: Path):
    workflows = Path(shutil.copytree(ROOT / ".github/workflows", tmp_path / "workflows"))
    require_runs_on("main", workflows)
    with pytest.raises(InputError, match=r"runs on main and not on the default branch; write branches: \[trunk\]"):
        require_runs_on("trunk", workflows)
    page = (PACKAGE / "docs/how-to/github.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^sed .*trunk.*$", page, re.MULTILINE)
    subprocess.run(["bash", "-c", recipe.replace(".github/workflows", str(workflows))], check=True)
    require_runs_on("trunk", workflows)
