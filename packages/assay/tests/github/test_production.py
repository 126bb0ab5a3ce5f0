"""What production says, on GitHub: one issue while there is an alarm, and the evidence in one pull request."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.base.errors import InputError
from assay.base.files import write_json
from assay.base.git import git
from assay.github import production
from assay.github.api import GitHub
from assay.github.production import TITLE, calls_for_training, evidence, look, tell
from assay.production.run import RESULT
from watched import days, missing, said
from workflows import github as stand_in

ALARM = said(days(4, missing))
COLLECTED = {
    "format": 1,
    "data": "data/x.csv",
    "due": "2026-11-29T00:00:00+00:00",
    "rows_before": 400,
    "added": 64,
    "corrected": 0,
    "collected_before": 0,
    "without_outcome": 0,
    "left_out": {},
    "empty_columns": [],
    "lost": {},
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[stand_in.GitHub]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_EVENT_PATH", raising=False)
    with stand_in.running(stand_in.GitHub(tmp_path)) as made:
        yield made
    assert made.violations == []


@pytest.fixture
def github(hub: stand_in.GitHub) -> GitHub:
    return GitHub(hub.url, stand_in.REPOSITORY, hub.token({"issues": "write"}))


def result(verdict: str) -> dict[str, Any]:
    outcomes = [{**one, "verdict": verdict} for one in ALARM["outcomes"]] if verdict != "ALARM" else ALARM["outcomes"]
    return {**ALARM, "verdict": verdict, "outcomes": outcomes}


def test_an_alarm_is_one_issue_that_is_updated_and_closed_when_all_is_well(hub: stand_in.GitHub, github: GitHub):
    assert ALARM["verdict"] == "ALARM"
    steps = [
        ("WELL", "WELL: no issue"),
        ("HOLD", "HOLD: no issue"),
        ("ALARM", "was opened"),
        ("ALARM", "was updated"),
        # Not enough to tell is no end of an alarm.
        ("HOLD", "was updated"),
        ("WELL", "was closed"),
        ("WELL", "WELL: no issue"),
        ("ALARM", "was opened"),
    ]
    for verdict, wanted in steps:
        assert wanted in tell(github, result(verdict))
    assert [issue["state"] for issue in hub.issues] == ["closed", "open"]
    assert {issue["title"] for issue in hub.issues} == {TITLE}
    assert "age" in hub.issues[1]["body"]


@pytest.mark.parametrize(
    ("checks", "trains"), [(["failed"], False), (["refused", "slow"], False), (["failed", "values"], True), ([], False)]
)
def test_only_an_alarm_about_the_model_or_its_rows_calls_for_training(checks: list[str], trains: bool):
    outcomes = [{"check": "loss", "verdict": "HOLD"}, *({"check": one, "verdict": "ALARM"} for one in checks)]
    assert calls_for_training({"outcomes": outcomes}) == trains


def test_an_issue_of_somebody_else_is_left_alone(hub: stand_in.GitHub, github: GitHub):
    hub.issues.append(
        {"number": 1, "title": TITLE, "state": "open", "labels": [], "user": {"login": "eve"}, "body": "<script>"}
    )
    tell(github, result("ALARM"))
    assert (len(hub.issues), hub.issues[0]["body"]) == (2, "<script>")


def test_the_pull_request_says_what_was_collected_and_has_the_evidence(hub: stand_in.GitHub, github: GitHub):
    write_json(Path("reports/collect.json"), COLLECTED)
    assert "There is no open alarm" in evidence(github)
    tell(github, result("ALARM"))
    text = evidence(github)
    assert "- data/x.csv: 64 rows added to 400" in text
    assert f"#{hub.issues[0]['number']}" in text
    assert hub.issues[0]["body"] in text
    assert "asks a person with write access to approve" in text


def test_a_result_that_came_instead_of_the_log_is_taken(hub: stand_in.GitHub):
    write_json(RESULT, ALARM)
    assert look() == ALARM
    write_json(RESULT, {"verdict": "PROMOTE"})
    with pytest.raises(InputError, match=r"reports/monitor\.json: not a result of `assay monitor`"):
        look()


def test_where_nothing_came_that_is_said(hub: stand_in.GitHub):
    with pytest.raises(InputError, match="there is no log; the command in the variable ASSAY_MONITOR brings it there"):
        look()


def test_without_a_log_there_is_no_retraining_and_that_is_said(hub: stand_in.GitHub):
    with pytest.raises(InputError, match="there is no log"):
        production.retrain()


def test_names_of_columns_are_shown_as_they_are_and_do_nothing(hub: stand_in.GitHub, github: GitHub):
    left_out = {"break the contract": {"rows": 1, "ids": ["x"], "reasons": ["<b>@ada: missing value"]}}
    write_json(Path("reports/collect.json"), COLLECTED | {"left_out": left_out})
    assert "<b>" not in evidence(github)
    assert "@ada" not in evidence(github)


def test_a_very_long_report_fits_into_an_issue(hub: stand_in.GitHub, github: GitHub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(production, "markdown", lambda result: "x" * 100_000)
    tell(github, result("ALARM"))
    write_json(Path("reports/collect.json"), COLLECTED)
    assert len(hub.issues[0]["body"]) < 65_536
    assert len(evidence(github)) < 65_536


def test_the_model_that_is_watched_is_that_of_the_last_release(hub: stand_in.GitHub, monkeypatch: pytest.MonkeyPatch):
    asked: list[Any] = []
    Path("monitoring").mkdir()
    monkeypatch.setattr(production, "last_release", lambda: "v1.2.0")
    monkeypatch.setattr(production, "git", lambda *words: words[-1])
    monkeypatch.setattr(production, "restore", Path)
    monkeypatch.setattr(production, "watch", lambda *given: asked.append(given) or ALARM)
    assert look() == ALARM
    assert asked == [(Path("monitoring"), Path("v1.2.0^{commit}/models"))]


def repository(**files: str) -> None:
    """Make a repository of the current folder, with a commit of some files."""
    for name, text in files.items():
        Path(name).write_text(text)
    Path("reports").mkdir()
    git("init", "--quiet")
    git("add", "--", *files)
    named = ("-c", "user.name=Ann", "-c", "user.email=ann@localhost")
    git(*named, "commit", "--quiet", "--allow-empty", "--message", "one")


def test_what_retraining_changes_is_a_patch_of_which_nothing_else_is_taken(
    hub: stand_in.GitHub, monkeypatch: pytest.MonkeyPatch
):
    Path("event.json").write_text('{"repository": {"private": true}}')
    monkeypatch.setenv("GITHUB_EVENT_PATH", "event.json")
    monkeypatch.setattr(production, "bring_home", lambda log: COLLECTED | {"added": 0})
    Path("monitoring").mkdir()
    repository(**{"data.dvc": "old", "service.py": "old"})
    Path("data.dvc").write_text("new")
    Path("service.py").write_text("new")
    Path(".dvc/embedded").mkdir(parents=True)
    Path(".dvc/embedded/ab").write_bytes(b"\x00\xff")
    production.retrain()
    made = production.PATCH.read_text()
    assert "service.py" not in made
    git("add", "service.py")
    git("diff", "--cached", "--binary", "--output=reports/all.patch")
    for patch in ("retrained", "all"):
        git("reset", "--quiet", "--hard")
        assert not Path(".dvc/embedded/ab").exists()
        production.apply(Path(f"reports/{patch}.patch"))
        assert git("diff", "--cached", "--name-only").split() == [".dvc/embedded/ab", "data.dvc"]
        assert (Path("data.dvc").read_text(), Path(".dvc/embedded/ab").read_bytes()) == ("new", b"\x00\xff")
        assert Path("service.py").read_text() == "old"


def test_a_patch_without_changes_changes_nothing(hub: stand_in.GitHub):
    repository(**{"data.dvc": "old"})
    production.PATCH.touch()
    production.apply()
    assert not git("diff", "--cached", "--name-only")


@pytest.mark.parametrize(("private", "embedded"), [(False, True), (False, False), (True, True), (None, True)])
def test_what_clients_sent_is_never_put_where_everybody_can_read_it(
    hub: stand_in.GitHub, monkeypatch: pytest.MonkeyPatch, private: bool | None, embedded: bool
):
    Path("event.json").write_text(json.dumps({"repository": {} if private is None else {"private": private}}))
    monkeypatch.setenv("GITHUB_EVENT_PATH", "event.json")
    monkeypatch.setattr(production, "is_embedded", lambda: embedded)
    monkeypatch.setattr(production, "bring_home", lambda log: COLLECTED | {"added": 0})
    Path("monitoring").mkdir()
    repository()
    # An event need not say it.
    if private is not True and embedded:
        with pytest.raises(InputError, match="everybody could read the rows that clients sent"):
            production.retrain()
    else:
        assert "0 rows added" in production.retrain()


@pytest.mark.parametrize(("added", "done"), [(64, ["push data.dvc", "reproduce"]), (0, [])])
def test_what_is_new_is_pushed_and_learnt_and_nothing_new_is_neither(
    hub: stand_in.GitHub, monkeypatch: pytest.MonkeyPatch, added: int, done: list[str]
):
    Path("monitoring").mkdir()
    repository()
    seen: list[str] = []
    limit = type("Params", (), {"remote": type("Remote", (), {"embedded_limit_mb": 50})})
    monkeypatch.setattr(production, "bring_home", lambda log: COLLECTED | {"added": added})
    monkeypatch.setattr(production, "load_params", lambda: limit)
    monkeypatch.setattr(production, "push", lambda limit, *names: seen.append(f"push {' '.join(names)}"))
    monkeypatch.setattr(production, "reproduce", lambda: seen.append("reproduce"))
    assert f"{added} rows added" in production.retrain()
    assert seen == done
