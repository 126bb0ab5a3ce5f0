import io
import json
import os
import stat
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.base.errors import InputError
from assay.github import artifact
from assay.github.artifact import contents, refusing, report_of, shown
from nasty import TEXTS
from workflows.github import archive

GOOD = {"reports/report.json": b"{}", "dvc.lock": b"schema: '2.0'", "metrics.json": b"{}"}


def packed(folder: Path, content: bytes) -> Path:
    (folder / "artifact.zip").write_bytes(content)
    return folder / "artifact.zip"


def unpacked(folder: Path) -> Path:
    for name, content in GOOD.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_the_known_files_are_read_from_an_archive_and_from_a_folder(tmp_path):
    assert contents(packed(tmp_path, archive(GOOD))) == GOOD
    (tmp_path / "artifact.zip").unlink()
    assert contents(unpacked(tmp_path)) == GOOD


def test_folders_in_an_archive_are_no_files(tmp_path):
    assert contents(packed(tmp_path, archive({"reports/": b"", **GOOD}))) == GOOD


@pytest.mark.parametrize(
    "name",
    [
        "../dvc.lock",
        "/etc/passwd",
        "reports/../../x",
        "reports\\report.json",
        "packages/assay/src/assay/cli/main.py",
        ".github/workflows/train.yml",
        "report.json",
        "reports/report.json/x",
        "x\n::set-output name=pr::1",
    ],
)
def test_a_file_that_does_not_belong_there_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="unexpected file"):
        contents(packed(tmp_path, archive({**GOOD, name: b"x"})))


def linked(name: str, target: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        entry = zipfile.ZipInfo(name)
        entry.create_system = 3
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(entry, target)
    return made.getvalue()


def test_a_symlink_is_refused_in_an_archive_and_in_a_folder(tmp_path):
    with pytest.raises(InputError, match="not a regular file"):
        contents(packed(tmp_path, linked("dvc.lock", "/etc/passwd")))
    (tmp_path / "artifact.zip").unlink()
    unpacked(tmp_path)
    (tmp_path / "dvc.lock").unlink()
    (tmp_path / "dvc.lock").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match=r"dvc\.lock is not a regular file"):
        contents(tmp_path)


def test_a_folder_that_leads_elsewhere_is_refused(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "report.json").write_text("{}")
    (tmp_path / "artifact").mkdir()
    (tmp_path / "artifact/reports").symlink_to(other)
    with pytest.raises(InputError, match="unexpected file"):
        contents(tmp_path / "artifact")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "dvc.lock")
    with pytest.raises(InputError, match="not a regular file"):
        contents(tmp_path)


def test_what_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(artifact.KNOWN, "dvc.lock", 5)
    with pytest.raises(InputError, match=r"dvc\.lock is larger than the limit of 5 bytes"):
        contents(packed(tmp_path, archive(GOOD)))
    (tmp_path / "artifact.zip").unlink()
    with pytest.raises(InputError, match=r"dvc\.lock is larger than the limit of 5 bytes"):
        contents(unpacked(tmp_path))


def test_a_large_file_that_says_it_is_small_is_refused(tmp_path):
    content = bytearray(archive({"dvc.lock": b"0" * 1_000_001}))
    size = (1_000_001).to_bytes(4, "little")
    assert content.count(size) == 2
    with pytest.raises(InputError, match=r"not a readable archive|larger than"):
        contents(packed(tmp_path, bytes(content).replace(size, (9).to_bytes(4, "little"))))


def test_an_archive_that_is_larger_than_all_files_may_be_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(artifact, "MOST_BYTES", 10)
    with pytest.raises(InputError, match="larger than the limit of 10 bytes"):
        contents(packed(tmp_path, archive(GOOD)))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(tmp_path):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("dvc.lock", "a")
        file.writestr("dvc.lock", "b")
    with pytest.raises(InputError, match="twice"):
        contents(packed(tmp_path, made.getvalue()))


def test_what_is_not_there_is_told_in_a_line(tmp_path):
    with pytest.raises(InputError, match="left no data"):
        contents(tmp_path / "none.zip")
    with pytest.raises(InputError, match="has no report"):
        report_of({})


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, b"1" * 10_000, b"[]", b"null"])
def test_a_report_that_is_no_object_is_refused(text):
    with pytest.raises(InputError, match=r"not (valid|a) JSON"):
        report_of({"reports/report.json": text})


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 400))
def test_a_torn_archive_is_read_or_refused(tmp_path_factory, noise, start, length):
    whole = archive(GOOD)
    path = packed(tmp_path_factory.mktemp("torn"), whole[:start] + noise + whole[start + length :])
    with suppress(InputError):
        assert set(contents(path)) <= set(GOOD)


@given(TEXTS)
def test_no_text_of_an_artifact_acts_where_an_error_is_shown(text):
    with pytest.raises(InputError) as caught, refusing():
        raise InputError(text)
    said = str(caught.value)
    assert not set(said) & set('\n\r|<>@#`[]*_$!&{}"\\') - {"_"}
    assert "::" not in said
    assert "::" not in shown(text)


def test_a_log_takes_nothing_of_it_for_a_command():
    assert shown("a::set-output name=x::1:::##[error]b\n") == "a:set-output name=x:1:??(error?b?".replace("(", "?")


def test_the_report_is_read_as_it_was_written(tmp_path):
    files = {"reports/report.json": json.dumps({"a": [1, "é"]})}
    assert report_of(contents(packed(tmp_path, archive(files)))) == {"a": [1, "é"]}
