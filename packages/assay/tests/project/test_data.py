"""What happens to the data in the working tree when git moves, in real repositories of git and DVC."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from dvc.cli import main

from assay.base.errors import InputError
from assay.project.champion import restore
from assay.project.data import POINTER, State, bring, record, state
from assay.project.hooks import install
from project.repositories import git

# voluptuous, as DVC calls it.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value will soon raise:DeprecationWarning")

DATA = Path("data/rows.csv")
CONTRACT = SimpleNamespace(data=DATA)


def dvc(*arguments: str) -> None:
    assert main([*arguments[:1], "--quiet", *arguments[1:]]) == 0


def commit_data(text: str) -> str:
    DATA.parent.mkdir(exist_ok=True)
    DATA.unlink(missing_ok=True)
    DATA.write_text(text)
    dvc("add", "data")
    git("add", "--all")
    git("commit", "--quiet", "--message", f"Data: {text}")
    return git("rev-parse", "HEAD")


def edit(text: str) -> None:
    # DVC may have linked the file to its cache.
    DATA.unlink()
    DATA.write_text(text)


@pytest.fixture(scope="module", params=[".", "projects/ours"])
def made(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A repository with a project of two data versions at its top or in a folder of it, to be copied."""
    top = tmp_path_factory.mktemp("made") / "top"
    folder = top / request.param
    folder.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        as_ann(patch, top.parent)
        patch.chdir(folder)
        git("init", "--quiet", "--initial-branch", "main", folder=top)
        dvc("init", *(["--subdir"] if folder != top else []))
        commit_data("1")
        commit_data("2")
    return folder


def as_ann(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Keep what git and DVC keep for a user in a folder, and give git her name."""
    patch.setenv("GIT_CONFIG_GLOBAL", str(home / "gitconfig"))
    patch.setenv("DVC_SITE_CACHE_DIR", str(home / "dvc"))
    patch.setenv("DVC_NO_ANALYTICS", "1")
    (home / "gitconfig").write_text("[user]\n    name = Ann\n    email = ann@localhost\n")


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two data versions, `1` and `2`, at the top of a repository or in a folder of it; `2` is here."""
    top = next(folder for folder in (made, *made.parents) if (folder / ".git").exists())
    shutil.copytree(top, tmp_path / "top", symlinks=True)
    folder = tmp_path / "top" / made.relative_to(top)
    as_ann(monkeypatch, tmp_path)
    monkeypatch.chdir(folder)
    bring(CONTRACT)
    return folder


def test_older_data_is_checked_out_when_git_has_moved_on(project, capfd):
    git("checkout", "--quiet", "HEAD~1")
    bring(CONTRACT)
    assert DATA.read_text() == "1"
    assert "data: data/ is older than data.dvc; checking out the version in data.dvc" in capfd.readouterr().err
    git("checkout", "--quiet", "main")
    bring(CONTRACT)
    assert DATA.read_text() == "2"
    assert git("status", "--porcelain") == ""


def test_what_a_command_changes_again_and_again_is_no_conflict(project, capfd):
    for text in "345":
        edit(text)
        record()
        bring(CONTRACT)
    assert DATA.read_text() == "5"
    assert "by hand" not in capfd.readouterr().err


def test_a_revert_brings_the_data_of_before(project):
    git("revert", "--no-edit", "HEAD")
    bring(CONTRACT)
    assert DATA.read_text() == "1"
    assert git("status", "--porcelain") == ""


def test_older_data_is_checked_out_where_nothing_was_run_before(project):
    Path(".dvc/tmp/assay-data").unlink()
    git("checkout", "--quiet", "HEAD~1")
    bring(CONTRACT)
    assert DATA.read_text() == "1"


def test_data_that_was_changed_by_hand_stays_and_is_named(project, capfd):
    edit("mine")
    bring(CONTRACT)
    assert DATA.read_text() == "mine"
    assert "data/ was changed by hand" in capfd.readouterr().err


def test_data_that_somebody_put_back_by_hand_stays(project):
    edit("3")
    dvc("add", "data")
    bring(CONTRACT)
    edit("2")
    bring(CONTRACT)
    assert DATA.read_text() == "2"


@pytest.mark.parametrize("added", [False, True])
def test_when_both_were_changed_nothing_is_and_the_error_says_what_to_type(project, added):
    edit("mine")
    if added:
        dvc("add", "data")
        bring(CONTRACT)
    git("checkout", "--quiet", "--force", "HEAD~1")
    pointer = POINTER.read_text()
    with pytest.raises(InputError, match=r"`dvc add data`.*`dvc checkout --force data.dvc`"):
        bring(CONTRACT)
    assert (DATA.read_text(), POINTER.read_text()) == ("mine", pointer)
    dvc("checkout", "--force", "data.dvc")
    bring(CONTRACT)
    assert DATA.read_text() == "1"


def test_outside_of_git_data_is_as_somebody_left_it(project, monkeypatch):
    edit("mine")
    monkeypatch.setattr("assay.project.history.is_repository", lambda: False)
    bring(CONTRACT)
    assert DATA.read_text() == "mine"


def test_data_in_conflict_is_called_a_conflict(project):
    git("checkout", "--quiet", "-b", "other", "HEAD~1")
    commit_data("3")
    with pytest.raises(Exception, match="git"):
        git("merge", "--quiet", "main")
    with pytest.raises(InputError, match=r"^data\.dvc: merge conflict in line 2; `git checkout --ours data\.dvc`"):
        bring(CONTRACT)
    git("checkout", "--ours", "data.dvc")
    bring(CONTRACT)
    assert DATA.read_text() == "3"
    git("checkout", "--theirs", "data.dvc")
    bring(CONTRACT)
    assert DATA.read_text() == "2"


def test_a_champion_has_its_files_of_dvc_also_in_a_folder_of_a_repository(project):
    Path("models").mkdir()
    Path("models/model.json").write_text("{}")
    dvc("add", "models")
    git("add", "--all")
    git("commit", "--quiet", "--message", "A model")
    found = restore(git("rev-parse", "HEAD"))
    assert (found / "models/model.json").read_text() == "{}"
    assert not (found / "data").exists()


def test_what_no_commit_names_was_written_by_hand(project):
    committed = git("show", "HEAD:./data.dvc").split("md5: ")[1].split()[0]
    unknown = "0" * 32 + ".dir"
    assert state(unknown, committed, committed) is State.EDITED
    assert state(committed, unknown, committed) is State.EDITED
    assert state(committed, unknown, unknown) is State.BOTH_CHANGED
    assert state(unknown, unknown, committed) is State.CURRENT


@pytest.fixture
def hooked(project: Path) -> Path:
    """The same with the hooks, and the environment that they use."""
    assert install() == ["post-checkout", "post-merge", "post-commit"]
    assert install() == []
    Path(".venv/bin").mkdir(parents=True)
    Path(".venv/bin/dvc").symlink_to(Path(sys.executable).parent / "dvc")
    return project


# A hook starts DVC, which takes long: at the other place each of these runs at night.
@pytest.mark.parametrize("made", ["projects/ours", pytest.param(".", marks=pytest.mark.nightly)], indirect=True)
def test_with_the_hooks_data_follows_git_without_assay(hooked):
    git("checkout", "--quiet", "-b", "older", "HEAD~1")
    assert DATA.read_text() == "1"
    git("merge", "--quiet", "main")
    assert DATA.read_text() == "2"
    git("revert", "--no-edit", "HEAD")
    assert DATA.read_text() == "1"


@pytest.mark.parametrize("made", [".", pytest.param("projects/ours", marks=pytest.mark.nightly)], indirect=True)
def test_the_hooks_leave_data_that_was_changed_by_hand(hooked):
    edit("mine")
    git("checkout", "--quiet", "HEAD~1")
    assert DATA.read_text() == "mine"


def test_a_hook_of_somebody_else_stays(project):
    hook = Path(git("rev-parse", "--git-path", "hooks")) / "post-merge"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho theirs\n")
    assert install() == ["post-checkout", "post-commit"]
    assert hook.read_text() == "#!/bin/sh\necho theirs\n"


def test_where_git_looks_for_hooks_elsewhere_none_are_written(project):
    git("config", "core.hooksPath", ".husky")
    assert install() == []
    assert not Path(".husky").exists()
