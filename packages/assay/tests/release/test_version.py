import shutil
import subprocess
from pathlib import Path

import pytest

from assay.base.errors import InputError
from assay.release.version import image, push, recorded, verified, version
from scenario.project import SOURCE

NAMES = {f"GIT_{role}_{what}": "ann@x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True, env={"PATH": "/usr/bin", **NAMES})


def commit(**files: tuple[str, str]) -> None:
    """Replace a text in each file, and commit."""
    for name, (old, new) in files.items():
        path = next(one for one in Path().iterdir() if one.stem == name)
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
    git("add", "--all")
    git("commit", "--quiet", "--allow-empty", "--message", "x")


MODEL = "path: build/model\n      hash: md5\n      md5:"


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("contract.yaml", "dvc.lock", "README.md"):
        shutil.copy(SOURCE / name, tmp_path)
    Path("service.py").write_text("a = 1\n")
    git("init", "--quiet")
    commit()


def test_the_first_release_is_the_first(released):
    assert version() == "v1.0.0"


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"contract": ("task: ", "task:  ")}, "v2.3.5"),
        ({"contract": ("target:\n  name: ", "target:\n  name: x")}, "v3.0.0"),
        ({"contract": ("range: [", "range: [-1")}, "v2.4.0"),
        ({"dvc": (f"{MODEL} ", f"{MODEL} 0")}, "v2.4.0"),
        ({"service": ("1", "2")}, "v2.3.5"),
        ({"README": ("Assay", "Essay")}, None),
        ({}, None),
    ],
)
def test_what_has_changed_says_which_number_moves(released, files, wanted):
    for tag in ("v2.3.4", "v2.3.3", "v10", "version-9", "v1.20.0"):
        git("tag", tag)
    commit(**files)
    assert version() == wanted


def test_a_release_that_was_begun_keeps_its_version(released):
    git("tag", "v1.0.0")
    commit(service=("1", "3"))
    git("tag", "v1.0.1")
    assert version() == "v1.0.1"


def test_a_tag_of_another_branch_does_not_count(released):
    git("switch", "--quiet", "--create", "other")
    commit(service=("1", "3"))
    git("tag", "v9.0.0")
    git("switch", "--quiet", "-")
    assert version() == "v1.0.0"


def test_names_of_images_have_small_letters():
    assert image("Ada/Ward", "v1.0.0") == "ghcr.io/ada/ward:v1.0.0"


def test_an_image_is_named_by_the_digest_in_its_own_registry(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{SOURCE / 'packages/assay/tests/workflows/tools'}:/usr/bin:/bin")
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    (tmp_path / "asked").touch()
    assert push("ghcr.io/ada/ward:v1") == f"sha256:{7:064d}"
    # What the registry has under a name stays.
    assert push("ghcr.io/ada/ward:v1") == f"sha256:{7:064d}"
    asked = (tmp_path / "asked").read_text()
    assert asked.count("docker push") == 1
    assert asked.count("docker pull") == 1


@pytest.mark.parametrize(
    ("fault", "said"), [("denied", "docker push: denied"), ("no route to host", "docker manifest: no route to host")]
)
def test_an_image_that_cannot_be_pushed_is_one_line(tmp_path, monkeypatch, fault, said):
    (tmp_path / "docker").write_text(f"#!/bin/sh\necho first >&2\necho {fault} >&2\nexit 1\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with pytest.raises(InputError, match=said):
        push("ghcr.io/ada/ward:v1")


def test_the_image_of_a_version_is_named_by_the_digest_that_is_signed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{SOURCE / 'packages/assay/tests/workflows/tools'}:/usr/bin:/bin")
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    monkeypatch.setenv("GH_TOKEN", "a token")
    assert verified("Ada/Ward", "v1.2.0", "trunk") == f"ghcr.io/ada/ward@sha256:{120:064d}"
    # What somebody else has signed, on another branch or on a machine of their own, does not count.
    asked = (tmp_path / "asked").read_text()
    assert "--repo Ada/Ward --signer-workflow Ada/Ward/.github/workflows/release.yml" in asked
    assert "--source-ref refs/heads/trunk --deny-self-hosted-runners" in asked


def test_without_signatures_the_release_names_the_digest(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{SOURCE / 'packages/assay/tests/workflows/tools'}:/usr/bin:/bin")
    monkeypatch.setenv("GH_TOKEN", "a token")
    assert recorded("Ada/Ward", "v1.2.0") == f"ghcr.io/ada/ward@sha256:{120:064d}"
    with pytest.raises(InputError):
        recorded("Ada/Ward", "v9.0.0")
    with pytest.raises(InputError, match="not a version"):
        recorded("Ada/Ward", "latest")
    (tmp_path / "gh").write_text("#!/bin/sh\necho ghcr.io/eve/ward@sha256:$(printf %064d 1)\n")
    (tmp_path / "gh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(InputError, match="does not name an image"):
        recorded("Ada/Ward", "v1.2.0")
