import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from assay.base.errors import InputError
from assay.base.files import locked, read_json, replace_links, replacing, sha256, write_json, write_once, write_text

WRITES_HALF_AND_WAITS = """
import sys
from pathlib import Path
from assay.base.files import replacing
with replacing(Path("result.json")) as temporary:
    temporary.write_text("half a res")
    print("written", flush=True)
    sys.stdin.read()
"""


def test_what_is_written_is_read_again_in_a_folder_that_was_not_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "result.json"
    write_json(path, {"é": [1, None, True]})
    assert read_json(path) == {"é": [1, None, True]}
    assert path.read_bytes().endswith(b"\n")


def test_a_write_that_fails_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_text(path, "old")
    with suppress(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        _ = 1 / 0
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_its_owner_deletes_in_between_is_not_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    with locked(folder) as is_ours:
        assert is_ours
    opened = os.open
    monkeypatch.setattr(os, "open", lambda path, flags: (opened(path, flags), folder.rmdir())[0])
    with locked(folder) as is_ours:
        assert not is_ours


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "old"
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_what_a_killed_process_left_is_removed_by_the_next_write(tmp_path: Path) -> None:
    path, other = tmp_path / "result.json", tmp_path / ".other.json.1.tmp"
    write_text(path, "old")
    other.touch()
    command = [sys.executable, "-c", WRITES_HALF_AND_WAITS]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        writer.send_signal(signal.SIGKILL)
    assert path.read_text() == "old"
    assert len(list(tmp_path.glob(".result.json.*.tmp"))) == 1

    write_text(path, "new")
    assert path.read_text() == "new"
    assert sorted(tmp_path.iterdir()) == [other, path]


def test_of_two_processes_that_write_at_once_both_succeed(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", WRITES_HALF_AND_WAITS],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        write_text(path, "other")
        writer.communicate("")
    assert writer.returncode == 0
    assert path.read_text() == "half a res"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_with_the_signs_of_a_pattern_is_only_a_name(tmp_path: Path) -> None:
    other = tmp_path / ".a.json.1.tmp"
    other.touch()
    write_text(tmp_path / "[ab].json", "x")
    write_text(tmp_path / "*.json", "x")
    assert other.exists()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "result.json").mkdir()
    with pytest.raises(InputError, match=r"result\.json: cannot be written: Is a directory$"):
        write_text(tmp_path / "result.json", "x")
    with pytest.raises(FileNotFoundError, match="nothing"), replacing(tmp_path / "copy"):
        (tmp_path / "nothing").read_bytes()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_json_has_no_word_for_is_an_error_and_no_file(tmp_path: Path, value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "result.json", {"a": value})
    assert list(tmp_path.iterdir()) == []


def test_json_is_the_same_for_other_readers(tmp_path: Path) -> None:
    write_json(tmp_path / "result.json", {"a": 0.1})
    assert json.loads((tmp_path / "result.json").read_text()) == {"a": 0.1}


def test_the_hash_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert sha256(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_links_are_replaced_by_what_they_lead_to(tmp_path: Path) -> None:
    cache, models = tmp_path / "cache", tmp_path / "models"
    write_text(cache / "ab", "the model")
    write_text(models / "card.md", "a card")
    (models / "model.onnx").symlink_to(cache / "ab")
    (models / "lost").symlink_to(cache / "nowhere")
    replace_links(models)
    assert not (models / "model.onnx").is_symlink()
    assert (models / "model.onnx").read_text() == "the model"
    assert (models / "lost").is_symlink()
    assert (cache / "ab").read_text() == "the model"
    assert sorted(path.name for path in models.iterdir()) == ["card.md", "lost", "model.onnx"]


def test_what_is_written_once_stays_as_the_first_process_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "new/secret"
    for content in (b"first", b"second"):
        write_once(path, content, mode=0o600)
    assert path.read_bytes() == b"first"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_of_processes_that_start_at_once_one_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    write_once(path, b"first")
    # As if it had not been there when the second process looked.
    monkeypatch.setattr(Path, "exists", lambda path: False)
    write_once(path, b"second")
    assert path.read_bytes() == b"first"


def test_what_is_written_once_needs_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    write_once(tmp_path / "secret", b"first")
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"first"]
