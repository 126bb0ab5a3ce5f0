import json
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from assay.base.errors import InputError
from assay.project.remote import EMBEDDED, pending_mb, require_room, size_mb, unpushed_data, use
from places import ROOT

LOCK = {
    "stages": {
        "train": {"outs": [{"path": "build/model", "md5": "aa11.dir", "size": 3_000_000}]},
        "evaluate": {
            "outs": [{"path": "plots", "md5": "bb22", "size": 500_000}, {"path": "metrics.json", "md5": "cc33"}]
        },
        "check": {},
    }
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    yaml = YAML()
    yaml.dump({"outs": [{"path": "data", "md5": "dd44.dir", "size": 1_500_000}]}, tmp_path / "data.dvc")
    yaml.dump(json.loads(json.dumps(LOCK)), tmp_path / "dvc.lock")
    # Not a pointer file, though its name ends like one.
    (tmp_path / ".dvc").mkdir()
    return tmp_path


def store(root: Path, md5: str, size: int) -> None:
    path = root / EMBEDDED / "files/md5" / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))


def test_what_a_push_adds_is_what_is_tracked_and_not_there_yet(root: Path) -> None:
    assert pending_mb() == 5.0
    store(root, "aa11.dir", 10)
    assert pending_mb() == 2.0
    (root / "dvc.lock").unlink()
    assert pending_mb() == 1.5


def test_data_that_no_clone_could_fetch_is_named(root: Path) -> None:
    # Another remote may have it.
    assert unpushed_data() == []
    (root / ".dvc/config").write_text("[core]\n    remote = embedded\n")
    assert unpushed_data() == ["data.dvc"]
    store(root, "dd44.dir", 10)
    assert unpushed_data() == []


def test_the_size_is_that_of_all_files_and_nothing_is_no_size(root: Path) -> None:
    assert size_mb() == 0.0
    store(root, "aa11.dir", 200_000)
    store(root, "bb22", 50_000)
    assert size_mb() == 0.25


def test_there_is_room_up_to_the_limit_and_not_past_it(root: Path) -> None:
    store(root, "aa11.dir", 200_000)
    require_room(0.2)
    require_room(0.5, 0.25)
    with pytest.raises(InputError, match=r"^\.dvc/embedded: 0\.2 MB exceeds the limit of 0\.19 MB: pick another"):
        require_room(0.19)
    with pytest.raises(InputError, match=r"0\.2 MB plus 0\.2 MB to add exceeds the limit of 0\.3 MB"):
        require_room(0.3, 0.2)


@pytest.mark.parametrize("url", ["ftp://host/folder", "htp://x", "s4://bucket"])
def test_a_kind_of_remote_that_dvc_is_not_set_up_for_is_refused(root: Path, url: str) -> None:
    with pytest.raises(InputError, match=r"expected s3://, gs://, azure://, ssh:// or a folder"):
        use(url)


def test_another_remote_is_chosen_with_what_to_install_for_it(root: Path) -> None:
    shutil.rmtree(root / ".dvc")
    shutil.copytree(ROOT / ".dvc", root / ".dvc", ignore=lambda _, names: {*names} - {"config"})
    assert "the default remote is s3://bucket/folder" in use("s3://bucket/folder")
    assert "the default remote is /mnt/folder" in use("/mnt/folder")
    config = (root / ".dvc/config").read_text()
    assert "remote = storage" in config
    assert "url = /mnt/folder" in config
    assert "bucket" not in config


def test_what_dvc_refuses_is_told_in_one_line(root: Path) -> None:
    (root / ".dvc/config").write_text("[core\n")
    with pytest.raises(InputError, match=r"^dvc remote add .*: .*config") as caught:
        use("s3://bucket")
    assert "\n" not in str(caught.value)
