"""A release: its version, and its image by digest."""

import re
import tempfile
from pathlib import Path

from assay.base.errors import InputError
from assay.base.git import git_or_none
from assay.base.process import run
from assay.contract.compatible import serves_clients_of
from assay.contract.spec import CONTRACT, Contract, load_contract
from assay.gates.contract import differences
from assay.gates.scope import is_outside
from assay.project.history import VERSION, changed_lines, file_at, head, last_release
from assay.project.identity import LOCK
from assay.project.pipeline import locked_stages

REGISTRY = "ghcr.io"
# What docker says of an image that a registry does not have, or has not shown to anyone yet.
ABSENT = "manifest unknown|no such manifest|not found|name unknown|denied"
FIRST = "v1.0.0"
# Entries of dvc.lock that change with the model: the data and the fitted model.
MODEL = ("data", "build/model")


def version() -> str | None:
    """Return the version for a release of the current commit, None if nothing relevant changed.

    MAJOR: contract.yaml changed so that clients of the service may have to change. MINOR: contract.yaml changed so that
    they need not, or a new model, from changed data, parameters or code. PATCH: neither.
    """
    before = last_release()
    if before is None:
        return FIRST
    # A release of this commit was begun.
    if is_tagged(before):
        return before
    if all(is_outside(path) for path, _, _ in changed_lines(before)):
        return None
    major, minor, patch = map(int, before.removeprefix("v").split("."))
    old, new = _contract_at(before), load_contract()
    if not serves_clients_of(old, new):
        return f"v{major + 1}.0.0"
    if differences(old, new) or _made(file_at(before, LOCK)) != _made(LOCK.read_bytes()):
        return f"v{major}.{minor + 1}.0"
    return f"v{major}.{minor}.{patch + 1}"


def is_tagged(tag: str) -> bool:
    """Return whether a tag is that of the current commit."""
    return git_or_none("rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}") == head()


def image(repository: str, tag: str) -> str:
    """Return the name of the image of a version of `owner/name`; registries allow only lower case."""
    return f"{REGISTRY}/{repository.lower()}:{tag}"


def push(name: str) -> str:
    """Push an image and return its digest, which identifies its content. Raises InputError if it fails.

    An image that is in the registry under this name stays: its digest is returned.
    """
    if _is_in_registry(name):
        run("docker", "pull", "--quiet", name)
    else:
        run("docker", "push", "--quiet", name)
    found = run("docker", "image", "inspect", "--format", "{{range .RepoDigests}}{{println .}}{{end}}", name).split()
    mine = [one.partition("@")[2] for one in found if one.startswith(f"{name.rpartition(':')[0]}@")]
    if not mine:
        raise InputError(f"{name}: was pushed but has no digest")
    return mine[0]


def recorded(repository: str, wanted: str) -> str:
    """Return the image of a version by the digest that its release names; raises InputError if there is none."""
    name = _image_of(repository, wanted).rpartition(":")[0]
    asked = ("release", "download", wanted, "--repo", repository, "--pattern", "image.txt", "--output", "-")
    found = run("gh", *asked).strip()
    if not re.fullmatch(rf"{re.escape(name)}@sha256:[0-9a-f]{{64}}", found):
        raise InputError(f"{wanted}: image.txt of the release does not name an image {name} by its digest")
    return found


def verified(repository: str, wanted: str, branch: str) -> str:
    """Return the image of a version by its digest, after verifying that release.yml built it on a branch.

    Raises InputError for an invalid version, and for an image without that signature.
    """
    name = _image_of(repository, wanted)
    signed = (
        *("--repo", repository, "--signer-workflow", f"{repository}/.github/workflows/release.yml"),
        *("--source-ref", f"refs/heads/{branch}", "--deny-self-hosted-runners"),
    )
    subject = ".[0].verificationResult.statement.subject[0].digest.sha256"
    digest = run("gh", "attestation", "verify", f"oci://{name}", *signed, "--format", "json", "--jq", subject).strip()
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise InputError(f"{name}: is signed, but the signature names no digest")
    return f"{name.rpartition(':')[0]}@sha256:{digest}"


def _image_of(repository: str, wanted: str) -> str:
    if not re.fullmatch(VERSION, wanted):
        raise InputError(f"{wanted!r}: not a version; write it like {FIRST}")
    return image(repository, wanted)


def _is_in_registry(name: str) -> bool:
    try:
        run("docker", "manifest", "inspect", name)
    except InputError as error:
        if re.search(ABSENT, str(error)):
            return False
        raise
    return True


def _contract_at(commit: str) -> Contract:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, CONTRACT.name)
        path.write_bytes(file_at(commit, CONTRACT) or b"")
        return load_contract(path)


def _made(lock: bytes | None) -> set[tuple[str, str | None]]:
    stages = locked_stages(lock.decode()) if lock else {}
    entries = [one for stage in stages.values() for one in [*stage.get("deps", []), *stage.get("outs", [])]]
    return {(one["path"], one.get("md5")) for one in entries if one["path"] in MODEL}
