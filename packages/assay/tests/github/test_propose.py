"""What a workflow proposes: parameters that the project knows, data over HTTPS, one pull request."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.base.errors import InputError
from assay.github import propose
from assay.github.api import GitHub
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


def test_a_change_becomes_a_pull_request_and_nothing_becomes_none(hub: stand_in.GitHub) -> None:
    token = hub.token({"contents": "write", "pull-requests": "write"})
    github = GitHub(hub.url, stand_in.REPOSITORY, token)
    assert "nothing changed" in propose.propose(github, "Other parameters", "main", "7", token)
    assert hub.pulls == []
    propose.set_params("seed=7")
    assert "was opened" in propose.propose(github, "Other parameters", "main", "7", token)
    (pull,) = hub.pulls
    assert (pull["title"], pull["base"]["ref"], pull["head"]["ref"]) == ("Other parameters", "main", "assay/proposed-7")
    assert hub.run_git("diff", "--name-only", "main", pull["head"]["sha"]) == "params.yaml"
