"""A wheel is one of Assay, and its project names it by hash."""

import io
import zipfile
from pathlib import Path

import pytest

from assay.adoption.upgrade import upgrade, wanted
from assay.adoption.wheel import LOCK, Wheel, read_wheel
from assay.base.errors import InputError


def wheel(path: Path, name: str = "assay", version: str = "1.0", template: dict[str, bytes] | None = None) -> Path:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for file, content in (template or {}).items():
            archive.writestr(file, content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            f"{name}-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        if template is not None:
            archive.writestr("assay/template.zip", inner.getvalue())
    return path


def test_a_wheel_says_its_version_and_its_template(tmp_path: Path):
    found = read_wheel(wheel(tmp_path / "assay-1.0-py3-none-any.whl", template={"dvc.yaml": b"stages:"}))
    assert (found.version, found.template) == ("1.0", {"dvc.yaml": b"stages:"})
    (written, content), (lock, line) = found.files().items()
    assert (written, content) == (Path("vendor", found.name), found.content)
    assert lock == LOCK
    assert b"./vendor/assay-1.0-py3-none-any.whl --hash=sha256:" in line


@pytest.mark.parametrize("name", ["assay", "other"])
def test_another_package_of_any_name_is_refused(tmp_path: Path, name: str):
    with pytest.raises(InputError, match=f"is {name} 1.0, not an Assay wheel for this project"):
        read_wheel(wheel(tmp_path / "some.whl", name))


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all"])
def test_what_is_no_wheel_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "some.whl").write_bytes(content)
    with pytest.raises(InputError, match=r"some.whl: is not a wheel"):
        read_wheel(tmp_path / "some.whl")


def test_a_wheel_that_is_not_there_is_not_looked_for_elsewhere():
    with pytest.raises(InputError, match=r"^missing.whl: there is no such file$"):
        wanted("missing.whl")


def test_an_older_version_is_refused_by_number_and_not_by_letter():
    old, new = (Wheel("assay.whl", b"", version, {}) for version in ("0.10.0", "0.9.0"))
    with pytest.raises(InputError, match=r"is older than the 0.10.0 in use"):
        upgrade(old, new)
