from pathlib import Path

import pytest

from assay.base.files import write_text
from assay.gates import repository
from assay.gates.repository import _refreshed, foreign, rewritten
from assay.project.change import Change
from assay.project.fingerprint import PROCESS, refresh
from project.repositories import commit, git

RECORDED = "train: aaaa\nevaluate: bbbb\njudge: cccc\n"
LOCK = """\
stages:
  train:
    cmd: {}
    deps: [{{path: data, md5: {}}}]
    outs: [{{path: build/model, md5: {}}}]
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch", "main")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (RECORDED, ()),
        (RECORDED.replace("bbbb", "dddd"), ("evaluate",)),
        (RECORDED.replace("aaaa", "dddd").replace("judge: cccc\n", ""), ("train", "judge")),
        ("", ("train", "evaluate", "judge")),
    ],
)
def test_what_another_assay_recorded_is_foreign(text: str, parts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(repository, "fingerprints", lambda: {"train": "aaaa", "evaluate": "bbbb", "judge": "cccc"})
    write_text(PROCESS, text)
    assert foreign() == parts


def test_what_the_installed_assay_recorded_is_not():
    assert foreign()
    assert refresh(PROCESS)
    assert foreign() == ()


def test_code_that_cannot_be_parsed_counts_as_rewritten():
    start = commit("src/model/expectations.py", "E = []\n")
    Path("src/model/expectations.py").write_text("E = [\n")
    assert rewritten(start) == ["src/model/expectations.py"]
    assert rewritten(commit("note", "")) == []


@pytest.mark.parametrize(
    ("committed", "now", "refreshed"),
    [
        (LOCK.format("x", 1, 1), LOCK.format("x", 1, 1), False),
        # The same training may give another model on another machine.
        (LOCK.format("x", 1, 1), LOCK.format("x", 1, 2), False),
        (LOCK.format("x", 1, 1), LOCK.format("x", 2, 2), True),
        (LOCK.format("x", 1, 1), LOCK.format("y", 1, 1), True),
        ("<<<<<<< HEAD\nstages: [\n", LOCK.format("x", 1, 1), True),
        (LOCK.format("x", 1, 1), None, False),
    ],
)
def test_a_lock_is_refreshed_where_it_was_made_from_something_else(committed: str, now: str | None, refreshed: bool):
    head = commit("dvc.lock", committed)
    Path("dvc.lock").unlink()
    if now is not None:
        Path("dvc.lock").write_text(now)
    assert _refreshed(Change(head, head, None, None, ())) is refreshed


def test_a_lock_that_goes_with_uncommitted_code_is_not_refreshed_but_new():
    head = commit("dvc.lock", LOCK.format("x", 1, 1))
    Path("dvc.lock").write_text(LOCK.format("x", 2, 2))
    Path("params.yaml").write_text("seed: 2\n")
    assert not _refreshed(Change(head, head, None, None, ()))
    assert not _refreshed(Change(None, None, None, None, ()))
