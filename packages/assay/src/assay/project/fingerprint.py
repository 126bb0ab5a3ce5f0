"""Hashes of the Assay code that results depend on, in a file that DVC, the gates and releases compare.

DVC watches only files of the project, and Assay is installed outside it. `requirements/process.yaml` therefore has a
hash of the code of each stage, of the gates (`judge`) and of the service. A change of Assay that can affect results
changes a hash; any other change, for example of the report, does not.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import assay
from assay.base.config import read_yaml
from assay.base.files import sha256, sha256_of_all, write_text
from assay.project.imports import Imports
from assay.project.layout import STAGES

PROCESS = Path("requirements/process.yaml")
SOURCE = Path(assay.__file__).parent
# The entry modules of each part; the modules that they import belong to it too.
STARTS: Mapping[str, tuple[str, ...]] = {
    **{stage: (f"stages/{stage}",) for stage in STAGES},
    # Gates are imported by name.
    "judge": ("gates/*", "load/run", "load/driver", "load/payloads"),
    # The image runs a smoke test on its own service.
    "service": ("serve/service", "release/smoke"),
}
# What an image can run besides: it changes no answer of the service, so nothing has to be tested again.
BESIDES: Mapping[str, tuple[str, ...]] = {"monitor": ("production/run",)}
HEADER = """\
# Which of Assay's code the stages, the gates (judge) and the service run, as hashes. DVC runs a stage again when its
# hash changes. Written by `assay repro` and `assay upgrade`.
"""


def part_files(part: str, source: Path = SOURCE, imports: Imports | None = None) -> set[Path]:
    """Return the files of a part of Assay: modules, and the pages and templates that they read."""
    # An installed wheel shares its folder with all other packages.
    imports = imports or Imports(source.parent, only=source.name)
    starts = {**STARTS, **BESIDES}[part]
    modules = imports.closure(*(path for module in starts for path in source.glob(f"{module}.py")))
    return modules | {path for module in modules for path in _data(module)}


def fingerprints(source: Path = SOURCE, parts: Iterable[str] = STARTS) -> dict[str, str]:
    """Return the hash of each part of the Assay package in the folder `source`."""
    imports = Imports(source.parent, only=source.name)
    # A module may be of several parts.
    digest = cache(sha256)
    return {part: sha256_of_all(part_files(part, source, imports), source, digest)[:16] for part in parts}


def recorded(path: Path = PROCESS) -> dict[str, str]:
    """Return the recorded hashes, empty if there is no such file; raises InputError for a broken file."""
    return dict(read_yaml(path) or {}) if path.exists() else {}


def refresh(path: Path = PROCESS) -> bool:
    """Record the hashes of the installed Assay; return whether they changed."""
    text = HEADER + "".join(f'{part}: "{digest}"\n' for part, digest in fingerprints().items())
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    write_text(path, text)
    return True


def _data(module: Path) -> list[Path]:
    """Return the pages and templates in the folder of a module that the module names."""
    code = module.read_text(encoding="utf-8")
    siblings = (path for suffix in ("html", "js", "j2") for path in module.parent.glob(f"*.{suffix}"))
    return [path for path in siblings if f'"{path.name}"' in code]
