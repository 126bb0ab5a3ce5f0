"""What dvc.lock says of the stages, and what their code imports: DVC itself does not follow imports."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from assay.config import read_yaml
from assay.errors import InputError
from assay.yaml12 import parse_yaml

ROOMS = ("assay", "model")


class Imports:
    """Which files of a project import which; each is read once, when it is first asked for."""

    def __init__(self, source: Path) -> None:
        """Take the folder that holds the packages."""
        self._source = source
        self._parsed: dict[Path, tuple[list[Path], bool]] = {}

    def of(self, module: Path) -> set[Path]:
        """Return a module and the files that it imports, directly or not, wherever the import stands.

        A package's `__init__.py` counts when it holds code.
        """
        seen: set[Path] = set()
        waiting = [module]
        while waiting:
            current = waiting.pop()
            if current not in seen:
                seen.add(current)
                waiting += self._parse(current)[0]
        return {path for path in seen if path.name != "__init__.py" or self._parse(path)[1]}

    def _parse(self, module: Path) -> tuple[list[Path], bool]:
        """Return the files that a module imports itself, and whether it holds code."""
        if module not in self._parsed:
            tree = ast.parse(module.read_text())
            self._parsed[module] = list(_imported(tree, module, self._source)), _has_code(tree)
        return self._parsed[module]


def locked_stages(text: str) -> Mapping[str, Any]:
    """Return what a dvc.lock says of each stage; raises InputError for one that is no YAML, such as after a merge."""
    try:
        return (parse_yaml(text) or {}).get("stages") or {}
    except ValueError as error:
        raise InputError(f"dvc.lock: not valid YAML: {error}") from None


def undeclared(pipeline: Path, source: Path) -> dict[str, list[str]]:
    """Return for each stage of a dvc.yaml the local modules that it imports and does not list under deps."""
    stages = read_yaml(pipeline)["stages"]
    imports = Imports(source)
    missing: dict[str, list[str]] = {}
    for name, stage in stages.items():
        module = source / "assay" / "stages" / f"{name}.py"
        # A stage of one's own may run anything.
        modules = imports.of(module) if module.exists() else set()
        wanted = {path.relative_to(pipeline.parent).as_posix() for path in modules}
        if absent := sorted(wanted - set(stage.get("deps") or [])):
            missing[name] = absent
    return missing


def _imported(tree: ast.Module, module: Path, source: Path) -> Iterator[Path]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # What is imported from a package may be a module of it. A leading dot is the package of this module.
            package = module.relative_to(source).parts[: -node.level] if node.level else ()
            base = ".".join([*package, node.module] if node.module else package)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if name.split(".")[0] in ROOMS:
                yield from _files(name, source)


def _files(name: str, source: Path) -> Iterator[Path]:
    """Yield the file of a module and those of the packages around it, if they exist."""
    parts = name.split(".")
    candidates = [source.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    candidates.append(source.joinpath(*parts).with_suffix(".py"))
    yield from (path for path in candidates if path.is_file())


def _has_code(tree: ast.Module) -> bool:
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in tree.body)
