"""The embedded remote keeps what data.dvc and dvc.lock name, and no more."""

from pathlib import Path

import pytest

from assay.adoption.blobs import unneeded

FOLDER, FILE, MODEL, OLD = "a" * 32 + ".dir", "b" * 32, "c" * 32, "d" * 32


def test_only_what_nothing_names_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("data.dvc").write_text(f"outs:\n- md5: {FOLDER}\n  path: data\n")
    Path("dvc.lock").write_text(f"stages:\n  train:\n    cmd: x\n    outs:\n    - path: model\n      md5: {MODEL}\n")
    paths = {digest: Path(".dvc/embedded/files/md5", digest[:2], digest[2:]) for digest in (FOLDER, FILE, MODEL, OLD)}
    for path in paths.values():
        path.parent.mkdir(parents=True)
        path.write_text("x")
    paths[FOLDER].write_text(f'[{{"md5": "{FILE}", "relpath": "a.csv"}}]')
    assert unneeded() == [paths[OLD]]
    Path("data.dvc").write_text("outs: []\n")
    Path("dvc.lock").unlink()
    assert unneeded() == sorted(paths.values())
