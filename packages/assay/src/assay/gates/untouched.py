"""A change that no gate looks at: the model, its code and its data are those of the champion."""

from assay.base.outcomes import Outcome
from assay.gates import GATES
from assay.project.champion import has_model
from assay.project.history import changed_lines, dirty_files

# What neither pipeline nor service nor judgement reads. Everything else may make another model, or judge otherwise.
FOLDERS = ("docs/", "tests/", ".github/", *(f"packages/assay/{part}/" for part in ("docs", "tests", "bench")))
PAGES = (".md", "LICENSE")


def untouched(start: str | None) -> list[str]:
    """Return the files that a change since the champion's commit consists of, if no verdict depends on any of them.

    None of them where one does, where nothing has changed at all, and where there is no champion.
    """
    if start is None or not has_model(start):
        return []
    paths = sorted({path for path, _, _ in changed_lines(start)} | set(dirty_files()))
    return paths if all(is_outside(path) for path in paths) else []


def outcomes(paths: list[str]) -> list[Outcome]:
    """Return the outcome of each gate for a change that consists of these files."""
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    reason = f"the model, its code and its data are the champion's: the change is of {paths[0]}{more}"
    return [Outcome(gate, "PROMOTE", reason) for gate in GATES]


def is_outside(path: str) -> bool:
    """Say whether neither model nor service nor verdict can depend on a file."""
    return path.startswith(FOLDERS) or ("/" not in path and path.endswith(PAGES))
