"""What a workflow proposes: parameters that the project knows, data over HTTPS, one pull request."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.base.errors import InputError
from assay.github import propose
from assay.github.api import GitHub
from assay.github.propose import Proposal
from assay.project.params import load_params
from places import ROOT
from workflows import github as stand_in

NAMES = {f"GIT_{role}_{what}": "ann@x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def test_parameters_are_set_and_comments_stay(project: Path) -> None:
    before = Path("params.yaml").read_text()
    propose.set_params("seed=7 tune.trials=9")
    now = Path("params.yaml").read_text()
    assert (load_params().seed, load_params().tune.trials) == (7, 9)
    changed = [line for line in now.splitlines() if line not in before.splitlines()]
    assert [line.split("#")[0].strip() for line in changed] == ["seed: 7", "trials: 9"]


@pytest.mark.parametrize(
    ("assignments", "said"),
    [
        ("tune.trial=7", "unknown key 'tune.trial'"),
        ("nothing.seed=7", "there is no section nothing"),
        ("tune.trials.x=7", r"there is no section tune\.trials"),
        ("seed", "not a parameter with a value"),
        ("=7", "not a parameter with a value"),
        ("seed=many", "seed"),
        ("seed=7 tune.trials=[", "not a parameter with a value"),
    ],
)
def test_what_the_project_does_not_know_is_one_line_and_changes_nothing(
    project: Path, assignments: str, said: str
) -> None:
    before = Path("params.yaml").read_text()
    with pytest.raises(InputError, match=said):
        propose.set_params(assignments)
    assert Path("params.yaml").read_text() == before


@pytest.mark.parametrize("url", ["http://x.y/data.csv", "file:///etc/passwd", "", "--help"])
def test_data_come_over_https_alone(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match="not an address that begins with https://"):
        propose.download(url, tmp_path / "data.csv")


def test_a_file_that_cannot_be_fetched_leaves_the_data_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("x")
    with pytest.raises(InputError, match=r"https://127\.0\.0\.1:9/data\.csv: "):
        propose.download("https://127.0.0.1:9/data.csv", tmp_path / "data.csv")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("data.csv", "x")]


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        (
            "https://x.y/z.csv",
            ["dvc pull --quiet data.dvc", "https://x.y/z.csv", "dvc add --quiet data", "push data.dvc"],
        ),
        # A locked `dvc import`.
        ("", ["dvc update --quiet data.dvc", "push data.dvc"]),
    ],
)
def test_new_data_take_the_place_of_the_old(
    project: Path, monkeypatch: pytest.MonkeyPatch, url: str, asked: list[str]
) -> None:
    said: list[str] = []
    shutil.copy(ROOT / "contract.yaml", project)
    monkeypatch.setattr(propose, "run", lambda *command: said.append(" ".join(command)))
    monkeypatch.setattr(propose, "download", lambda url, path: said.append(url))
    monkeypatch.setattr(propose, "push", lambda limit, *targets: said.append(f"push {' '.join(targets)}"))
    propose.replace_data(url)
    assert said == asked


@pytest.fixture
def hub(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Iterator[stand_in.GitHub]:
    """A repository on GitHub, and a clone of it in the current folder."""
    git = tmp_path_factory.mktemp("hub") / "remote.git"
    for command in (
        ["git", "init", "--quiet", "--bare", "--initial-branch", "main", str(git)],
        ["git", "init", "--quiet", "--initial-branch", "main"],
        ["git", "add", "--all"],
        ["git", "commit", "--quiet", "--message", "x"],
        ["git", "remote", "add", "origin", str(git)],
        ["git", "push", "--quiet", "origin", "main"],
    ):
        subprocess.run(command, check=True, env={"PATH": "/usr/bin:/bin", **NAMES})
    with stand_in.running(stand_in.GitHub(git)) as made:
        yield made
    assert made.violations == []


def proposed(hub: stand_in.GitHub, branch: str = "assay/proposed-7", **changes: Any) -> str:
    token = hub.token({"contents": "write", "pull-requests": "write"})
    proposal = Proposal("Other parameters", "main", branch, **changes)
    return propose.propose(GitHub(hub.url, stand_in.REPOSITORY, token), proposal, token)


def test_a_change_becomes_a_pull_request_and_nothing_becomes_none(hub: stand_in.GitHub) -> None:
    assert "nothing changed" in proposed(hub)
    assert hub.pulls == []
    propose.set_params("seed=7")
    assert "was opened" in proposed(hub)
    (pull,) = hub.pulls
    assert (pull["title"], pull["base"]["ref"], pull["head"]["ref"]) == ("Other parameters", "main", "assay/proposed-7")
    assert hub.run_git("diff", "--name-only", "main", pull["head"]["sha"]) == "params.yaml"


def again(seed: int) -> None:
    """Start from main, as every run does, and change a parameter."""
    subprocess.run(["git", "reset", "--quiet", "--hard", "origin/main"], check=True)
    propose.set_params(f"seed={seed}")


def test_a_branch_has_one_pull_request_which_is_updated(hub: stand_in.GitHub) -> None:
    for seed, said in ((7, "was opened"), (7, "has these changes already"), (8, "was updated"), (9, "was updated")):
        again(seed)
        assert said in proposed(hub, body=f"Seed {seed}")
    (pull,) = hub.pulls
    assert pull["body"] == "Seed 9"
    assert hub.run_git("rev-parse", "refs/heads/assay/proposed-7") == pull["head"]["sha"]
    assert "seed: 9" in hub.run_git("show", f"{pull['head']['sha']}:params.yaml")
    # One commit on top of main.
    assert hub.run_git("rev-parse", f"{pull['head']['sha']}^") == hub.run_git("rev-parse", "main")


def test_a_pull_request_that_is_closed_stays_closed_and_another_is_opened(hub: stand_in.GitHub) -> None:
    again(7)
    proposed(hub)
    hub.pulls[0]["state"] = "closed"
    again(8)
    assert "was opened" in proposed(hub)
    assert [one["state"] for one in hub.pulls] == ["closed", "open"]


def test_what_somebody_has_added_to_the_branch_is_not_lost(hub: stand_in.GitHub) -> None:
    again(7)
    proposed(hub)
    head = hub.pulls[0]["head"]["sha"]
    theirs = hub.run_git("commit-tree", f"{head}^{{tree}}", "-p", head, "-m", "Mine", **NAMES)
    hub.run_git("update-ref", "refs/heads/assay/proposed-7", theirs)
    hub.pulls[0]["head"]["sha"] = theirs
    again(8)
    assert "has commits of somebody else: it stays as it is" in proposed(hub)
    assert hub.run_git("rev-parse", "refs/heads/assay/proposed-7") == theirs


def test_only_the_files_that_are_meant_are_proposed(hub: stand_in.GitHub) -> None:
    Path("key").write_text("secret")
    assert "nothing changed" in proposed(hub, files=("params.yaml", "data.dvc"))
    propose.set_params("seed=7")
    assert "was opened" in proposed(hub, files=("params.yaml", "data.dvc"))
    assert hub.run_git("diff", "--name-only", "main", hub.pulls[0]["head"]["sha"]) == "params.yaml"
