"""An `assay init` that was stopped goes on, unless somebody has made its files their own."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from assay.contract.spec import CONTRACT
from assay.init.command import EXPECTATIONS, UNFINISHED, is_stopped
from project.repositories import commit, git

TEXTS = {CONTRACT: "name: houses\n", EXPECTATIONS: "EXPECTATIONS = []\n"}


@pytest.fixture(autouse=True)
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    written = {str(path): sha256(text.encode()).hexdigest() for path, text in TEXTS.items()}
    UNFINISHED.parent.mkdir()
    UNFINISHED.write_text(json.dumps({"commit": commit("README.md", ""), "written": written, "has_model": False}))
    for path, text in TEXTS.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_it_goes_on_while_its_files_are_as_it_wrote_them() -> None:
    assert is_stopped()


@pytest.mark.parametrize("path", TEXTS)
def test_it_is_over_once_somebody_works_on_a_file(path: Path) -> None:
    path.write_text(TEXTS[path] + "# mine\n")
    assert not is_stopped()


def test_it_is_over_once_its_files_are_committed() -> None:
    commit(str(CONTRACT), TEXTS[CONTRACT])
    assert not is_stopped()


def test_one_that_was_killed_before_its_contract_was_written_starts_afresh() -> None:
    CONTRACT.unlink()
    assert not is_stopped()
