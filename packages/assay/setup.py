"""The wheel carries the template, for `assay upgrade`, and what builds it, for `assay eject`."""

import os
import runpy
import shutil
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
# Source that came out of a wheel has the template with it. In Assay's own repository it is the folder around the
# package, and `copy/` holds what a copy gets in place of a file there.
KEPT = HERE / "template.zip"
AROUND = HERE.parents[1]
INSTEAD = HERE / "copy"
# The manual, beside the package in its own repository and inside it in source that came out of a wheel.
MANUAL = next((path for path in (HERE / "docs", HERE / "src/assay/manual") if path.is_dir()), None)
# Folders that Python and npm make.
MADE = {"__pycache__", "node_modules"}
BUILT_BY = ("LICENSE", "README.md", "pyproject.toml", "setup.py")

# The same source makes the same bytes: dates and permissions of files do not count.
os.environ.setdefault("SOURCE_DATE_EPOCH", "315532800")
os.umask(0o022)


def template() -> dict[str, Path]:
    """Return where each file of the template is, by its path in a copy."""
    listing = runpy.run_path(str(HERE / "src/assay/adoption/listing.py"))
    found = {}
    for root in (AROUND, INSTEAD):
        tops = {top for pattern in listing["TEMPLATE"] for top in root.glob(pattern.partition("/")[0])}
        files = [path for top in tops for path in (top, *top.rglob("*")) if path.is_file()]
        found |= {path.relative_to(root).as_posix(): path for path in files if not MADE & {*path.parts}}
    return {name: path for name, path in found.items() if listing["owner"](name) == "template"}


class WithTemplate(build_py):
    """Copies the package, and puts the template beside its modules."""

    def run(self) -> None:
        """Copy both."""
        super().run()
        if self.editable_mode:
            return
        folder = Path(self.build_lib, "assay")
        if KEPT.exists():
            shutil.copyfile(KEPT, folder / KEPT.name)
        else:
            with ZipFile(folder / KEPT.name, "w", ZIP_DEFLATED) as archive:
                for name, path in sorted(template().items()):
                    archive.writestr(ZipInfo(name), path.read_bytes(), ZIP_DEFLATED)
        for name in BUILT_BY:
            (folder / "built_by").mkdir(exist_ok=True)
            shutil.copyfile(HERE / name, folder / "built_by" / name)
        if MANUAL:
            # The pictures are for the README.
            shutil.copytree(MANUAL, folder / "manual", ignore=shutil.ignore_patterns("pictures"), dirs_exist_ok=True)
        readable(folder)


class Alike(bdist_wheel):
    """Makes the same bytes of the same source."""

    def egg2dist(self, egginfo_path: str, distinfo_path: str) -> None:
        """Copy what the wheel says of itself, the licence with the permissions that it has here."""
        super().egg2dist(egginfo_path, distinfo_path)
        readable(Path(distinfo_path))


def readable(folder: Path) -> None:
    """Give all below a folder the permissions that files usually have."""
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


setup(cmdclass={"build_py": WithTemplate, "bdist_wheel": Alike})
