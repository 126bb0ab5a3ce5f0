"""The wheel carries the files of the template, from which `assay upgrade` merges; all else is in pyproject.toml."""

import os
import runpy
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
# The source of a wheel holds the template. In Assay's own repository it is the folder around the package, and `copy/`
# has what a copy gets in place of a file there.
INSIDE = HERE / "src/assay/template"
AROUND = HERE.parents[1]
INSTEAD = HERE / "copy"

# The same source makes the same bytes: dates and permissions of files do not count.
os.environ.setdefault("SOURCE_DATE_EPOCH", "315532800")
os.umask(0o022)


def template_files() -> dict[str, Path]:
    """Return where each file of the template lies, by its path in a copy."""
    if INSIDE.is_dir():
        return {path.relative_to(INSIDE).as_posix(): path for path in sorted(INSIDE.rglob("*")) if path.is_file()}
    listing = runpy.run_path(str(HERE / "src/assay/adoption/listing.py"))
    found = {}
    for root in (AROUND, INSTEAD):
        tops = {root / pattern.partition("/")[0] for pattern in listing["TEMPLATE"]}
        tops = {path for top in tops for path in root.glob(top.name)}
        paths = sorted(path for top in tops for path in ([top] if top.is_file() else top.rglob("*")))
        found |= {path.relative_to(root).as_posix(): path for path in paths if path.is_file()}
    return {
        name: path
        for name, path in found.items()
        if listing["owner"](name) == "template" and "/__pycache__/" not in name
    }


class WithTemplate(build_py):
    """Copies the package, and the template into it."""

    def run(self) -> None:
        """Copy both."""
        super().run()
        if self.editable_mode:
            return
        folder = Path(self.build_lib, "assay")
        for name, path in template_files().items():
            place = folder / "template" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        for path in folder.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)


setup(cmdclass={"build_py": WithTemplate})
