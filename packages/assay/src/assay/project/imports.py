"""The files of a source tree that a module imports, directly or indirectly; DVC does not follow imports."""

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple


class Imports:
    """The import graph of the packages in one folder; each file is read once, on first use."""

    def __init__(self, source: Path, only: str | None = None) -> None:
        """Set the folder of the packages, and the only package to follow imports into, by default all."""
        self._source = source
        self._only = only
        self._parsed: dict[Path, tuple[list[Path], bool]] = {}
        self._found: dict[str, list[Path]] = {}

    def closure(self, *modules: Path) -> set[Path]:
        """Return modules and the files that they import, directly or indirectly, also inside functions.

        A package's `__init__.py` counts if it contains code.
        """
        seen: set[Path] = set()
        waiting = list(modules)
        while waiting:
            current = waiting.pop()
            if current not in seen:
                seen.add(current)
                waiting += self._parse(current)[0]
        return {path for path in seen if path.name != "__init__.py" or self._parse(path)[1]}

    def direct(self, module: Path) -> list[Path]:
        """Return the files that a module imports itself."""
        return self._parse(module)[0]

    def _parse(self, module: Path) -> tuple[list[Path], bool]:
        if module not in self._parsed:
            found = _code(module.read_text(encoding="utf-8"))
            self._parsed[module] = list(self._imported(found.imports, module)), found.is_more_than_words
        return self._parsed[module]

    def _imported(self, imports: list[ast.Import | ast.ImportFrom], module: Path) -> Iterator[Path]:
        for node in imports:
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                # A name imported from a package may be a module. A leading dot is the package of this module.
                package = module.relative_to(self._source).parts[: -node.level] if node.level else ()
                base = ".".join([*package, node.module] if node.module else package)
                names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
            for name in names:
                yield from self._files(name)

    def _files(self, name: str) -> list[Path]:
        """Return the file of a module and the `__init__.py` of its packages, if they are below the folder."""
        if name not in self._found:
            parts = name.split(".")
            candidates = [self._source.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
            candidates.append(self._source.joinpath(*parts).with_suffix(".py"))
            is_followed = self._only in (None, parts[0])
            self._found[name] = [path for path in candidates if path.is_file()] if is_followed else []
        return self._found[name]


class _Code(NamedTuple):
    """The import statements of a module, and whether it holds anything but texts."""

    imports: list[ast.Import | ast.ImportFrom]
    is_more_than_words: bool


# Kept, because a command asks for the code of several parts, and parsing takes most of the time.
@lru_cache(maxsize=1000)
def _code(text: str) -> _Code:
    tree = ast.parse(text)
    return _Code([node for node in _statements(tree) if isinstance(node, ast.Import | ast.ImportFrom)], _has_code(tree))


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield all statements below a node, skipping expressions, which contain no imports."""
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, block, ()):
            if isinstance(child, ast.stmt):
                yield child
            yield from _statements(child)


def _has_code(tree: ast.Module) -> bool:
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in tree.body)
