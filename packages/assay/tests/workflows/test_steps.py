"""The steps of report.yml against the stand-in of GitHub."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace

import pytest

from assay.base.errors import InputError
from assay.gates.gate import GATES
from assay.github.api import DeniedError, GitHub
from assay.github.comment import MARKER
from assay.github.event import Run, current_run
from assay.github.steps import commit_lock, fetch, post, raise_alarm, set_status
from places import PACKAGE, ROOT
from reports import report
from workflows import github as stand_in

READ = {"actions": "read", "contents": "read", "pull-requests": "write", "statuses": "write"}
WRITE = {"actions": "write", "contents": "write", "pull-requests": "read"}
LOCK = "schema: '2.0'\nstages:\n  train:\n    cmd: assay stage train\n"
PROCESS = "requirements/process.yaml"
HASHES = '# Written by Assay.\ntrain: "0123456789abcdef"\na_newer_part: 0123456789abcdef\n'
REPOSITORY = stand_in.REPOSITORY


def commit(hub: stand_in.GitHub, branch: str, content: str = "x", parent: str = "") -> str:
    """Push a commit with a dvc.lock to a branch; return it."""
    blob = hub.run_git("hash-object", "-w", "--stdin", given=content)
    tree = hub.run_git("mktree", given=f"100644 blob {blob}\tdvc.lock\n")
    names = {f"GIT_{role}_{what}": "ann@x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    made = hub.run_git("commit-tree", tree, "-m", "x", *(["-p", parent] if parent else []), **names)
    hub.run_git("update-ref", f"refs/heads/{branch}", made)
    return made


@pytest.fixture
def api(hub: stand_in.GitHub) -> Callable[[dict[str, str]], GitHub]:
    return lambda permissions: GitHub(hub.url, REPOSITORY, hub.token(permissions))


@pytest.fixture
def run(hub: stand_in.GitHub, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of the pull request 4 from a branch of the repository, which is the project."""
    monkeypatch.chdir(ROOT)
    head = commit(hub, "ann/less-noise", parent=commit(hub, "main"))
    hub.open_pull(4, "ann/less-noise", head)
    url = "https://github.com/ada/ward/actions/runs/7"
    return Run(7, url, "pull_request", head, "ann/less-noise", "ada", REPOSITORY, REPOSITORY, "main")


def uploaded(hub: stand_in.GitHub, run: Run, *changed: dict, **files: str) -> bytes:
    """Let a run leave its data; every gate passed but those that are given."""
    made = report()
    outcomes = {gate: {"gate": gate, "verdict": "PROMOTE", "reason": "well"} for gate in (one.name for one in GATES)}
    outcomes |= {one["gate"]: one for one in changed}
    candidate = made["verdict"]["candidate"] | {"commit": run.commit}
    made["verdict"] |= {"candidate": candidate, "outcomes": list(outcomes.values()), "overrides": []}
    made["reproduce"] |= {"base": "b" * 40}
    content = {"reports/report.json": json.dumps(made), "dvc.lock": LOCK, "metrics.json": "{}", PROCESS: HASHES}
    archive = stand_in.archive(content | files)
    hub.upload(run.number, "assay-data", archive)
    return archive


def test_the_data_of_the_newest_attempt_is_fetched_and_the_token_stays_with_github(hub, api, run, tmp_path):
    hub.upload(7, "assay-data", b"an older attempt")
    hub.upload(7, "assay-pages", b"another artifact")
    data = uploaded(hub, run)
    found = fetch(api(READ), run, tmp_path / "a.zip")
    assert found == {"current": "true", "pr": "4", "poster": "cml"}
    assert (tmp_path / "a.zip").read_bytes() == data
    assert hub.leaked == []


def test_a_pull_request_from_a_fork_is_found_by_its_head(hub, api, run, tmp_path):
    hub.open_pull(9, "ann/less-noise", run.commit, source="eve/ward")
    fork = replace(run, owner="eve", source="eve/ward")
    assert fetch(api(READ), fork, tmp_path / "a.zip")["pr"] == "9"


@pytest.mark.parametrize(
    "stale",
    [{"commit": "e" * 40}, {"source": "ada/other"}, {"owner": "eve", "source": "eve/ward"}, {"branch": "other"}],
)
def test_a_run_of_another_head_is_stale(hub, api, run, tmp_path, stale):
    uploaded(hub, run)
    assert fetch(api(READ), replace(run, **stale), tmp_path / "a.zip")["current"] == "false"
    assert not (tmp_path / "a.zip").exists()


def test_a_closed_pull_request_gets_nothing(hub, api, run, tmp_path):
    hub.pulls[0]["state"] = "closed"
    assert fetch(api(READ), run, tmp_path / "a.zip")["current"] == "false"


def test_a_push_to_main_has_no_pull_request(hub, api, run, tmp_path):
    uploaded(hub, run)
    pushed = replace(run, event="push", branch="main")
    assert fetch(api(READ), pushed, tmp_path / "a.zip") == {"current": "true", "pr": "", "poster": ""}


def test_a_download_that_never_ends_is_given_up(hub, api, run):
    hub.upload(7, "assay-data", b"0" * 2000)
    number = hub.artifacts[7][0][0]["id"]
    with pytest.raises(InputError, match="larger than the limit of 1,000 bytes"):
        api(READ).download(f"actions/artifacts/{number}/zip", 1000)


def test_a_second_comment_goes_over_the_first(hub, api, run):
    assert "posted" in post(api(READ), 4, f"{MARKER} one", None)
    assert "updated" in post(api(READ), 4, f"{MARKER} two", None)
    assert hub.reports(4) == [f"{MARKER} two"]


def test_the_comment_is_found_behind_many_others_and_is_nobody_elses(hub, api, run):
    hub.say(4, f"{MARKER} I am not the bot")
    for number in range(130):
        hub.say(4, f"{number}")
    hub.say(4, "another workflow", stand_in.BOT)
    hub.say(4, f"{MARKER} one", stand_in.BOT)
    post(api(READ), 4, f"{MARKER} two", None)
    assert hub.reports(4) == ["another workflow", f"{MARKER} two"]
    assert len(hub.comments[4]) == 133


def test_cml_writes_where_it_will_find_its_comment_again(hub, api, run, tmp_path):
    def poster() -> str:
        return fetch(api(READ), run, tmp_path / "a.zip")["poster"]

    for number in range(29):
        hub.say(4, f"{number}")
    assert poster() == "cml"
    hub.say(4, "thirty")
    assert poster() == "api"
    hub.comments[4].insert(3, {"id": 1, "body": f"{MARKER} by the fallback", "user": {"login": stand_in.BOT}})
    assert poster() == "api"
    hub.comments[4][3]["body"] += '![](https://cml.dev/watermark.png#c0ffee "CML watermark assay")'
    assert poster() == "cml"
    hub.comments[4].append(hub.comments[4].pop(3))
    assert poster() == "api"


def test_who_may_not_comment_finds_it_in_the_summary(hub, api, run, tmp_path):
    said = post(api({"pull-requests": "read"}), 4, f"{MARKER} one", tmp_path / "summary.md")
    assert said.startswith("::warning::")
    assert (tmp_path / "summary.md").read_text() == f"{MARKER} one"
    assert hub.reports(4) == []
    with pytest.raises(DeniedError):
        post(api({}), 4, "x", None)


HELD = {"gate": "quality", "verdict": "HOLD", "reason": "not enough rows"}
WORSE = {"gate": "quality", "verdict": "REJECT", "reason": "worse by 0.1"}


@pytest.mark.parametrize(("changed", "state"), [((), "success"), ((HELD,), "pending"), ((WORSE,), "failure")])
def test_the_status_is_the_verdict(hub, api, run, tmp_path, changed, state):
    (tmp_path / "a.zip").write_bytes(uploaded(hub, run, *changed))
    set_status(api(READ), run, tmp_path / "a.zip")
    assert hub.state(run.commit) == state
    assert hub.statuses[run.commit][0]["target_url"] == run.url


def test_a_run_without_data_or_with_bad_data_is_an_error(hub, api, run, tmp_path):
    assert "left no data" in set_status(api(READ), run, tmp_path / "none.zip")
    (tmp_path / "a.zip").write_bytes(uploaded(hub, run, **{"../x": "y"}))
    assert "refused" in set_status(api(READ), run, tmp_path / "a.zip")
    assert [one["state"] for one in hub.statuses[run.commit]] == ["error", "error"]


def test_a_new_lock_is_committed_on_top_and_checked(hub, api, run, tmp_path):
    (tmp_path / "a.zip").write_bytes(uploaded(hub, run))
    made = commit_lock(api(WRITE), run, tmp_path / "a.zip")
    assert made == hub.run_git("rev-parse", run.branch)
    assert hub.run_git("rev-parse", f"{made}^") == run.commit
    assert hub.run_git("show", f"{made}:dvc.lock") == LOCK.strip()
    assert hub.run_git("show", f"{made}:{PROCESS}") == HASHES.strip()
    assert hub.dispatched == [("ci.yml", run.branch)]
    # The run is of the commit before; its report belongs to the pull request all the same.
    assert fetch(api(READ), run, tmp_path / "b.zip", made)["pr"] == "4"
    set_status(api(READ), run, tmp_path / "a.zip", made)
    assert hub.state(made) == hub.state(run.commit) == "success"


def test_a_lock_that_is_there_already_makes_no_commit(hub, api, run, tmp_path):
    head = commit(hub, run.branch, LOCK, run.commit)
    same = replace(run, commit=head)
    uploaded(hub, same)
    archive = tmp_path / "a.zip"
    archive.write_bytes(hub.artifacts[7][0][1])
    with zipfile.ZipFile(archive) as file:
        report_text = file.read("reports/report.json")
    archive.write_bytes(stand_in.archive({"reports/report.json": report_text, "dvc.lock": LOCK}))
    assert commit_lock(api(WRITE), same, archive) is None
    assert hub.run_git("rev-parse", run.branch) == head


def test_in_a_folder_of_a_larger_repository_the_lock_is_committed_there(hub, api, run, tmp_path, monkeypatch):
    monkeypatch.chdir(PACKAGE)
    (tmp_path / "a.zip").write_bytes(uploaded(hub, run))
    made = commit_lock(api(WRITE), run, tmp_path / "a.zip")
    files = hub.run_git("ls-tree", "-r", "--name-only", made).split()
    assert files == ["dvc.lock", *(f"packages/assay/{name}" for name in ("dvc.lock", "metrics.json", PROCESS))]


def test_a_branch_that_has_moved_stays_as_it_is(hub, api, run, tmp_path):
    (tmp_path / "a.zip").write_bytes(uploaded(hub, run))
    newer = commit(hub, run.branch, "newer", run.commit)
    with pytest.raises(InputError, match="fast forward"):
        commit_lock(api(WRITE), run, tmp_path / "a.zip")
    assert hub.run_git("rev-parse", run.branch) == newer
    assert hub.dispatched == []


@pytest.mark.parametrize("other", [{"source": "eve/ward"}, {"event": "push"}, {"branch": "main"}])
def test_nothing_is_pushed_to_a_fork_or_to_main(hub, api, run, tmp_path, other):
    (tmp_path / "a.zip").write_bytes(uploaded(hub, run))
    with pytest.raises(InputError, match="committed only to branches of this repository"):
        commit_lock(api(WRITE), replace(run, **other), tmp_path / "a.zip")
    assert hub.calls == []


@pytest.mark.parametrize(
    "files",
    [
        *({"dvc.lock": "a: [b"}, {"dvc.lock": "stages: 1"}, {"dvc.lock": "\0"}, {"metrics.json": "[]"}),
        *(
            {PROCESS: text}
            for text in ("", "train: x\n", "train: 0123456789abcdef", "train:\n  cmd: 0123456789abcdef\n")
        ),
    ],
)
def test_a_lock_that_is_none_is_refused(hub, api, run, tmp_path, files):
    (tmp_path / "a.zip").write_bytes(uploaded(hub, run, **files))
    with pytest.raises(InputError, match="does not fit the name"):
        commit_lock(api(WRITE), run, tmp_path / "a.zip")
    assert hub.run_git("rev-parse", run.branch) == run.commit


def test_one_alarm_is_one_issue_however_often_it_is_raised(hub, api):
    github = api({"issues": "write"})
    hub.issues.append({"number": 1, "title": "The night", "state": "open", "labels": [], "user": {"login": "eve"}})
    assert "opened" in raise_alarm(github, "The night", "first")
    assert "opened" in raise_alarm(github, "Another", "it")
    assert "a comment on issue" in raise_alarm(github, "The night", "second")
    assert [issue["title"] for issue in hub.issues] == ["The night", "The night", "Another"]
    assert hub.reports(hub.issues[1]["number"]) == ["second"]
    hub.issues[1]["state"] = "closed"
    assert "opened" in raise_alarm(github, "The night", "third")


def test_github_that_answers_badly_or_not_at_all_is_one_line(hub, api):
    with pytest.raises(InputError, match=r"GitHub: git/commits/x: 404 Not Found"):
        api(READ).get("git/commits/x")
    with pytest.raises(InputError, match="GitHub: pulls: ConnectError"):
        GitHub("http://127.0.0.1:9", REPOSITORY, "").get("pulls")


def test_the_run_is_read_from_the_event_and_from_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "event.json"
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(path))
    source = {"full_name": "eve/ward", "owner": {"login": "eve"}}
    about = {"id": 7, "html_url": "u", "event": "pull_request", "head_sha": "a" * 40, "head_branch": "x"}
    home = {"full_name": REPOSITORY, "default_branch": "main"}
    path.write_text(json.dumps({"workflow_run": about | {"head_repository": source}, "repository": home}))
    assert current_run() == Run(7, "u", "pull_request", "a" * 40, "x", "eve", "eve/ward", REPOSITORY, "main")
    assert not current_run().is_own
    path.write_text(json.dumps({"workflow_run": about | {"head_repository": None}, "repository": home}))
    assert not current_run().is_own
    for event in ("{", "{}", "[]"):
        path.write_text(event)
        with pytest.raises(InputError, match="not the event of a completed run"):
            current_run()
    monkeypatch.delenv("GITHUB_EVENT_PATH")
    with pytest.raises(InputError, match="run this in a GitHub workflow"):
        current_run()
