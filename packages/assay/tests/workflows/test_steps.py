"""The steps of report.yml against the stand-in of GitHub."""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace

import pytest

from assay.base.errors import InputError
from assay.github.api import PAUSES, DeniedError, GitHub
from assay.github.comment import MARKER
from assay.github.event import Run, current_run
from assay.github.lock import commit_lock, forget_waiting_runs
from assay.github.steps import fetch, is_to_release, post, raise_alarm, set_status
from places import PACKAGE, ROOT
from reports import promoted
from workflows import github as stand_in

READ = {"actions": "read", "contents": "read", "pull-requests": "write", "statuses": "write"}
WRITE = {"actions": "write", "contents": "write", "pull-requests": "read"}
LOCK = "schema: '2.0'\nstages:\n  train:\n    cmd: assay stage train\n"
PROCESS = "requirements/process.yaml"
HASHES = '# Written by Assay.\ntrain: "0123456789abcdef"\na_newer_part: 0123456789abcdef\n'
REPOSITORY = stand_in.REPOSITORY
NAMES = {f"GIT_{role}_{what}": "ann@x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def commit(hub: stand_in.GitHub, branch: str, content: str = "x", parent: str = "") -> str:
    """Push a commit with a dvc.lock to a branch; return it."""
    blob = hub.run_git("hash-object", "-w", "--stdin", given=content)
    tree = hub.run_git("mktree", given=f"100644 blob {blob}\tdvc.lock\n")
    made = hub.run_git("commit-tree", tree, "-m", "x", *(["-p", parent] if parent else []), **NAMES)
    hub.run_git("update-ref", f"refs/heads/{branch}", made)
    return made


@pytest.fixture
def waited() -> list[float]:
    """The seconds that were waited for GitHub."""
    return []


@pytest.fixture
def api(hub: stand_in.GitHub, waited: list[float]) -> Callable[[dict[str, str]], GitHub]:
    return lambda permissions: GitHub(hub.url, REPOSITORY, hub.token(permissions), waited.append)


@pytest.fixture
def run(hub: stand_in.GitHub, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of the pull request 4 from a branch of the repository, which is the project."""
    monkeypatch.chdir(ROOT)
    head = commit(hub, "ann/less-noise", parent=commit(hub, "main"))
    hub.open_pull(4, "ann/less-noise", head)
    url = "https://github.com/ada/ward/actions/runs/7"
    return Run(7, url, "pull_request", head, "ann/less-noise", "ada", REPOSITORY, REPOSITORY, "main")


def uploaded(hub: stand_in.GitHub, run: Run, *changed: dict, base: str = "", **files: str) -> bytes:
    """Let a run leave its data: every gate passed but those that are given, compared with `base`, by default main."""
    made = promoted(run.commit, base or hub.run_git("merge-base", "main", run.commit), *changed)
    content = {"reports/report.json": json.dumps(made), "dvc.lock": LOCK, "metrics.json": "{}", PROCESS: HASHES}
    archive = stand_in.archive(content | files)
    hub.upload(run.number, "assay-data", archive)
    return archive


def test_the_data_of_the_newest_attempt_is_fetched_and_the_token_stays_with_github(hub, api, run, tmp_path):
    hub.upload(7, "assay-data", b"an older attempt")
    hub.upload(7, "assay-pages", b"another artifact")
    data = uploaded(hub, run)
    found = fetch(api(READ), run, tmp_path / "a.zip")
    assert found == {"pr": "4", "prs": "4", "poster": "cml", "finished": "true"}
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
    assert fetch(api(READ), replace(run, **stale), tmp_path / "a.zip")["pr"] == ""
    assert not (tmp_path / "a.zip").exists()


def test_a_closed_pull_request_gets_nothing(hub, api, run, tmp_path):
    hub.pulls[0]["state"] = "closed"
    assert fetch(api(READ), run, tmp_path / "a.zip")["pr"] == ""
    assert "no status" in set_status(api(READ), run, tmp_path / "a.zip")


def test_a_download_that_never_ends_is_given_up(hub, api, run):
    hub.upload(7, "assay-data", b"0" * 2000)
    number = hub.artifacts[7][0][0]["id"]
    with pytest.raises(InputError, match="larger than the limit of 1,000 bytes"):
        api(READ).download(f"actions/artifacts/{number}/zip", 1000)


def test_a_second_comment_goes_over_the_first(hub, api, run):
    assert "posted" in post(api(READ), [4], f"{MARKER} one", None)
    assert "updated" in post(api(READ), [4], f"{MARKER} two", None)
    assert hub.reports(4) == [f"{MARKER} two"]


def test_what_cml_has_posted_is_left_alone(hub, api, run):
    mark = '\n\n![](https://cml.dev/watermark.png#c0ffee "CML watermark assay")'
    hub.say(4, f"{MARKER} one{mark}", stand_in.BOT)
    assert post(api(READ), [4], f"{MARKER} one\n", None) == "the comment on #4 is there"
    assert hub.reports(4) == [f"{MARKER} one{mark}"]


def test_the_comment_is_found_behind_many_others_and_is_nobody_elses(hub, api, run):
    hub.say(4, f"{MARKER} I am not the bot")
    for number in range(130):
        hub.say(4, f"{number}")
    hub.say(4, "another workflow", stand_in.BOT)
    hub.say(4, f"{MARKER} one", stand_in.BOT)
    post(api(READ), [4], f"{MARKER} two", None)
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


@pytest.mark.parametrize("own_first", [None, True, False])
def test_cml_does_not_write_where_a_stranger_bears_its_mark(hub, api, run, tmp_path, own_first):
    # It would edit the last comment with its mark, whoever wrote it.
    mark = '![](https://cml.dev/watermark.png#c0ffee "CML watermark assay")'
    for author in {None: ["eve"], True: [stand_in.BOT, "eve"], False: ["eve", stand_in.BOT]}[own_first]:
        hub.say(4, f"{MARKER} {mark}", author)
    # The last of them is its own.
    assert fetch(api(READ), run, tmp_path / "a.zip")["poster"] == ("cml" if own_first is False else "api")
    post(api(READ), [4], f"{MARKER} two", None)
    strangers = [one["body"] for one in hub.comments[4] if one["user"]["login"] == "eve"]
    assert strangers == [f"{MARKER} {mark}"]


def test_who_may_not_comment_finds_it_in_the_summary(hub, api, run, tmp_path):
    said = post(api({"pull-requests": "read"}), [4], f"{MARKER} one", tmp_path / "summary.md")
    assert said.startswith("::warning::")
    assert (tmp_path / "summary.md").read_text() == f"{MARKER} one"
    assert hub.reports(4) == []
    with pytest.raises(DeniedError):
        post(api({}), [4], "x", None)


HELD = {"gate": "quality", "verdict": "HOLD", "reason": "not enough rows"}
WORSE = {"gate": "quality", "verdict": "REJECT", "reason": "worse by 0.1"}


@pytest.mark.parametrize(("changed", "state"), [((), "success"), ((HELD,), "pending"), ((WORSE,), "failure")])
def test_the_status_is_the_verdict(hub, api, run, tmp_path, changed, state):
    uploaded(hub, run, *changed)
    set_status(api(READ), run, tmp_path / "a.zip")
    assert hub.state(run.commit) == state
    assert hub.statuses[run.commit][0]["target_url"] == run.url


def test_a_run_without_data_or_with_bad_data_is_an_error(hub, api, run, tmp_path):
    assert "left no data" in set_status(api(READ), run, tmp_path / "none.zip")
    uploaded(hub, run, **{"../x": "y"})
    assert "refused" in set_status(api(READ), run, tmp_path / "a.zip")
    assert [one["state"] for one in hub.statuses[run.commit]] == ["error", "error"]


@pytest.fixture
def lenient(hub: stand_in.GitHub, run: Run) -> str:
    """A branch with gates that let everything pass, on which the head of the pull request 4 stands; its commit."""
    hub.run_git("update-ref", "refs/heads/lenient", run.commit)
    head = commit(hub, run.branch, "more", run.commit)
    hub.pulls[0] |= {"head": hub.pulls[0]["head"] | {"sha": head}, "base": {"ref": "lenient"}}
    return run.commit


def test_a_verdict_on_another_base_sets_no_status_and_none_is_left_when_the_base_changes(
    hub, api, run, lenient, tmp_path
):
    run = replace(run, commit=hub.run_git("rev-parse", run.branch))
    uploaded(hub, run, base=lenient)
    assert fetch(api(READ), run, tmp_path / "a.zip")["pr"] == "4"
    assert "no status" in set_status(api(READ), run, tmp_path / "a.zip")
    assert hub.statuses == {}
    # GitHub lets the author choose another base at any time, before or after the verdict.
    hub.pulls[0]["base"] = {"ref": "main"}
    assert fetch(api(READ), run, tmp_path / "a.zip")["pr"] == ""
    set_status(api(READ), run, tmp_path / "a.zip")
    assert hub.state(run.commit) == "error"
    assert "another commit than the base" in hub.statuses[run.commit][0]["description"]


def test_two_pull_requests_of_one_head_have_each_their_own_verdict(hub, api, run, lenient, tmp_path):
    run = replace(run, commit=hub.run_git("rev-parse", run.branch))
    hub.open_pull(5, run.branch, run.commit)
    rejected, promoted = replace(run, number=8), replace(run, number=9)
    uploaded(hub, rejected, WORSE)
    uploaded(hub, promoted, base=lenient)
    found = {}
    for one in (rejected, promoted):
        found[one.number] = fetch(api(READ), one, tmp_path / f"{one.number}.zip")["prs"]
        set_status(api(READ), one, tmp_path / f"{one.number}.zip")
    assert found == {8: "5", 9: "4"}
    assert [one["state"] for one in hub.statuses[run.commit]] == ["failure"]


def test_one_verdict_on_two_bases_with_the_same_commit_counts_for_both(hub, api, run, tmp_path):
    hub.run_git("update-ref", "refs/heads/same", "main")
    hub.open_pull(5, run.branch, run.commit, base="same")
    uploaded(hub, run)
    assert fetch(api(READ), run, tmp_path / "a.zip")["prs"] == "4 5"
    post(api(READ), [4, 5], f"{MARKER} one", None)
    assert hub.reports(4) == hub.reports(5) == [f"{MARKER} one"]


def test_a_default_branch_may_have_any_name(hub, api, run, tmp_path):
    hub.run_git("update-ref", "refs/heads/trunk", "main")
    hub.pulls[0]["base"] = {"ref": "trunk"}
    uploaded(hub, run)
    set_status(api(READ), replace(run, main="trunk"), tmp_path / "a.zip")
    assert hub.state(run.commit) == "success"


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"event": "push", "branch": "main"}, "success"),
        ({"event": "push"}, None),
        ({"event": "workflow_dispatch", "branch": "main"}, None),
        ({"event": "push", "branch": "main", "source": "eve/ward"}, None),
        ({"event": "merge_group", "branch": "gh-readonly-queue/main/pr-4-{main}"}, "success"),
        ({"event": "merge_group", "branch": f"gh-readonly-queue/main/pr-4-{'e' * 40}"}, "error"),
        ({"event": "merge_group", "branch": "gh-readonly-queue/lenient/pr-4-{main}"}, None),
        # Whoever may push can name a branch like this.
        ({"event": "push", "branch": "gh-readonly-queue/main/pr-4-{main}"}, None),
    ],
)
def test_main_and_its_merge_queue_have_a_status_and_no_comment(hub, api, run, tmp_path, changes, state):
    hub.pulls.clear()
    uploaded(hub, run)
    branch = changes.get("branch", run.branch).replace("{main}", hub.run_git("rev-parse", "main"))
    ran = replace(run, **changes | {"branch": branch})
    assert fetch(api(READ), ran, tmp_path / "a.zip")["prs"] == ""
    set_status(api(READ), ran, tmp_path / "a.zip")
    assert hub.state(run.commit) == state


@pytest.mark.parametrize(("changed", "state"), [((HELD,), "failure"), ((WORSE,), "failure"), ((), "success")])
def test_a_merge_queue_does_not_wait_for_people(hub, api, run, tmp_path, changed, state):
    uploaded(hub, run, *changed)
    branch = f"gh-readonly-queue/main/pr-4-{hub.run_git('rev-parse', 'main')}"
    set_status(api(READ), replace(run, event="merge_group", branch=branch), tmp_path / "a.zip")
    assert hub.state(run.commit) == state


@pytest.mark.parametrize(
    ("conclusion", "said"),
    [
        ("cancelled", ("error", "train was cancelled, or took longer than its limit; run it again")),
        ("timed_out", ("error", "train took longer than its limit; run it again")),
        ("startup_failure", ("error", "train did not start, because its workflow file is invalid; see the run")),
        ("stale", ("error", "train ended without a result; run it again")),
        ("action_required", ("pending", "train waits until a maintainer approves its run")),
        ("skipped", ("pending", "train was skipped by a condition of its workflow")),
    ],
)
def test_a_run_without_an_end_is_told_of_as_such(hub, api, run, tmp_path, conclusion, said):
    ran = replace(run, conclusion=conclusion)
    assert fetch(api(READ), ran, tmp_path / "a.zip") == {"pr": "4", "prs": "4", "poster": "cml", "finished": "false"}
    set_status(api(READ), ran, tmp_path / "a.zip")
    assert [(one["state"], one["description"]) for one in hub.statuses[run.commit]] == [said]


@pytest.mark.parametrize("conclusion", ["action_required", "skipped"])
def test_a_run_that_waits_takes_no_verdict_away(hub, api, run, tmp_path, conclusion):
    uploaded(hub, run)
    set_status(api(READ), run, tmp_path / "a.zip")
    set_status(api(READ), replace(run, conclusion=conclusion), tmp_path / "a.zip")
    assert hub.state(run.commit) == "success"


def test_a_run_that_was_ended_for_a_newer_one_says_nothing(hub, api, run, tmp_path):
    ended = replace(run, conclusion="cancelled", number=hub.note_run("train.yml", run.commit))
    hub.note_run("train.yml", run.commit, status="in_progress", conclusion=None)
    ended = replace(ended, workflow="train.yml")
    assert fetch(api(READ), ended, tmp_path / "a.zip")["pr"] == ""
    set_status(api(READ), ended, tmp_path / "a.zip")
    assert hub.statuses == {}


def test_the_status_is_pending_while_the_first_run_goes_on(hub, api, run, tmp_path):
    goes_on = replace(run, conclusion="")
    set_status(api(READ), goes_on, tmp_path / "a.zip")
    assert hub.state(run.commit) == "pending"
    uploaded(hub, run)
    set_status(api(READ), run, tmp_path / "a.zip")
    set_status(api(READ), goes_on, tmp_path / "a.zip")
    assert hub.state(run.commit) == "success"
    hub.pulls[0]["base"] = {"ref": "lenient"}
    set_status(api(READ), replace(goes_on, commit="e" * 40), tmp_path / "a.zip")
    assert list(hub.statuses) == [run.commit]


@pytest.mark.parametrize(("changed", "is_released"), [((), True), ((HELD,), False), ((WORSE,), False)])
def test_what_is_released_was_promoted_and_is_the_newest_of_main(hub, api, run, tmp_path, changed, is_released):
    uploaded(hub, run, *changed)
    ran = replace(run, event="push", branch="main")
    assert is_to_release(api(READ), ran, tmp_path / "a.zip", run.commit) is is_released
    assert not is_to_release(api(READ), ran, tmp_path / "a.zip", "e" * 40)


def test_a_new_lock_is_committed_on_top_and_checked(hub, api, run, tmp_path):
    uploaded(hub, run)
    found = commit_lock(api(WRITE), run, tmp_path / "a.zip")
    made = found["commit"]
    assert found["checks"] == "started"
    assert made == hub.run_git("rev-parse", run.branch)
    assert hub.run_git("rev-parse", f"{made}^") == run.commit
    assert hub.run_git("show", f"{made}:dvc.lock") == LOCK.strip()
    assert hub.run_git("show", f"{made}:{PROCESS}") == HASHES.strip()
    assert hub.dispatched == [("ci.yml", run.branch)]
    # The run judged the previous commit; its report still belongs to the pull request.
    assert fetch(api(READ), run, tmp_path / "b.zip", made)["pr"] == "4"
    set_status(api(READ), run, tmp_path / "a.zip", made)
    assert hub.state(made) == hub.state(run.commit) == "success"


def test_a_run_of_all_jobs_again_finds_the_commit_of_the_first_time(hub, api, run, tmp_path):
    uploaded(hub, run)
    first = commit_lock(api(WRITE), run, tmp_path / "a.zip")
    hub.note_run("ci.yml", first["commit"], event="workflow_dispatch")
    assert commit_lock(api(WRITE), run, tmp_path / "a.zip") == first
    # Its checks ran: there are not two of them.
    assert len(hub.dispatched) == 1


def test_a_commit_on_top_with_other_files_is_none_of_ours(hub, api, run, tmp_path):
    uploaded(hub, run)
    first = commit_lock(api(WRITE), run, tmp_path / "a.zip")["commit"]
    words = hub.run_git("log", "-1", "--format=%B", first)
    other = hub.run_git("commit-tree", f"{run.commit}^{{tree}}", "-p", run.commit, "-m", words, **NAMES)
    hub.run_git("update-ref", f"refs/heads/{run.branch}", other)
    hub.pulls[0]["head"]["sha"] = other
    assert commit_lock(api(WRITE), run, tmp_path / "a.zip") == {"commit": "", "checks": ""}
    assert "no status" in set_status(api(READ), run, tmp_path / "a.zip")


def test_where_the_checks_of_the_lock_do_not_start_the_status_says_what_to_do(hub, api, run, tmp_path):
    uploaded(hub, run)
    hub.failing["POST actions/workflows/ci.yml"] = [stand_in.Answer(403, "Resource not accessible by integration")]
    found = commit_lock(api(WRITE), run, tmp_path / "a.zip")
    assert found == {"commit": hub.run_git("rev-parse", run.branch), "checks": "failed"}
    set_status(api(READ), run, tmp_path / "a.zip", refreshed=found["commit"], checks=found["checks"])
    (status,) = hub.statuses[found["commit"]]
    assert status["state"] == "success"
    assert status["description"].startswith("ci did not start: start it on this branch")
    # Run again, when ci may be started.
    assert commit_lock(api(WRITE), run, tmp_path / "a.zip") == {**found, "checks": "started"}


def test_the_runs_that_wait_for_approval_of_the_lock_are_deleted_and_no_others(hub, api, run):
    bot = {"actor": {"login": stand_in.BOT}}
    hub.note_run("train.yml", run.commit, conclusion="action_required", **bot)
    hub.note_run("ci.yml", run.commit, conclusion="action_required", **bot)
    # A pull request that a workflow opened waits for somebody: its checks were not started.
    forget_waiting_runs(api(WRITE), run)
    assert len(hub.runs) == 2
    kept = [
        hub.note_run("ci.yml", run.commit, event="workflow_dispatch", **bot),
        hub.note_run("ci.yml", run.commit, conclusion="action_required"),
        hub.note_run("ci.yml", "e" * 40, conclusion="action_required", **bot),
    ]
    forget_waiting_runs(api(WRITE), run)
    assert [one["id"] for one in hub.runs] == kept


def test_a_lock_that_is_there_already_makes_no_commit(hub, api, run, tmp_path):
    head = commit(hub, run.branch, LOCK, run.commit)
    hub.pulls[0]["head"]["sha"] = head
    same = replace(run, commit=head)
    with zipfile.ZipFile(io.BytesIO(uploaded(hub, same))) as file:
        report_text = file.read("reports/report.json")
    hub.artifacts.clear()
    hub.upload(7, "assay-data", stand_in.archive({"reports/report.json": report_text, "dvc.lock": LOCK}))
    assert commit_lock(api(WRITE), same, tmp_path / "a.zip") == {"commit": "", "checks": ""}
    assert hub.run_git("rev-parse", run.branch) == head


def test_in_a_folder_of_a_larger_repository_the_lock_is_committed_there(hub, api, run, tmp_path, monkeypatch):
    monkeypatch.chdir(PACKAGE)
    uploaded(hub, run)
    made = commit_lock(api(WRITE), run, tmp_path / "a.zip")["commit"]
    files = hub.run_git("ls-tree", "-r", "--name-only", made).split()
    assert files == ["dvc.lock", *(f"packages/assay/{name}" for name in ("dvc.lock", "metrics.json", PROCESS))]


def test_a_branch_that_has_moved_stays_as_it_is(hub, api, run, tmp_path):
    uploaded(hub, run)
    newer = commit(hub, run.branch, "newer", run.commit)
    with pytest.raises(InputError, match="fast forward"):
        commit_lock(api(WRITE), run, tmp_path / "a.zip")
    assert hub.run_git("rev-parse", run.branch) == newer
    assert hub.dispatched == []


@pytest.mark.parametrize("other", [{"source": "eve/ward"}, {"event": "push"}, {"branch": "main"}])
def test_nothing_is_pushed_to_a_fork_or_to_main(hub, api, run, tmp_path, other):
    uploaded(hub, run)
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
    uploaded(hub, run, **files)
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


def test_github_that_answers_badly_or_not_at_all_is_one_line(hub, api, waited):
    with pytest.raises(InputError, match=r"GitHub: git/commits/x: 404 Not Found"):
        api(READ).get("git/commits/x")
    assert waited == []
    with pytest.raises(InputError, match="GitHub: pulls: ConnectError"):
        GitHub("http://127.0.0.1:9", REPOSITORY, "", waited.append).get("pulls")
    assert waited == list(PAUSES)


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (stand_in.Answer(502), 1),
        (stand_in.Answer(503), 1),
        (stand_in.Answer(429, "Too Many Requests"), 60),
        (stand_in.Answer(403, "You have exceeded a secondary rate limit"), 60),
        (stand_in.Answer(403, "You have exceeded a secondary rate limit", Retry_After="7"), 7),
        (stand_in.Answer(403, "API rate limit exceeded", X_RateLimit_Remaining="0", X_RateLimit_Reset="1"), 1),
    ],
)
def test_a_hiccup_loses_nothing(hub, api, waited, answer, seconds):
    hub.failing["POST statuses"] = [answer]
    body = {"state": "success", "context": "assay", "description": "", "target_url": "https://x.y"}
    api(READ).send("POST", f"statuses/{'e' * 40}", body)
    assert hub.state("e" * 40) == "success"
    assert waited == [seconds]


def test_patience_has_a_bound(hub, api, waited):
    limited = [stand_in.Answer(403, "secondary rate limit", Retry_After="50") for _ in range(9)]
    hub.failing["GET pulls"] = list(limited)
    with pytest.raises(InputError, match="secondary rate limit; wait, then run the failed jobs again") as caught:
        api(READ).get("pulls")
    assert not isinstance(caught.value, DeniedError)
    assert waited == [50, 50]
    hub.failing["GET pulls"] = [stand_in.Answer(429, Retry_After="3600")]
    with pytest.raises(InputError, match="429"):
        api(READ).get("pulls")
    assert waited == [50, 50]


def test_a_comment_that_github_posted_without_saying_so_is_not_posted_twice(hub, api, run, monkeypatch):
    posted = stand_in._comment

    def posts_and_fails(hub, query, body, number):
        posted(hub, query, body, number)
        raise stand_in.Answer(502)

    routes = [(*route[:3], posts_and_fails if route[3] is posted else route[3], route[4]) for route in stand_in.ROUTES]
    monkeypatch.setattr(stand_in, "ROUTES", routes)
    assert post(api(READ), [4], f"{MARKER} one", None) == "the comment on #4 is there"
    assert hub.reports(4) == [f"{MARKER} one"]


def test_the_run_is_read_from_the_event_and_from_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "event.json"
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(path))
    source = {"full_name": "eve/ward", "owner": {"login": "eve"}}
    about = {"id": 7, "html_url": "u", "event": "pull_request", "head_sha": "a" * 40, "head_branch": "x"}
    about |= {"conclusion": "timed_out", "workflow_id": 3}
    home = {"full_name": REPOSITORY, "default_branch": "main"}
    path.write_text(json.dumps({"workflow_run": about | {"head_repository": source}, "repository": home}))
    names = ("x", "eve", "eve/ward", REPOSITORY, "main")
    assert current_run() == Run(7, "u", "pull_request", "a" * 40, *names, "timed_out", 3)
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
