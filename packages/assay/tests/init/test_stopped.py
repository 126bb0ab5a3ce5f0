"""An `assay init` that was stopped goes on, unless somebody has made its files their own."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from dvc.repo import Repo

from assay.base.files import read_json, write_json
from assay.contract.spec import CONTRACT
from assay.init.command import EXPECTATIONS, UNFINISHED, apply, is_stopped
from assay.init.write import contract_text
from assay.project.settings import PARAMS
from init.plans import LABEL, ROWS, plan
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


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # of DVC
def test_it_goes_on_with_its_model_only_for_the_same_data() -> None:
    Repo.init()
    PARAMS.write_text("seed: 1\n")
    half = ROWS // 2

    def has_model(target: np.ndarray) -> bool:
        apply(plan({}, target))
        found: bool = read_json(UNFINISHED)["has_model"]
        write_json(UNFINISHED, read_json(UNFINISHED) | {"has_model": True})
        return found

    # The same values in another order make the same contract.
    targets = [LABEL, LABEL, np.roll(LABEL, half)]
    assert [has_model(target) for target in targets] == [False, True, False]
    assert len({contract_text(plan({}, target)) for target in targets}) == 1
