"""The image, made with `make image` and run as in production: by a user without rights, on what is read-only.

Where no registry can be reached, Debian's own Python takes the place of the base image.
"""

import json
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bentoml
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packaging.utils import canonicalize_name

from assay.serve.image import BASE
from scenario.project import Done, Project, make_environment
from servers import Server, free_port, is_ready, until

PARQUET = "application/vnd.apache.parquet"
MOST_BYTES = 600_000_000
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
CONTAINERS = """\
[containers]
netns="host"
default_ulimits=["nofile=1024:{files}","nproc=4096:4096"]
[engine]
runtime="runc"
cgroup_manager="cgroupfs"
events_logger="file"
"""
STORAGE = """\
[storage]
driver="overlay"
graphroot="{folder}/graph"
runroot="{folder}/run"
"""
# As the official image has it: a command `python`, and a pip that installs into the system.
DEBIAN = (
    "ln -s python3 $1/usr/bin/python; rm -f $1/usr/lib/python3*/EXTERNALLY-MANAGED;"
    f"mkdir -p $1/etc/ssl/certs; cp {CERTIFICATES} $1/etc/ssl/certs/"
)


def podman(*arguments: str) -> str:
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"podman {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def storage() -> Iterator[dict[str, str]]:
    """Where podman keeps images, with the base image in it."""
    if not all(map(shutil.which, ("podman", "runc"))):
        pytest.skip("podman and runc are not here")
    # podman mounts what lies here, so that pytest could not remove it.
    folder = Path(tempfile.mkdtemp(prefix="assay-image-"))
    files = {"CONTAINERS_CONF": CONTAINERS, "CONTAINERS_STORAGE_CONF": STORAGE}
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with pytest.MonkeyPatch.context() as patch:
        for name, text in files.items():
            (folder / name).write_text(text.format(folder=folder, files=most))
            patch.setenv(name, str(folder / name))
        if subprocess.run(["podman", "pull", "--quiet", BASE], capture_output=True, check=False).returncode:
            _import_debian(folder / "base.tar")
        can_run = subprocess.run(
            ["podman", "run", "--rm", "--pull=never", BASE, "python", "--version"], capture_output=True, check=False
        )
        if can_run.returncode:
            pytest.skip(f"no container can be run here: {can_run.stderr.decode()[-300:]}")
        try:
            yield {name: str(folder / name) for name in files}
        finally:
            subprocess.run(["podman", "system", "reset", "--force"], capture_output=True, check=False)
            subprocess.run(["umount", str(folder / "graph/overlay")], capture_output=True, check=False)
            shutil.rmtree(folder, ignore_errors=True)


def _import_debian(base: Path) -> None:
    if not shutil.which("mmdebstrap"):
        pytest.skip(f"{BASE} cannot be fetched, and mmdebstrap is not here")
    packages = "--include=python3,python3-venv,python3-pip,ca-certificates"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--customize-hook={DEBIAN}", packages, "bookworm"]
    subprocess.run([*command, str(base)], capture_output=True, check=True)
    changes = [f"--change=ENV {name}={CERTIFICATES}" for name in ("SSL_CERT_FILE", "PIP_CERT")]
    podman("import", "--quiet", *changes, str(base), BASE)
    base.unlink()


@pytest.fixture(scope="module")
def made(
    storage: dict[str, str], first_run: tuple[Project, Done], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Project, str]:
    """A project in which `make image` ran, and the name of its image."""
    project = first_run[0].copy(tmp_path_factory.mktemp("image") / "project")
    make_environment(project.root / ".venv")
    others = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    project.ok("make", "image", "BACKEND=podman", BENTOML_HOME=str(project.home / "image"), **storage, **others)
    [image] = [
        name for one in json.loads(podman("images", "--format=json")) for name in one["Names"] if BASE not in name
    ]
    return project, image


@pytest.fixture(scope="module")
def server(made: tuple[Project, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port, log = free_port(), tmp_path_factory.mktemp("run") / "log.txt"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [
                *("podman", "run", "--rm", "--pull=never", "--network=host", "--read-only", "--tmpfs=/tmp"),
                *("--cap-drop=all", "--security-opt=no-new-privileges", "--env=BENTOML_HOME=/tmp/bentoml"),
                *("--env=BENTOML_HOST=127.0.0.1", f"--env=BENTOML_PORT={port}", made[1]),
            ],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    server = Server(f"http://127.0.0.1:{port}", process, log)
    try:
        until(lambda: process.poll() is not None or is_ready(server), "the image is ready")
        assert process.poll() is None, server.log()
        yield server
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def examples(made: tuple[Project, str]) -> dict[str, Any]:
    return dict(json.loads((made[0].root / "models/examples.json").read_text()))


def test_the_image_is_small_and_runs_as_a_user_without_rights(made: tuple[Project, str]) -> None:
    [about] = json.loads(podman("image", "inspect", made[1]))
    assert about["Size"] <= MOST_BYTES
    assert about["Config"]["User"] == "bentoml"


def test_it_answers_as_the_model_does_on_what_cannot_be_written(server: Server, examples: dict[str, Any]) -> None:
    with bentoml.SyncHTTPClient(server.url) as client:
        told = client.predict(rows=examples["rows"])["predictions"]
    assert [one["probabilities"]["malignant"] for one in told] == pytest.approx(
        [scores[1] for scores in examples["scores"]], abs=1e-5
    )
    assert server.get("/").status_code == 200
    assert "Traceback" not in server.log()


def test_a_table_is_read_without_what_was_removed(server: Server, examples: dict[str, Any]) -> None:
    body = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(examples["rows"]), body)
    told = server.post("/predict", body.getvalue().to_pybytes(), **{"content-type": PARQUET})
    assert pq.read_table(pa.BufferReader(told.content)).num_rows == len(examples["rows"])


def test_what_is_in_it_is_listed(made: tuple[Project, str]) -> None:
    project, image = made
    script = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()))"
    installed = podman("run", "--rm", "--pull=never", "--entrypoint=python", image, "-c", script).split()
    listed = json.loads((project.root / "build/sbom.json").read_text())["components"]
    names = [one["name"] for one in listed]
    assert len(set(names)) == len(names)
    assert all(one["externalReferences"][0]["hashes"] for one in listed)
    known = {(one["name"], one["version"]) for one in listed}
    assert {
        (canonicalize_name(name), version) for name, _, version in (one.partition("==") for one in installed)
    } <= known
