"""Files are put in place together, and none is when one cannot be written."""

from pathlib import Path

import pytest

from assay.adoption.changes import described, different, put
from assay.base.errors import InputError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("deep/er").mkdir(parents=True)
    Path("deep/er/old").write_text("old")
    Path("here").write_text("before")
    return tmp_path


def files() -> dict[str, str]:
    return {path.as_posix(): path.read_text() for path in Path().rglob("*") if path.is_file()}


def test_files_are_written_and_removed_and_empty_folders_go():
    put({Path("deep/er/old"): None, Path("here"): b"after", Path("new/one"): b"1"})
    assert files() == {"here": "after", "new/one": "1"}
    assert not Path("deep").exists()


def test_nothing_changes_when_one_cannot_be_written(monkeypatch: pytest.MonkeyPatch):
    before, write = files(), Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if content == b"2":
            raise OSError(28, "No space left on device", str(path))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left on device"):
        put({Path("here"): b"1", Path("other"): b"2", Path("deep/er/old"): None})
    assert files() == before
    assert {path.name for path in Path().iterdir()} == {"deep", "here"}


def test_a_file_that_may_be_run_still_may():
    Path("here").chmod(0o755)
    put({Path("here"): b"after"})
    assert Path("here").stat().st_mode & 0o111


def test_what_is_the_same_is_no_change():
    assert different({Path("here"): b"before", Path("gone"): None, Path("new"): b""}) == {Path("new"): b""}


def test_what_would_be_done_is_a_line_each_and_a_folder_for_many():
    many = {Path(f"packages/assay/{name}"): None for name in "abc"}
    assert described({Path("here"): b"", Path("new"): b"", **many}) == [
        "write  here",
        "add    new",
        "remove packages/assay (3 files)",
    ]
