"""The image of the service: Python and what the service imports, without compilers and unused files."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from shlex import join
from typing import Any

from bentoml.images import Image

BASE = "docker.io/library/python:3.11-slim"

# The half of pyarrow that is never loaded here: headers, tests, Flight, S3, and duplicates of libraries.
UNUSED = [f"pyarrow/{part}" for part in ("include", "*flight*", "*s3*", "libarrow_python.so", "libarrow_python.so.*.*")]

# BentoML installs packages with uv. Files removed in a later step still take space in the layer below. So this script
# stands in for uv: it installs uv, itself a tenth of the image, runs it, and cleans up in the same step.
UV = (
    "#!/bin/sh -e",
    "pip install --quiet --no-cache-dir --root-user-action ignore --target /opt/uv uv",
    '/opt/uv/bin/uv --no-cache "$@"',
    "rm -r /opt/uv",
    "cd /app/.venv/lib/python*/site-packages",
    "find . -depth -type d -name tests -exec rm -r {} +",
    f"rm -rf {' '.join(UNUSED)}",
)
SCRIPT = join(["printf", r"%s\n", *UV])

# LightGBM, unlike scikit-learn, does not bring the library for its threads.
OPENMP = (
    "apt-get update -qq && apt-get install -qq --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*"
)

# The folder of a Bento with Assay's code, which BentoML copies into the image first.
ASSAY = "env/docker/assay"
PACKAGES = "/app/.venv/lib/python3*/site-packages"
# A read-only container would compile the code at each start. By hash, because copying changes the time of a file.
INSTALL = (
    f"cp -r {ASSAY} {PACKAGES}/",
    # A new volume that is mounted there gets its owner, who may write to it then.
    "install -d -o bentoml -g bentoml /home/bentoml/monitoring",
    f"python -m compileall -q --invalidation-mode checked-hash {PACKAGES}/assay src/src",
)


class ServiceImage(Image):  # type: ignore[misc]
    """An image with only the modules of the installed Assay that the service and the monitor import."""

    def freeze(self, bento_fs: Path, *given: Any, **more: Any) -> Any:
        """Copy Assay's code into the Bento being built, then do what BentoML does."""
        copy_service(Path(str(bento_fs)) / ASSAY)
        return super().freeze(bento_fs, *given, **more)


def copy_service(to: Path) -> None:
    """Copy the modules that the service and the monitor import, and their pages, to a folder."""
    from assay.project.fingerprint import SOURCE, part_files

    files = part_files("service") | part_files("monitor")
    # Python needs the __init__.py of every package, even without code.
    folders = {folder for path in files for folder in path.parents if folder.is_relative_to(SOURCE)}
    for path in files | {folder / "__init__.py" for folder in folders}:
        copy = to / path.relative_to(SOURCE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def needs_openmp(about: Mapping[str, Any]) -> bool:
    """Say whether the service of the model that model.json is about runs LightGBM."""
    return about["served"] == "skops" and "lightgbm" in about["versions"]


def image(requirements: str, about: Mapping[str, Any]) -> Image:
    """Return the image for requirements and a model.

    Without the requirements if the file is missing, as in a Bento that is already built.
    """
    made = ServiceImage(base_image=BASE, distro="", lock_python_packages=False)
    made.run(f"{SCRIPT} > /usr/local/bin/uv && chmod +x /usr/local/bin/uv")
    if Path(requirements).exists():
        if needs_openmp(about):
            made.run(OPENMP)
        made.requirements_file(requirements).build_include("src")
        for command in INSTALL:
            made.run(command)
    return made
