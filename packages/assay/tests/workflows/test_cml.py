"""CML is what its lock says: the real npm, and a registry on loopback that has a package of that name."""

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from machine import lacks
from npm import NotHereError, installed
from scenario.project import SOURCE

LOCK = ".github/cml/package-lock.json"
COMMAND = ".github/cml/node_modules/.bin/cml"
CML, PART = "@dvcorg/cml", "part"
OLD, NEW = "2024-10-24", "2026-01-01"


def packed(**files: str) -> bytes:
    """Return a package of npm."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"package/{name.replace('_', '.')}")
            entry.size, entry.mode = len(text), 0o755
            archive.addfile(entry, io.BytesIO(text.encode()))
    return made.getvalue()


class Registry(ThreadingHTTPServer):
    """Has CML, which says the version of the one package that it needs, and that package, old and new."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.tarballs: dict[str, bytes] = {}
        self.packages: dict[str, dict] = {}
        program = f"#!/usr/bin/env node\nconsole.log(require('{PART}/package.json').version)\n"
        self.publish(CML, "0.20.6", OLD, {"dependencies": {PART: "^1.0.0"}, "bin": {"cml": "cml.js"}}, cml_js=program)
        self.publish(PART, "1.0.0", OLD, {})
        self.publish(PART, "1.1.0", NEW, {})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def publish(self, name: str, version: str, day: str, about: dict, **files: str) -> None:
        about = {"name": name, "version": version} | about
        path = f"/{name}/-/{version}.tgz"
        self.tarballs[path] = packed(package_json=json.dumps(about), **files)
        digest = base64.b64encode(hashlib.sha512(self.tarballs[path]).digest()).decode()
        found = self.packages.setdefault(f"/{name}", {"name": name, "versions": {}, "time": {}, "dist-tags": {}})
        found["versions"][version] = about | {"dist": {"tarball": self.url + path, "integrity": f"sha512-{digest}"}}
        found["time"][version] = f"{day}T00:00:00.000Z"
        found["dist-tags"]["latest"] = version


class Answers(BaseHTTPRequestHandler):
    """What a registry answers."""

    server: Registry

    def do_GET(self) -> None:
        path = unquote(self.path)
        found = self.server.tarballs.get(path) or json.dumps(self.server.packages.get(path, {})).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(found)))
        self.end_headers()
        self.wfile.write(found)

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def registry() -> Iterator[Registry]:
    if shutil.which("npm") is None:
        lacks("npm is not here")
    with Registry() as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files of the project that say how CML is installed."""
    folder = tmp_path / "copy"
    shutil.copytree(SOURCE / ".github/cml", folder / ".github/cml", ignore=shutil.ignore_patterns("node_modules"))
    shutil.copy(SOURCE / "Makefile", folder)
    return folder


def make(target: str, copy: Path, registry: Registry) -> subprocess.CompletedProcess[str]:
    # Each run starts with an empty cache, as on a new machine.
    cache = copy / f"cache-{len(list(copy.iterdir()))}"
    settings = {"NPM_CONFIG_REGISTRY": registry.url, "NPM_CONFIG_CACHE": str(cache), "HOME": str(copy)}
    settings |= {"NPM_CONFIG_UPDATE_NOTIFIER": "false", "NPM_CONFIG_FETCH_RETRIES": "0"}
    environment = {"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1"} | settings
    return subprocess.run(["make", target], cwd=copy, env=environment, capture_output=True, text=True, check=False)


def locked(folder: Path) -> dict[str, dict]:
    """Return what the lock in a folder says about each package."""
    lock = json.loads((folder / LOCK).read_text())
    return {name.removeprefix("node_modules/"): about for name, about in lock["packages"].items() if name}


def test_cml_is_locked_by_hash_and_what_is_not_as_locked_is_refused(copy: Path, registry: Registry):
    (copy / LOCK).unlink()
    made = make("lock-cml", copy, registry)
    assert made.returncode == 0, made.stderr
    packages = locked(copy)
    assert {name: about["version"] for name, about in packages.items()} == {CML: "0.20.6", PART: "1.1.0"}
    assert all(about["integrity"].startswith("sha512-") for about in packages.values())
    assert registry.url not in (copy / LOCK).read_text()

    made = make("cml", copy, registry)
    assert made.returncode == 0, made.stderr
    assert subprocess.run([copy / COMMAND], capture_output=True, text=True, check=True).stdout == "1.1.0\n"

    registry.tarballs[f"/{PART}/-/1.1.0.tgz"] = packed(
        package_json=json.dumps({"name": PART, "version": "1.1.0"}) + " "
    )
    made = make("cml", copy, registry)
    assert made.returncode != 0
    assert "EINTEGRITY" in made.stderr
    assert not (copy / COMMAND).exists()


def test_the_lock_of_the_template_has_the_hash_of_each_package_but_cml_and_no_address():
    packages = locked(SOURCE)
    asked = json.loads((SOURCE / LOCK).with_name("package.json").read_text())["dependencies"]
    assert asked == {CML: packages[CML]["version"]}
    assert {name for name, about in packages.items() if not about.get("integrity", "").startswith("sha512-")} == {CML}
    assert not [name for name, about in packages.items() if "resolved" in about]


def test_a_lock_with_only_the_version_of_cml_installs_it_and_gets_its_hash_later(copy: Path, registry: Registry):
    (copy / LOCK).unlink()
    make("lock-cml", copy, registry)
    whole = json.loads((copy / LOCK).read_text())
    hashed = whole["packages"][f"node_modules/{CML}"].pop("integrity")
    (copy / LOCK).write_text(json.dumps(whole))

    made = make("cml", copy, registry)
    assert made.returncode == 0, made.stderr
    assert (copy / COMMAND).exists()
    made = make("lock-cml", copy, registry)
    assert made.returncode == 0, made.stderr
    assert locked(copy)[CML]["integrity"] == hashed


@pytest.mark.nightly
def test_npm_has_each_package_of_the_lock_as_it_is_locked(tmp_path: Path):
    """All but CML itself, which not every registry has."""
    lock = json.loads((SOURCE / LOCK).read_text())
    parts = lock["packages"].pop(f"node_modules/{CML}")["dependencies"]
    lock["packages"][""] = {"dependencies": parts}
    (tmp_path / "package.json").write_text(json.dumps({"private": True, "dependencies": parts}))
    (tmp_path / "package-lock.json").write_text(json.dumps(lock))
    try:
        made = installed(tmp_path)
    except NotHereError as error:
        lacks(str(error))
    command = ["node", "--eval", "process.argv.slice(1).forEach((name) => import(name))", *parts]
    subprocess.run(command, cwd=made, check=True)
