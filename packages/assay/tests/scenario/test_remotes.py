"""Where DVC keeps data and models: a folder of the repository, and a real SSH server instead."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scenario.project import Project, clone
from sshd import ssh_server

MODEL = Path("models/model.onnx")


def test_a_clone_has_what_was_pushed_to_the_embedded_remote(finished: Project, tmp_path: Path) -> None:
    finished.ok("assay", "remote", "push")
    finished.ok("assay", "remote", "check")
    finished.ok("git", "add", "--all")
    finished.ok("git", "commit", "--quiet", "--allow-empty", "--message", "Data and models")
    other = clone(finished, tmp_path / "other")
    other.ok("dvc", "pull")
    assert (other.root / MODEL).read_bytes() == (finished.root / MODEL).read_bytes()
    assert "nothing changed: no stage ran" in other.run("assay", "repro").stderr


def test_the_embedded_remote_does_not_grow_past_its_limit(finished: Project) -> None:
    embedded = finished.root / ".dvc/embedded"
    shutil.rmtree(embedded)
    finished.set_params(remote__embedded_limit_mb=0.1)
    said = finished.refused("assay", "remote", "push")
    assert "MB to add exceeds the limit of 0.1 MB: pick another remote with `assay remote use URL`" in said
    assert "or raise remote.embedded_limit_mb in params.yaml" in said
    assert not embedded.exists()
    # A remote that is another one has no such limit.
    finished.ok("assay", "remote", "use", str(finished.home / "storage"))
    finished.ok("assay", "remote", "push")


def test_an_embedded_remote_that_is_too_large_fails_the_check(finished: Project) -> None:
    finished.set_params(remote__embedded_limit_mb=0.01)
    said = finished.refused("assay", "remote", "check")
    assert said.startswith(".dvc/embedded: ")
    assert "exceeds the limit of 0.01 MB: pick another remote" in said


@pytest.fixture
def ssh_url(tmp_path: Path) -> Iterator[str]:
    """The URL of a folder on an SSH server that this test alone has, and that takes the key in the home of `away`."""
    with ssh_server(tmp_path, tmp_path / "home/.ssh") as url:
        yield f"{url}{tmp_path}/storage"


def test_data_and_models_travel_over_ssh(finished: Project, ssh_url: str, tmp_path: Path) -> None:
    here = replace(finished, home=tmp_path / "home")
    assert "assay remote push" in here.ok("assay", "remote", "use", ssh_url)
    here.ok("assay", "remote", "push")
    here.ok("git", "rm", "-r", "--quiet", ".dvc/embedded")
    here.ok("git", "commit", "--quiet", "--all", "--message", "Use another DVC remote")

    away = clone(here, tmp_path / "away")
    assert not (away.root / ".dvc/embedded").exists()
    away.ok("dvc", "pull")
    for path in (MODEL, Path("data/breast_cancer.csv")):
        assert (away.root / path).read_bytes() == (here.root / path).read_bytes()
