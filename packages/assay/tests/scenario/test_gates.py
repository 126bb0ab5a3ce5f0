"""The verdict and the report in real clones, as a person gets them."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scenario.project import Project, once, stages_run

PASSED, REJECTED, HELD = 0, 1, 3


def judged(project: Project, status: int, *arguments: str) -> dict[str, Any]:
    """Run `assay gate` and return the verdict, which has to have this exit status."""
    done = project.run("assay", "gate", "--json", *arguments)
    assert "Traceback" not in done.stderr
    assert done.returncode == status, done.stdout[-3000:] + done.stderr[-3000:]
    verdict: dict[str, Any] = json.loads(done.stdout)
    assert json.loads((project.root / "reports/verdict.json").read_text()) == verdict
    return verdict


def outcome(verdict: dict[str, Any], gate: str) -> dict[str, Any]:
    return next(outcome for outcome in verdict["outcomes"] if outcome["gate"] == gate)


@pytest.fixture(scope="session")
def judged_once(brief: Project, shared: Path) -> Project:
    """A project with a comment more in its service, of which `assay pr` has given a verdict."""
    made = replace(brief, root=shared / "judged")

    def make() -> None:
        brief.copy(made.root).append("service.py", "\n# A comment.\n")
        made.ok("assay", "pr")

    once(made.root, make)
    return made


def test_a_pull_request_that_changes_next_to_nothing_passes_and_leaves_a_whole_report(judged_once: Project):
    verdict = json.loads((judged_once.root / "reports/verdict.json").read_text())
    assert verdict["verdict"] == "PROMOTE"
    assert {o["gate"] for o in verdict["outcomes"]} >= {
        *("contract", "leakage", "lock", "reproducibility", "quality", "slices", "calibration", "robustness"),
        *("dominance", "fairness", "expectations", "parity", "service"),
    }
    assert all(set(o) == {"gate", "verdict", "reason", "measured", "limit"} for o in verdict["outcomes"])
    assert {**verdict["candidate"], "commit": None} == {**verdict["champion"], "commit": None}
    assert set(verdict["candidate"]) == {"commit", "data", "model", "contract"}
    assert None not in verdict["candidate"].values()
    report = (judged_once.root / "reports/report.md").read_text()
    assert report.index("PROMOTE") < report.index("roc_auc") < report.index("responses per second")
    assert len(report) <= 60_000
    assert (judged_once.root / "reports/report.html").stat().st_size > 10_000


def test_a_service_that_is_the_champion_s_is_not_loaded(brief: Project, tmp_path: Path):
    project = brief.copy(tmp_path / "project")
    project.ok("git", "commit", "--quiet", "--allow-empty", "--message", "Nothing")
    done = project.run("assay", "pr")
    assert done.returncode == PASSED, done.stderr
    assert "the service is identical to the champion's: no load test" in done.stderr
    verdict = json.loads((project.root / "reports/verdict.json").read_text())
    assert "are identical to the champion's" in outcome(verdict, "service")["reason"]
    assert not (project.root / "reports/loadtest.json").exists()
    # All is committed.
    assert json.loads((project.root / "reports/report.json").read_text())["next"] == ["The change can be merged."]


@pytest.mark.nightly
def test_what_got_to_main_against_a_verdict_is_judged_again_until_it_is_released(brief: Project, tmp_path: Path):
    project = brief.copy(tmp_path / "project")
    project.ok("git", "tag", "v1.0.0")
    before, stage, after = (project.root / "dvc.yaml").read_text().partition("  analyse:\n")
    (project.root / "dvc.yaml").write_text(before + stage + after.replace(" src,", "", 1))
    project.ok("assay", "repro")
    project.ok("git", "commit", "--quiet", "--all", "--message", "A dependency less")
    project.append("docs/data.md", "\nMore.\n")
    project.ok("git", "commit", "--quiet", "--all", "--message", "A line more")
    assert project.run("assay", "pr", "--base", "HEAD~1").returncode == PASSED
    assert project.run("assay", "pr", "--base", "HEAD~1", "--since-release").returncode == HELD
    verdict = json.loads((project.root / "reports/verdict.json").read_text())
    assert "stage analyse no longer lists src" in outcome(verdict, "lock")["reason"]


def test_the_second_time_the_verdict_stands(judged_once: Project, tmp_path: Path):
    project = judged_once.copy(tmp_path / "project")
    before = (project.root / "reports/report.json").read_bytes()
    done = project.run("assay", "pr")
    assert done.returncode == PASSED
    assert "it still applies" in done.stderr
    assert stages_run(done.stdout) == []
    assert (project.root / "reports/report.json").read_bytes() == before


@pytest.mark.nightly
def test_a_load_test_counts_for_what_was_loaded_alone(judged_once: Project, tmp_path: Path):
    project = judged_once.copy(tmp_path / "project")
    # What is not packed may change, and the load test is still of what is served.
    project.append("docs/data.md", "\nMore.\n")
    judged(project, PASSED)
    project.append("service.py", "\n# Another.\n")
    found = outcome(judged(project, HELD), "service")
    assert found["reason"] == (
        "not measured: reports/loadtest.json belongs to another model or service; run `make loadtest`"
    )
    (project.root / "reports/loadtest.json").unlink()
    found = outcome(judged(project, HELD), "service")
    assert found["reason"] == "not measured: reports/loadtest.json: there is no such file; run `make loadtest`"


@pytest.mark.nightly
def test_a_champion_without_a_service_leaves_the_absolute_limits(brief: Project, tmp_path: Path):
    project = brief.copy(tmp_path / "project")
    code = (project.root / "service.py").read_text()
    project.ok("git", "rm", "--quiet", "service.py")
    project.ok("git", "commit", "--quiet", "--message", "No service yet")
    (project.root / "service.py").write_text(code)
    said = project.cold.ok("assay", "loadtest", "--base", "HEAD")
    assert "the champion has no service: the service is judged only against absolute limits" in said
    assert outcome(judged(project, PASSED, "--base", "HEAD"), "service")["measured"]["champion"]["verdict"] == "SKIP"


@pytest.mark.nightly
def test_a_verdict_does_not_stand_when_a_gate_has_changed(judged_once: Project, tmp_path: Path):
    project = judged_once.copy(tmp_path / "project")
    project.edit(
        "packages/assay/src/assay/gates/quality.py",
        "    name = evidence",
        '    raise KeyError("no such thing")\n    name = evidence',
    )
    done = project.cold.run("assay", "pr", "--json")
    assert done.returncode == HELD
    verdict = json.loads(done.stdout)["verdict"]
    # The gate that raises is held with the error as its reason; the others have judged.
    assert outcome(verdict, "quality")["verdict"] == "HOLD"
    assert "KeyError: 'no such thing'" in outcome(verdict, "quality")["reason"]
    assert outcome(verdict, "slices")["verdict"] == "PROMOTE"


def test_the_report_of_a_verdict_is_made_anew(judged_once: Project, tmp_path: Path):
    project = judged_once.copy(tmp_path / "project")
    for name in ("report.json", "report.md", "report.html"):
        (project.root / "reports" / name).unlink()
    project.ok("assay", "report")
    assert (project.root / "reports/report.html").exists()
    (project.root / "reports/verdict.json").write_text('{"verdict": "PROM')
    assert "reports/verdict.json: not a complete JSON file" in project.refused("assay", "report")
    (project.root / "reports/verdict.json").unlink()
    assert "reports/verdict.json: there is no such file" in project.refused("assay", "report")


def test_a_verdict_of_something_else_is_refused(judged_once: Project, tmp_path: Path):
    project = judged_once.copy(tmp_path / "project")
    (project.root / "reports/verdict.json").write_text('{"verdict": "PROMOTE", "champion": null, "outcomes": [1]}')
    assert project.refused("assay", "report")


def test_a_worse_model_is_rejected_for_its_quality_and_a_person_may_accept_it(finished: Project):
    # Not for what is expected of it: to find the smallest row that shows it takes long, for each of two verdicts.
    finished.set_params(gates__expectations__enabled=False)
    finished.ok("git", "commit", "--quiet", "--all", "--message", "Nothing is expected")
    finished.set_params(model__parameters={"C": 1e-6})
    finished.ok("assay", "repro")
    verdict = judged(finished, REJECTED, "--base", "HEAD")
    assert outcome(verdict, "calibration")["verdict"] == "REJECT"
    stopped = [o["gate"] for o in verdict["outcomes"] if o["verdict"] in ("HOLD", "REJECT")]
    known = "".join(f"    {name}: {verdict['candidate'][name][:12]}\n" for name in ("model", "contract"))
    word = "".join(f"  - gate: {gate}\n    by: Ada\n    why: to see\n{known}" for gate in stopped)
    (finished.root / "overrides.yaml").write_text(f"overrides:\n{word}")
    accepted = judged(finished, PASSED, "--base", "HEAD")
    assert {o["gate"] for o in accepted["overrides"]} == set(stopped)
    assert accepted["outcomes"] == verdict["outcomes"]


def test_a_first_model_is_judged_by_itself(finished: Project):
    finished.ok("git", "rm", "--quiet", "--cached", "dvc.lock", "metrics.json")
    finished.ok("git", "commit", "--quiet", "--message", "No model yet")
    verdict = judged(finished, PASSED, "--base", "HEAD")
    assert verdict["champion"] is None
    assert outcome(verdict, "quality")["measured"]["champion"]["verdict"] == "SKIP"
    assert "no champion yet" in outcome(verdict, "slices")["reason"]


def test_a_base_that_does_not_exist_is_refused(finished: Project):
    assert "there is no commit 'nowhere'" in finished.refused("assay", "gate", "--base", "nowhere")
    assert "there is no commit 'nowhere'" in finished.refused("assay", "pr", BASE="nowhere")


def test_another_question_cannot_be_compared_and_needs_a_person(finished: Project):
    finished.edit("contract.yaml", "positive: malignant", "positive: benign")
    finished.ok("assay", "repro")
    # The expectations know a malignant mass from a benign one, and reject what takes the one for the other.
    verdict = judged(finished, REJECTED)
    assert "positive malignant -> benign" in outcome(verdict, "contract")["reason"]
    assert outcome(verdict, "contract")["verdict"] == "HOLD"
    assert "needs the model owner's approval" in outcome(verdict, "quality")["reason"]


def test_a_champion_whose_stored_answers_changed_is_not_compared_with(finished: Project):
    code = "from assay.project.champion import restore; from assay.project.history import head; print(restore(head()))"
    examples = finished.root / finished.ok("python", "-c", code).splitlines()[-1] / "models/examples.json"
    stored = json.loads(examples.read_text())
    stored["scores"][0] = [score + 0.25 for score in stored["scores"][0]]
    examples.unlink()
    examples.write_text(json.dumps(stored))
    verdict = judged(finished, HELD, "--base", "HEAD")
    said = (
        "the champion's stored predictions changed with this version of Assay or its libraries: by 0.25 (limit 1e-06)"
    )
    for gate in ("quality", "slices", "calibration", "robustness"):
        assert outcome(verdict, gate)["verdict"] == "HOLD"
        assert said in outcome(verdict, gate)["reason"]


def test_data_that_breaks_the_contract_is_rejected_though_no_model_was_trained(finished: Project):
    data = finished.root / "data/breast_cancer.csv"
    lines = data.read_text().splitlines(keepends=True)
    data.write_text("".join([lines[0], lines[1].replace(lines[1].split(",")[0], "-5", 1), *lines[2:]]))
    done = finished.run("assay", "pr", "--json")
    assert done.returncode == REJECTED, done.stderr
    verdict = json.loads(done.stdout)["verdict"]
    assert "breaks contract.yaml" in outcome(verdict, "contract")["reason"]
    assert outcome(verdict, "quality")["reason"].startswith("not judged")
    assert "REJECT" in (finished.root / "reports/report.md").read_text().splitlines()[0]


@pytest.mark.parametrize("damage", [pytest.param("truncated", marks=pytest.mark.nightly), "foreign", "gone"])
def test_results_that_are_damaged_are_no_evidence(finished: Project, damage: str):
    for name in ("build/split/test.parquet", "metrics.json"):
        path = finished.root / name
        content = path.read_bytes()
        path.unlink()
        if damage != "gone":
            path.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"\x89PNG\r\n")
    verdict = judged(finished, HELD)
    assert outcome(verdict, "quality")["verdict"] == "HOLD"
    assert "not judged" in outcome(verdict, "quality")["reason"]


@pytest.mark.nightly
def test_two_verdicts_at_once_are_the_same(finished: Project):
    shutil.rmtree(finished.root / ".assay", ignore_errors=True)
    both = [
        subprocess.Popen(
            ["assay", "gate", "--json"],
            cwd=finished.root,
            env=finished.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [PASSED, PASSED], said
    assert said[0][0] == said[1][0]
    assert finished.leftovers() == []
    assert [p.name[0] for p in (finished.root / ".assay/champions").iterdir()] != ["."]
