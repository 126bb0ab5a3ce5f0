"""The image of the service: packed from the Bento, with the list of what is in it."""

import re
import subprocess
import sys
from pathlib import Path

from assay.base.errors import InputError
from assay.base.files import write_text
from assay.base.process import run

SBOM = Path("build/sbom.json")
REQUIREMENTS = Path("build/requirements.txt")


def make(name: str | None, backend: str) -> str:
    """Build the Bento of the project and its image, and write build/sbom.json; return the tag of the Bento.

    The image is called `name`, by default as the Bento. Raises InputError with the last line of what failed.
    """
    tag = run(sys.executable, "-m", "bentoml", "build", "--output", "tag").strip().removeprefix("__tag__:")
    # Docker's own format, since Bento's health check is part of no other.
    options = ["--opt", "format=docker"] if backend in ("podman", "buildah") else []
    named = ["--image-tag", name] if name else []
    command = [sys.executable, "-m", "bentoml", "containerize", tag, "--backend", backend, *named, *options]
    if subprocess.run(command, check=False).returncode:
        raise InputError(f"{backend} could not build the image of {tag}: its output above says why")
    write_text(REQUIREMENTS, with_hashes(_requirements(tag)))
    tool = Path(sys.executable).with_name("cyclonedx-py")
    run(str(tool), "requirements", "--output-reproducible", "--output-file", str(SBOM), str(REQUIREMENTS))
    return tag


def with_hashes(requirements: str) -> str:
    """Return requirements without the line that BentoML adds: its own name again, without a hash."""
    return re.sub(r"^bentoml==[^ ]*\n", "", requirements, flags=re.MULTILINE)


def _requirements(tag: str) -> str:
    import bentoml

    return Path(bentoml.get(tag).path, "env/python/requirements.txt").read_text(encoding="utf-8")
