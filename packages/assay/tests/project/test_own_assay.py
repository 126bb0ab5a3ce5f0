"""The Assay that a project holds is used where it serves otherwise than the installed one."""

import shutil
from pathlib import Path
from zipfile import ZipFile

import pytest

from assay.base.errors import InputError
from assay.project.champion import own_assay
from assay.project.fingerprint import SOURCE


@pytest.fixture
def champion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the source of this Assay, seen from another."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    shutil.copytree(SOURCE, tmp_path / "champion/packages/assay/src/assay")
    return tmp_path / "champion"


def change(champion: Path, module: str) -> None:
    with (champion / "packages/assay/src/assay" / module).open("a", encoding="utf-8") as file:
        file.write("# Another.\n")


def as_wheel(champion: Path) -> None:
    """Make of the source of a project what a copy of the template has."""
    source = champion / "packages/assay/src"
    (champion / "vendor").mkdir()
    with ZipFile(champion / "vendor/assay-1.0-py3-none-any.whl", "w") as wheel:
        for path in source.rglob("*.*"):
            wheel.write(path, path.relative_to(source))
    shutil.rmtree(champion / "packages")


def test_one_that_serves_alike_is_not_used(champion: Path) -> None:
    change(champion, "report/text.py")
    assert own_assay(champion) is None


def test_one_that_serves_otherwise_is_used(champion: Path) -> None:
    change(champion, "serve/front.py")
    assert own_assay(champion) == champion / "packages/assay/src"


def test_one_in_a_wheel_is_unpacked_once(champion: Path) -> None:
    change(champion, "serve/front.py")
    as_wheel(champion)
    found = own_assay(champion)
    assert found is not None
    assert (found / "assay/serve/front.py").read_text().endswith("# Another.\n")
    (found / "mark").touch()
    assert own_assay(champion) == found
    assert (found / "mark").exists()


def test_a_project_without_an_assay_of_its_own_is_served_by_the_installed_one(tmp_path: Path) -> None:
    assert own_assay(tmp_path) is None


def test_a_broken_wheel_is_named(champion: Path) -> None:
    as_wheel(champion)
    (wheel,) = champion.glob("vendor/*.whl")
    wheel.write_bytes(b"x")
    with pytest.raises(InputError, match="the wheel is broken"):
        own_assay(champion)
