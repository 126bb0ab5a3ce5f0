"""The image of the service: Python and what the service needs, without compilers and without what nobody loads."""

import shutil
from pathlib import Path
from shlex import join
from typing import Any

from bentoml.images import Image

BASE = "docker.io/library/python:3.11-slim"

# The half of pyarrow that nothing here loads: headers, tests, Flight, S3, and copies of what it does load.
UNUSED = [f"pyarrow/{part}" for part in ("include", "*flight*", "*s3*", "libarrow_python.so", "libarrow_python.so.*.*")]

# BentoML fills the image with uv. What is removed after that step still takes room, in the layer below; so what BentoML
# takes for uv is this script, that fetches uv, itself a tenth of the image, and tidies up within the step.
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

# Where Assay's code waits in a Bento. BentoML copies the folder into the image first of all.
ASSAY = "env/docker/assay"
PACKAGES = "/app/.venv/lib/python3*/site-packages"
# Where nothing can be written, each start would compile the code again. By hash, since a copied file has another time.
INSTALL = (
    f"cp -r {ASSAY} {PACKAGES}/",
    f"python -m compileall -q --invalidation-mode checked-hash {PACKAGES}/assay src/src",
)


class ServiceImage(Image):  # type: ignore[misc]
    """An image that gets the part of the installed Assay that the service imports, and nothing else of it."""

    def freeze(self, bento_fs: Path, *given: Any, **more: Any) -> Any:
        """Put Assay's code into the Bento that is being built, and do what BentoML does."""
        copy_service(Path(str(bento_fs)) / ASSAY)
        return super().freeze(bento_fs, *given, **more)


def copy_service(to: Path) -> None:
    """Copy the modules that the service imports, and the pages that it shows, to a folder."""
    from assay.project.fingerprint import SOURCE, part_files

    files = part_files("service")
    # Python needs those of packages that hold no code, too.
    folders = {folder for path in files for folder in path.parents if folder.is_relative_to(SOURCE)}
    for path in files | {folder / "__init__.py" for folder in folders}:
        place = to / path.relative_to(SOURCE)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)


def image(requirements: str) -> Image:
    """Return the image for requirements; without them where there is no such file, as in a Bento, built already."""
    made = ServiceImage(base_image=BASE, distro="", lock_python_packages=False)
    made.run(f"{SCRIPT} > /usr/local/bin/uv && chmod +x /usr/local/bin/uv")
    if Path(requirements).exists():
        made.requirements_file(requirements).build_include("src")
        for command in INSTALL:
            made.run(command)
    return made
