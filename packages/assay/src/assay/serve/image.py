"""The image of the service: Python and what the service needs, without compilers and without what nobody loads."""

from pathlib import Path
from shlex import join

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

# By hash, for with another time a file would be compiled again.
COMPILE = "python -m compileall -q --invalidation-mode checked-hash src/src"


def image(requirements: str) -> Image:
    """Return the image for requirements; without them where there is no such file, as in a Bento, built already."""
    made = Image(base_image=BASE, distro="", lock_python_packages=False)
    made.run(f"{SCRIPT} > /usr/local/bin/uv && chmod +x /usr/local/bin/uv")
    if Path(requirements).exists():
        # Where nothing can be written, each start would compile the code anew.
        made.requirements_file(requirements).build_include("src").run(COMPILE)
    return made
