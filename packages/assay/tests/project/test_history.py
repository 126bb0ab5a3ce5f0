from pathlib import Path

import pytest

from assay.base.errors import InputError
from assay.project.history import (
    base_commit,
    changed_lines,
    dirty_files,
    file_at,
    files_at,
    head,
    last_release,
    subjects,
    tags,
)
from project.repositories import commit, git, lose


@pytest.fixture(params=[".", "projects/ours"])
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A repository; its project is the current folder, at the top or in a folder of it."""
    git("init", "--quiet", "--initial-branch", "main", folder=tmp_path)
    project = tmp_path / request.param
    project.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(project)
    return tmp_path


def test_outside_a_repository_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert head() is None
    assert base_commit(None) is None


def test_before_the_first_commit_there_is_none(repository):
    assert head() is None
    assert base_commit(None) is None
    assert tags() == []


def test_a_commit_that_is_checked_out_without_a_branch_is_known(repository):
    first = commit("a", "1")
    git("checkout", "--quiet", "--detach")
    assert head() == first


def test_a_repository_that_git_refuses_is_an_error_in_one_line_with_the_remedy(repository, monkeypatch):
    commit("a", "1")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    for ask in (head, dirty_files, tags, lambda: base_commit(None), lambda: file_at("HEAD", Path("a"))):
        with pytest.raises(InputError, match=r"dubious ownership.* git config --global --add safe\.directory") as error:
            ask()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["", "junk\n"])
def test_a_branch_that_is_torn_is_not_taken_for_one_without_commits(repository, content):
    commit("a", "1")
    (repository / ".git/refs/heads/main").write_text(content)
    with pytest.raises(InputError, match="git symbolic-ref: No such ref: HEAD"):
        head()


def test_a_folder_of_git_that_is_torn_is_not_taken_for_none(repository):
    (repository / ".git/HEAD").unlink()
    with pytest.raises(InputError, match="not a git repository"):
        head()


def test_a_commit_that_is_missing_is_an_error(repository):
    first = commit("a", "1")
    lose(first)
    with pytest.raises(InputError, match=first):
        head()


def test_content_that_is_missing_is_no_missing_file(repository):
    first = commit("a", "1")
    lose(f"{first}:./a")
    with pytest.raises(InputError, match="git cat-file: "):
        file_at(first, Path("a"))
    with pytest.raises(InputError, match="git ls-tree: "):
        file_at("f" * 40, Path("a"))
    with pytest.raises(InputError, match="git ls-tree: "):
        files_at("f" * 40, Path("a"))


def test_without_git_an_error_says_so(repository, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="git: not installed"):
        head()


def test_the_last_release_is_the_highest_version_behind_a_commit(repository):
    commit("a", "1")
    assert last_release() is None
    for tag in ("v1.9.0", "v1.10.0", "v2", "later"):
        git("tag", tag)
    assert last_release() == "v1.10.0"


def test_a_change_is_compared_with_where_it_left_main(repository):
    left = commit("a", "1")
    git("switch", "--quiet", "--create", "change")
    commit("b", "1")
    git("switch", "--quiet", "main")
    commit("c", "1")
    git("switch", "--quiet", "change")
    assert base_commit(None) == left
    assert base_commit("HEAD~1") == left


def test_on_main_it_is_compared_with_what_was_pushed(repository, tmp_path_factory, monkeypatch):
    pushed = commit("a", "1")
    clone = tmp_path_factory.mktemp("clone")
    git("clone", "--quiet", str(repository), str(clone))
    monkeypatch.chdir(clone)
    commit("b", "1")
    assert base_commit(None) == pushed


def test_a_base_that_does_not_exist_is_an_error(repository):
    commit("a", "1")
    with pytest.raises(InputError, match="there is no commit 'nowhere'"):
        base_commit("nowhere")


@pytest.mark.parametrize("name", ["--all", "-h", "x; echo y"])
def test_a_base_is_never_an_option_or_a_command(repository, name):
    commit("a", "1")
    with pytest.raises(InputError, match="there is no commit"):
        base_commit(name)


def test_without_a_main_branch_a_base_has_to_be_named(repository):
    commit("a", "1")
    git("branch", "--move", "trunk")
    with pytest.raises(InputError, match="no main branch"):
        base_commit(None)
    assert base_commit("trunk") == head()


def test_a_shallow_clone_says_how_to_get_the_rest(repository, tmp_path_factory, monkeypatch):
    first = commit("a", "1")
    commit("a", "2")
    clone = tmp_path_factory.mktemp("shallow")
    git("clone", "--quiet", "--depth", "1", repository.as_uri(), str(clone))
    monkeypatch.chdir(clone)
    with pytest.raises(InputError, match="shallow: run `git fetch --unshallow`"):
        base_commit(first)


def test_branches_with_nothing_in_common_are_an_error(repository):
    commit("a", "1")
    git("switch", "--quiet", "--orphan", "other")
    commit("b", "1")
    with pytest.raises(InputError, match="no commit in common"):
        base_commit(None)


def test_files_of_a_commit_are_read_without_checking_it_out(repository):
    first = commit("folder/a b", "old")
    commit("folder/a b", "new")
    assert file_at(first, Path("folder/a b")) == b"old"
    assert file_at(first, Path("nothing")) is None
    assert files_at(first, Path("folder")) == [Path("folder/a b")]


def test_a_folder_is_no_file(repository):
    assert file_at(commit("folder/a", "1"), Path("folder")) is None


def test_lines_that_differ_from_a_commit_are_counted_by_file(repository):
    first = commit("a\tb", "1\n2\n")
    commit("c", "x\n")
    Path("a\tb").write_text("1\n3\n4\n")
    assert changed_lines(first) == [("a\tb", 2, 1), ("c", 1, 0)]
    assert subjects(first) == ["Write c"]


def test_uncommitted_files_are_known(repository):
    commit("a", "1")
    assert dirty_files() == []
    Path("a").write_text("2")
    Path("new one").write_text("1")
    assert dirty_files() == ["a", "new one"]
    git("mv", "a", "moved")
    assert dirty_files() == ["a", "moved", "new one"]


def test_files_outside_of_the_project_are_no_part_of_it(tmp_path, monkeypatch):
    (tmp_path / "ours").mkdir()
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch", "main")
    first = commit("ours/a", "1")
    commit("theirs/a", "1")
    Path("theirs/b").write_text("1")
    monkeypatch.chdir(tmp_path / "ours")
    assert dirty_files() == []
    assert changed_lines(first) == []
    assert file_at("HEAD", Path("theirs/a")) is None
    assert files_at("HEAD", Path()) == [Path("a")]


def test_the_null_commit_of_a_first_push_is_no_commit(repository):
    commit("a", "1")
    assert base_commit("0" * 40) is None
