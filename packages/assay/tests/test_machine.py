"""A test of a promised part is not left out in silence."""

import re
from pathlib import Path

import pytest

import machine
from places import PACKAGE, ROOT


@pytest.mark.parametrize(("value", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_what_a_machine_lacks_is_red_where_it_should_have_everything(
    monkeypatch: pytest.MonkeyPatch, value: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv(machine.COMPLETE, value)
    monkeypatch.delenv(machine.LACKING, raising=False)
    with pytest.raises(outcome, match="podman is not here"):
        machine.lacks("podman is not here")


def test_what_a_machine_lacks_is_listed_where_a_list_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(machine.COMPLETE, raising=False)
    monkeypatch.setenv(machine.LACKING, str(tmp_path / "lacking"))
    for what in ("podman is not here", "npm is not here"):
        with pytest.raises(pytest.skip.Exception):
            machine.lacks(what)
    assert (tmp_path / "lacking").read_text() == "podman is not here\nnpm is not here\n"


def test_github_should_have_everything_and_elsewhere_it_is_said_what_was_lacking() -> None:
    assert f'"${machine.LACKING}"' in (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert f'{machine.COMPLETE}: "1"' in (ROOT / ".github/workflows/package-ci.yml").read_text(encoding="utf-8")


def test_no_test_is_skipped_for_the_machine_in_another_way() -> None:
    # The data of the template, or a system other than Linux: these are no parts that are promised.
    others = {"project/test_tracking.py", "machine.py"}
    found = {
        path.relative_to(PACKAGE / "tests").as_posix()
        for path in (PACKAGE / "tests").rglob("*.py")
        if re.search(r"pytest\.skip\(", path.read_text(encoding="utf-8"))
    }
    assert found == others
