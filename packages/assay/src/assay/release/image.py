"""The image of the service, built from the Bento, with its SBOM."""

import re
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE, STDOUT

from assay.base.errors import InputError
from assay.base.files import write_text
from assay.base.process import run
from assay.base.progress import say

SBOM = Path("build/sbom.json")
REQUIREMENTS = Path("build/requirements.txt")


def make(name: str | None, backend: str) -> str:
    """Build the Bento of the project and its image, and write build/sbom.json; return the tag of the Bento.

    The image is called `name`, by default like the Bento. Raises InputError if a step fails.
    """
    tag = run(sys.executable, "-m", "bentoml", "build", "--output", "tag").strip().removeprefix("__tag__:")
    # Docker's own format: others have no health check, which the Bento uses.
    options = ["--opt", "format=docker"] if backend in ("podman", "buildah") else []
    named = ["--image-tag", name] if name else []
    command = [sys.executable, "-m", "bentoml", "containerize", tag, "--backend", backend, *named, *options]
    say(f"building the image of {tag} with {backend}: takes a few minutes")
    done = subprocess.run(command, stdout=PIPE, stderr=STDOUT, text=True, check=False)
    if done.returncode:
        say(done.stdout.rstrip())
        raise InputError(f"{backend} could not build the image of {tag}; its output is above")
    write_text(REQUIREMENTS, with_hashes(_requirements(tag)))
    tool = Path(sys.executable).with_name("cyclonedx-py")
    run(str(tool), "requirements", "--output-reproducible", "--output-file", str(SBOM), str(REQUIREMENTS))
    return tag


def with_hashes(requirements: str) -> str:
    """Return requirements without the line that BentoML adds: its own name without a hash."""
    return re.sub(r"^bentoml==[^ ]*\n", "", requirements, flags=re.MULTILINE)


def _requirements(tag: str) -> str:
    import bentoml

    return Path(bentoml.get(tag).path, "env/python/requirements.txt").read_text(encoding="utf-8")
