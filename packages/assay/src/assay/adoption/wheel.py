"""The wheel of Assay: building it from source, reading it, and locking it by hash."""

import hashlib
import io
import shutil
import zipfile
from dataclasses import dataclass
from email.parser import BytesParser
from pathlib import Path
from tempfile import TemporaryDirectory

from assay.adoption.changes import files_here
from assay.adoption.listing import owner
from assay.base.errors import InputError
from assay.base.process import run_python
from assay.project.fingerprint import PROCESS
from assay.project.history import last_change, write_commit

SOURCE = Path("packages/assay")
VENDOR = Path("vendor")
LOCK = Path("requirements/assay.txt")
# In the wheel: the template files, and the source files that are not modules.
TEMPLATE = "assay/template.zip"
BUILT_BY = "assay/built_by/"
HEADER = "# Assay itself. Written by `assay adopt` and `assay upgrade`.\n"


@dataclass(frozen=True)
class Wheel:
    """A wheel of Assay: its file name, its bytes, its version and the files of its template."""

    name: str
    content: bytes
    version: str
    template: dict[str, bytes]

    def files(self) -> dict[Path, bytes]:
        """Return the files of a project that installs this wheel."""
        digest = hashlib.sha256(self.content).hexdigest()
        line = f"./{VENDOR.as_posix()}/{self.name} --hash=sha256:{digest}\n"
        return {VENDOR / self.name: self.content, LOCK: (HEADER + line).encode()}


def read_wheel(path: Path) -> Wheel:
    """Read a wheel; raises InputError if it is not a wheel of Assay."""
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            about = next((name for name in archive.namelist() if name.endswith(".dist-info/METADATA")), "METADATA")
            metadata = BytesParser().parsebytes(archive.read(about))
            if metadata["Name"] != "assay" or TEMPLATE not in archive.namelist():
                message = f"{metadata['Name']} {metadata['Version']}"
                raise InputError(f"{path.name}: is {message}, not an Assay wheel for this project")
            inner = archive.read(TEMPLATE)
        with zipfile.ZipFile(io.BytesIO(inner)) as archive:
            template = {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, KeyError):
        raise InputError(f"{path}: is not a wheel") from None
    return Wheel(path.name, content, str(metadata["Version"]), template)


def build() -> Wheel:
    """Build the wheel from the present source, with the template files that belong to that source.

    The user may have changed template files since, and a later merge needs the originals.
    """
    with TemporaryDirectory() as folder:
        root = Path(folder)
        _source(root / "source")
        made = root / "made"
        made.mkdir()
        command = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
        failure = f"{SOURCE}: the wheel cannot be built"
        run_python("-c", command, str(made), folder=root / "source" / SOURCE, name=failure)
        return read_wheel(next(made.glob("*.whl")))


def process_of(wheel: Wheel) -> bytes:
    """Return the file with the hashes of a wheel's code, made by that code itself."""
    with TemporaryDirectory() as folder:
        unpack(wheel, Path(folder))
        command = "from assay.project.fingerprint import refresh; refresh()"
        Path(folder, PROCESS.parent).mkdir()
        failure = f"{wheel.name}: does not run with the installed packages"
        run_python("-P", "-c", command, folder=Path(folder), name=failure, PYTHONPATH=folder)
        return Path(folder, PROCESS).read_bytes()


def unpack(wheel: Wheel, folder: Path) -> None:
    """Write the files of a wheel to a folder."""
    with zipfile.ZipFile(io.BytesIO(wheel.content)) as archive:
        archive.extractall(folder)


def _source(folder: Path) -> None:
    """Write package and template as of the last commit that changed the package; without git as they are."""
    folder.mkdir()
    commit = last_change(SOURCE)
    if commit is not None:
        write_commit(commit, folder)
        return
    for path in files_here():
        if owner(path.as_posix()) != "user":
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / path)
