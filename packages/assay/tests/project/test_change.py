from pathlib import Path

import pytest

from assay.base.errors import InputError
from assay.project.change import Change, NoChampion, resolve
from patients import contract
from project.repositories import commit, git, lose

LOCK = "schema: '2.0'\nstages:\n  train:\n    cmd: x\n"
CONTRACT = contract()
ABOUT_ANOTHER_PROBLEM = "target: {name: price}\ncolumns: {rooms: {}, street: {}}\n"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch", "main")
    return tmp_path


def test_a_change_of_a_commit_with_a_model_has_that_as_its_champion(repository):
    start = commit("dvc.lock", LOCK)
    git("switch", "--quiet", "--create", "change")
    now = commit("params.yaml", "seed: 1\n")
    Path("new").write_text("1")
    assert resolve(None, CONTRACT) == Change(now, start, start, None, ("new", "params.yaml"))


def test_a_commit_without_a_trained_model_is_no_champion(repository):
    start = commit("params.yaml", "seed: 1\n")
    assert resolve(None, CONTRACT) == Change(start, start, None, NoChampion.NO_MODEL, ())
    start = commit("dvc.lock", "schema: '2.0'\nstages:\n  validate:\n    cmd: x\n")
    assert resolve(None, CONTRACT) == Change(start, start, None, NoChampion.NO_MODEL, ())


def test_a_model_of_another_problem_is_no_champion(repository):
    Path("contract.yaml").write_text(ABOUT_ANOTHER_PROBLEM)
    start = commit("dvc.lock", LOCK)
    change = resolve(None, CONTRACT)
    assert (change.start, change.champion, change.is_new_problem) == (start, None, True)


def test_before_the_first_commit_and_outside_of_git_nothing_is_compared(repository, tmp_path_factory, monkeypatch):
    nothing = Change(None, None, None, NoChampion.NO_COMMIT, ())
    assert resolve(None, CONTRACT) == nothing
    monkeypatch.chdir(tmp_path_factory.mktemp("outside"))
    assert resolve(None, CONTRACT) == nothing


def test_a_first_push_starts_from_no_commit(repository):
    now = commit("dvc.lock", LOCK)
    assert resolve("0" * 40, CONTRACT) == Change(now, None, None, NoChampion.NO_START, ())


def test_a_repository_that_git_refuses_is_no_first_model(repository, monkeypatch):
    commit("dvc.lock", LOCK)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(InputError, match=r"dubious ownership.* safe\.directory"):
        resolve(None, CONTRACT)


@pytest.mark.parametrize("name", ["HEAD", "HEAD:dvc.lock", "HEAD^{tree}"])
def test_a_repository_that_lacks_objects_is_no_first_model(repository, name):
    commit("dvc.lock", LOCK)
    lose(name)
    with pytest.raises(InputError, match=r"^git "):
        resolve(None, CONTRACT)


def test_a_shallow_clone_that_lacks_the_start_is_no_first_model(repository, tmp_path_factory, monkeypatch):
    commit("dvc.lock", LOCK)
    git("switch", "--quiet", "--create", "change")
    commit("params.yaml", "seed: 1\n")
    clone = tmp_path_factory.mktemp("shallow")
    git("clone", "--quiet", "--depth", "1", "--no-single-branch", repository.as_uri(), str(clone))
    monkeypatch.chdir(clone)
    with pytest.raises(InputError, match="no commit in common; the clone is shallow: run `git fetch --unshallow`"):
        resolve("origin/main", CONTRACT)
