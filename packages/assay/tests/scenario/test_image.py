"""The image, made with `make image` and deployed as in production: by a user without rights, on what is read-only.

Where no registry can be reached, Debian's own Python and nginx take the place of the images that are built upon.
"""

import http.client
import json
import os
import resource
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from threading import Event
from typing import Any

import bentoml
import httpx
import pyarrow as pa
import pytest
from packaging.utils import canonicalize_name

from assay.load.bento import free_port
from assay.predictions.read import LogCounts, predictions
from assay.project.layout import model_version
from assay.release.machine import NGINX
from assay.serve.image import BASE
from machine import lacks
from scenario.project import Done, Project, make_environment
from served import sent
from servers import until

KEY = "open sesame"
AUTHORISED = {"authorization": f"Bearer {KEY}"}
ARROW = "application/vnd.apache.arrow.stream"
MOST_BYTES = 350_000_000
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
CONTAINERS = """\
[containers]
netns="host"
default_ulimits=["nofile=1024:{files}","nproc=4096:4096"]
[engine]
runtime="runc"
cgroup_manager="cgroupfs"
events_logger="file"
tmp_dir="{folder}/tmp"
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
# What nobody reads there, and what compiles pip, which runs once.
LEFT_OUT = [
    f"--dpkgopt=path-exclude={path}"
    for path in ("/usr/bin/py3compile", "/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
]


def podman(*arguments: str) -> str:
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"podman {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def storage() -> Iterator[dict[str, str]]:
    """Where podman keeps images, with the base image in it."""
    if not all(map(shutil.which, ("podman", "runc"))):
        lacks("podman and runc are not here")
    # podman mounts what lies here, so that pytest could not remove it.
    folder = Path(tempfile.mkdtemp(prefix="assay-image-"))
    files = {"CONTAINERS_CONF": CONTAINERS, "CONTAINERS_STORAGE_CONF": STORAGE}
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with pytest.MonkeyPatch.context() as patch:
        for name, text in files.items():
            (folder / name).write_text(text.format(folder=folder, files=most))
            patch.setenv(name, str(folder / name))
        try:
            if not all(map(_can_pull, (BASE, NGINX))):
                _import_debian(folder / "base.tar")
            can_run = subprocess.run(
                ["podman", "run", "--rm", "--pull=never", BASE, "python", "--version"], capture_output=True, check=False
            )
            if can_run.returncode:
                lacks(f"no container can be run here: {can_run.stderr.decode()[-300:]}")
            yield {name: str(folder / name) for name in files}
        finally:
            subprocess.run(["podman", "system", "reset", "--force"], capture_output=True, check=False)
            subprocess.run(["umount", str(folder / "graph/overlay")], capture_output=True, check=False)
            shutil.rmtree(folder, ignore_errors=True)


def _can_pull(image: str) -> bool:
    return not subprocess.run(["podman", "pull", "--quiet", image], capture_output=True, check=False).returncode


def _import_debian(base: Path) -> None:
    if not shutil.which("mmdebstrap"):
        lacks(f"{BASE} cannot be fetched, and mmdebstrap is not here")
    packages = "--include=python3,python3-pip,nginx-light"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--customize-hook={DEBIAN}", *LEFT_OUT, packages]
    subprocess.run([*command, "bookworm", str(base)], capture_output=True, check=True)
    changes = [f"--change=ENV {name}={CERTIFICATES}" for name in ("SSL_CERT_FILE", "PIP_CERT")]
    podman("import", "--quiet", *changes, str(base), BASE)
    podman("tag", BASE, NGINX)
    base.unlink()


@pytest.fixture(scope="module")
def made(
    storage: dict[str, str], first_run: tuple[Project, Done], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Project, str]:
    """A project in which `make image` ran, and the name of its image."""
    project = first_run[0].copy(tmp_path_factory.mktemp("image") / "project")
    make_environment(project.root / ".venv", project.commands)
    others = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    project.ok("make", "image", "BACKEND=podman", BENTOML_HOME=str(project.home / "image"), **storage, **others)
    [image] = [
        name
        for one in json.loads(podman("images", "--format=json"))
        for name in one["Names"]
        if name not in (BASE, NGINX)
    ]
    return project, image


@dataclass
class Machine:
    """A machine on which versions are deployed, by podman."""

    project: Project
    storage: dict[str, str]
    port: int
    image: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self, image: str, *more: str, seconds: float = 120) -> list[str]:
        where = ("--backend", "podman", "--listen", f"127.0.0.1:{self.port}", "--seconds", str(seconds))
        return ["assay", "deploy", image, *where, "--", "--env", "ASSAY_API_KEY", *more]

    @property
    def environment(self) -> dict[str, str]:
        return {**self.storage, "ASSAY_API_KEY": KEY}

    def deploy(self, image: str) -> str:
        return self.project.ok(*self.command(image), **self.environment)

    def refused(self, image: str, *more: str, seconds: float = 120) -> str:
        return self.project.refused(*self.command(image, *more, seconds=seconds), **self.environment)

    def version(self) -> str:
        return str(httpx.get(f"{self.url}/model", headers=AUTHORISED).json()["model_version"])


def containers(*filters: str) -> dict[str, str]:
    """Return identity and image of all containers, by name."""
    listed = podman("ps", "--format", "{{.Names}} {{.ID}}", *filters).splitlines()
    return dict(line.split() for line in listed)


def three_ports() -> int:
    """Return the first of three free ports in a row."""
    while True:
        first = free_port()
        with suppress(OSError), ExitStack() as stack:
            for port in (first + 1, first + 2):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


def can_connect(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def machine(made: tuple[Project, str], storage: dict[str, str]) -> Iterator[Machine]:
    """A machine on which the image is deployed, as the first."""
    machine = Machine(made[0], storage, three_ports(), made[1])
    try:
        assert machine.deploy(machine.image) == f"{machine.url} now runs {machine.image}\n"
        yield machine
    finally:
        podman("rm", "--force", "--time=0", "--all")


@pytest.fixture(scope="module")
def examples(made: tuple[Project, str]) -> dict[str, Any]:
    return dict(json.loads((made[0].root / "models/examples.json").read_text()))


def test_the_image_is_small_and_runs_as_a_user_without_rights(made: tuple[Project, str]) -> None:
    about, base = json.loads(podman("image", "inspect", made[1], BASE))
    assert about["Size"] - base["Size"] <= MOST_BYTES
    assert about["Config"]["User"] == "bentoml"


def test_it_answers_as_the_model_does_on_what_cannot_be_written(machine: Machine, examples: dict[str, Any]) -> None:
    with bentoml.SyncHTTPClient(machine.url, token=KEY) as client:
        told = client.predict(rows=examples["rows"])["predictions"]
    assert [one["probabilities"]["malignant"] for one in told] == pytest.approx(
        [scores[1] for scores in examples["scores"]], abs=1e-5
    )
    assert httpx.get(machine.url).status_code == 200
    assert "Traceback" not in "".join(podman("logs", name) for name in containers())


def test_a_table_is_read_without_what_was_removed(machine: Machine, examples: dict[str, Any]) -> None:
    body = sent(pa.Table.from_pylist(examples["rows"]))
    headers = {"content-type": ARROW, **AUTHORISED}
    told = httpx.post(f"{machine.url}/predict", content=body, headers=headers)
    assert pa.ipc.open_stream(told.content).read_all().num_rows == len(examples["rows"])


def test_what_the_service_loads_is_compiled(made: tuple[Project, str]) -> None:
    script = """
import sys
from importlib.machinery import SourceFileLoader
compile, compiled = SourceFileLoader.source_to_code, []
SourceFileLoader.source_to_code = lambda self, data, path: compiled.append(str(path)) or compile(self, data, path)
sys.path[:0] = ["src", "src/src"]
import service, assay.serve.front
assert "assay.serve.serving" in sys.modules
print(*compiled)
"""
    printed = podman("run", "--rm", "--read-only", "--pull=never", "--entrypoint=python", made[1], "-c", script)
    assert [Path(path).name for path in printed.split()] == ["service.py"]


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


def layer(base: str, tag: str, root: Path, *paths: str) -> str:
    """Make an image of another in which files of a project are others; return its name."""
    copies = [f"COPY {path} /home/bentoml/bento/src/{path}\n" for path in paths]
    (root / "Containerfile").write_text("".join([f"FROM {base}\n", *copies]))
    podman("build", "--quiet", "--pull=never", "--tag", tag, str(root))
    return f"localhost/{tag}"


@dataclass
class Version:
    """An image, the version of its model, and what that answers to some rows."""

    image: str
    name: str
    rows: list[dict[str, Any]]
    scores: list[float]


def version_of(image: str, project: Project) -> Version:
    examples = json.loads((project.root / "models/examples.json").read_text())
    scores = [row[1] for row in examples["scores"][:2]]
    return Version(image, model_version(project.root / "models"), examples["rows"][:2], scores)


@pytest.fixture(scope="module")
def other(made: tuple[Project, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Version]:
    """A project with another model, and its image."""
    project = made[0].copy(tmp_path_factory.mktemp("other") / "project")
    project.set_params(model__parameters__C=0.01)
    for stage in ("tune", "train", "export"):
        project.ok("assay", "stage", stage)
    return project, version_of(layer(made[1], "other:1", project.root, "models"), project)


@contextmanager
def clients(machine: Machine, versions: list[Version]) -> Iterator[list[list[str]]]:
    """Let clients ask all the time; return what each was told: the version that answered as it should, or what came.

    One keeps its connection, one makes another for each request, and one takes its time for each.
    """
    ended, wanted = Event(), {one.name: one.scores for one in versions}
    body = json.dumps({"rows": versions[0].rows}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **AUTHORISED}

    def answer(connection: http.client.HTTPConnection, seconds: float) -> str:
        def halves() -> Iterator[bytes]:
            yield body[:100]
            ended.wait(seconds)
            yield body[100:]

        try:
            connection.request("POST", "/predict", halves(), headers)
            told = json.loads(connection.getresponse().read())
            scores = [one["probabilities"]["malignant"] for one in told["predictions"]]
            assert scores == pytest.approx(wanted[told["model_version"]], abs=1e-5)
        except Exception as error:
            return f"{error!r}"
        return str(told["model_version"])

    def ask(seconds: float, keeps: bool) -> list[str]:
        connection, told = http.client.HTTPConnection("127.0.0.1", machine.port), []
        # What is deployed meanwhile needs the processors too.
        while not ended.wait(0.02):
            told.append(answer(connection, seconds))
            if not keeps:
                connection.close()
        # Whoever is slow may not have asked what was deployed last.
        told.append(answer(connection, 0))
        connection.close()
        return told

    told: list[list[str]] = []
    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask, *how) for how in ((0, True), (0, False), (4, False))]
        try:
            yield told
        finally:
            ended.set()
        told += [one.result() for one in asking]


def interrupted(machine: Machine, image: str) -> None:
    """Begin to deploy an image, and be killed when it was started."""
    before = containers()
    environment = machine.project.environment | machine.environment
    process = subprocess.Popen(machine.command(image), env=environment, cwd=machine.project.root)
    until(lambda: len(containers()) > len(before), "the new version was started")
    process.kill()
    process.wait()


def test_a_switch_and_a_roll_back_are_noticed_by_no_client(
    machine: Machine, made: tuple[Project, str], other: tuple[Project, Version]
) -> None:
    first, second = version_of(machine.image, made[0]), other[1]
    assert first.rows == second.rows

    with clients(machine, [first, second]) as told:
        interrupted(machine, second.image)
        assert machine.deploy(second.image) == f"{machine.url} now runs {second.image}\n"
    for mine in told:
        assert [version for version, _ in groupby(mine)] == [first.name, second.name]
    assert len(containers("--all")) == 2

    # What runs already is left as it is, and runs again after a restart.
    podman("restart", f"assay-{machine.port}")
    until(lambda: can_connect(machine.port), "nginx is there")
    before = containers()
    assert machine.deploy(second.image) == f"{machine.url} already runs {second.image}\n"
    assert containers() == before

    # All versions write to one log, which is not in their containers.
    where = podman("volume", "inspect", "--format={{.Mountpoint}}", f"assay-{machine.port}-log").strip()
    logged = {row["version"] for batch in predictions(Path(where), LogCounts()) for row in batch.to_pylist()}
    assert logged == {first.name, second.name}

    with clients(machine, [first, second]) as told:
        assert machine.deploy(first.image) == f"{machine.url} now runs {first.image}\n"
    for mine in told:
        assert [version for version, _ in groupby(mine)] == [second.name, first.name]
    assert len(containers("--all")) == 2


def wrong(project: Project) -> str:
    """Make an image that is satisfied with answers that are not those of its model."""
    project = project.copy(project.root.parent / "wrong")
    settings = project.root / "models/service.json"
    content = json.loads(settings.read_text())
    content["export"]["tolerance"] = 9.0
    settings.unlink()
    settings.write_text(json.dumps(content))
    path = project.root / "models/examples.json"
    examples = json.loads(path.read_text())
    examples["scores"][0].reverse()
    path.unlink()
    path.write_text(json.dumps(examples))
    return layer("other:1", "wrong:1", project.root, "models/examples.json", "models/service.json")


BROKEN: dict[str, tuple[Callable[[Project], str], list[str], float, str]] = {
    "cannot be had": (lambda _: "localhost/nothing:1", [], 120, "podman pull: "),
    "does not start": (
        lambda _: "localhost/other:1",
        ["--entrypoint", "true"],
        120,
        "localhost/other:1: podman exec: ",
    ),
    "is not ready": (
        lambda _: "localhost/other:1",
        [],
        0,
        "localhost/other:1: http://127.0.0.1:{port}: ConnectError after 0 s",
    ),
    "answers wrongly": (
        wrong,
        [],
        120,
        "localhost/wrong:1: http://127.0.0.1:{port}: predictions differ from those recorded at export",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_new_version_that_is_broken_leaves_the_old_as_it_is(
    machine: Machine, other: tuple[Project, Version], fault: str
) -> None:
    make, options, seconds, said = BROKEN[fault]
    image = make(other[0])
    before, version = containers("--all"), machine.version()
    assert machine.refused(image, *options, seconds=seconds).startswith(said.format(port=machine.port + 2))
    assert containers("--all") == before
    assert machine.version() == version


def test_other_settings_of_nginx_are_not_passed_over(machine: Machine) -> None:
    listen = f"localhost:{machine.port}"
    command = ("assay", "deploy", machine.image, "--backend", "podman", "--listen", listen)
    name = f"assay-{machine.port}"
    said = machine.project.refused(*command, **machine.environment)
    assert said.startswith(f"{name}: runs with other settings; run `podman rm --force {name}`")
