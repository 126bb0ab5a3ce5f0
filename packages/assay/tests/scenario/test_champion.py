"""Where the champion comes from: the cache, the embedded remote of its commit, or training again."""

import shutil
from pathlib import Path

import pytest

from assay.base.errors import InputError
from assay.project.champion import has_model, restore
from scenario.project import Project

FILES = (
    *("models/model.onnx", "models/model.skops", "build/split/train.parquet", "reports/validate.json", "plots/roc.csv"),
    *("metrics.json", "dvc.lock", "contract.yaml", "src/model/features.py", "service.py", "loadtests/locustfile.py"),
    *("requirements/train.txt", "requirements/process.yaml"),
)


@pytest.fixture
def here(finished: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(finished.root)
    shutil.rmtree(".assay", ignore_errors=True)
    return finished


def head(project: Project) -> str:
    return project.ok("git", "rev-parse", "HEAD").strip()


def same(project: Project, folder: Path) -> bool:
    return all((folder / name).read_bytes() == (project.root / name).read_bytes() for name in FILES)


def test_it_comes_from_the_cache_whatever_lies_in_the_working_tree(here: Project):
    kept = {name: (here.root / name).read_bytes() for name in FILES}
    shutil.rmtree(here.root / "models")
    folder = restore(head(here))
    assert {name: (folder / name).read_bytes() for name in FILES} == kept


def test_without_the_cache_it_comes_from_the_embedded_remote_of_its_own_commit(here: Project):
    here.ok("dvc", "push")
    here.ok("git", "add", ".dvc/embedded")
    here.ok("git", "commit", "--quiet", "--allow-empty", "--all", "--message", "With model")
    commit = head(here)
    # The change has removed what it no longer needs, and its clone has no cache.
    shutil.rmtree(here.root / ".dvc/embedded")
    shutil.rmtree(here.root / ".dvc/cache")
    folder = restore(commit)
    assert same(here, folder)


@pytest.mark.nightly
def test_where_nobody_has_it_it_is_trained_again(here: Project):
    commit = head(here)
    # The data alone is left.
    for stored in (".dvc/cache", ".dvc/embedded"):
        for path in (here.root / stored).rglob("*"):
            if path.is_file() and b"mean_radius,mean_texture" not in path.read_bytes() and path.suffix != ".dir":
                path.unlink()
    here.ok("git", "commit", "--quiet", "--all", "--message", "Gone")
    code = "import sys; from assay.project.champion import restore; print(restore(sys.argv[1]))"
    folder = here.root / here.ok("python", "-c", code, head(here)).splitlines()[-1]
    assert same(here, folder)
    assert here.ok("git", "worktree", "list").count("\n") == 1
    assert commit


def test_what_cannot_even_be_trained_again_is_an_error_and_leaves_nothing(here: Project):
    shutil.rmtree(here.root / ".dvc/cache")
    shutil.rmtree(here.root / ".dvc/embedded")
    shutil.rmtree(here.root / "data")
    here.ok("git", "commit", "--quiet", "--all", "--message", "Gone")
    with pytest.raises(InputError):
        restore(head(here))
    assert list((here.root / ".assay/champions").iterdir()) == []
    here.ok("git", "tag", "--annotate", "--message", "released", "v1.0.0")
    (here.root / "monitoring").mkdir()
    shutil.rmtree(here.root / "reports")
    said = here.refused("assay", "github", "monitor")
    assert said.startswith("v1.0.0: its model cannot be restored, so it is not watched (")
    assert not (here.root / "reports").exists()


def test_a_commit_without_dvc_lock_has_no_model(here: Project):
    assert has_model(head(here))
    here.ok("git", "rm", "--quiet", "dvc.lock")
    here.ok("git", "commit", "--quiet", "--message", "None")
    assert not has_model(head(here))


def test_the_last_three_are_kept(here: Project):
    for number in range(4):
        here.ok("git", "commit", "--quiet", "--allow-empty", "--message", str(number))
        restore(head(here))
    assert len(list((here.root / ".assay/champions").iterdir())) == 3
