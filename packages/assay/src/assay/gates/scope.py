"""Which files can affect a verdict: a change of any others leaves the champion's model, code and data as they are."""

from collections.abc import Sequence

from assay.base.outcomes import Outcome
from assay.gates.gate import GATES
from assay.project.change import Change

# What neither pipeline nor service nor judgement reads. Everything else may make another model, or judge differently.
FOLDERS = (
    "docs/",
    "schemas/",
    "tests/",
    ".github/",
    *(f"packages/assay/{part}/" for part in ("docs", "tests", "bench")),
)
PAGES = (".md", "LICENSE")


def changes_no_model(change: Change) -> bool:
    """Say whether no verdict can depend on what a change touches.

    Where nothing changed at all, and where there is no champion, the gates have to look.
    """
    return change.champion is not None and bool(change.files) and all(map(is_outside, change.files))


def outcomes(paths: Sequence[str]) -> list[Outcome]:
    """Return the outcome of each gate for a change that consists of these files."""
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    reason = f"the model, its code and its data are the champion's: the change is of {paths[0]}{more}"
    return [Outcome(gate.name, "PROMOTE", reason) for gate in GATES]


def is_page(path: str) -> bool:
    """Say whether a file is for people alone: neither lint nor a test of the project reads it."""
    return path.startswith(("docs/", "packages/assay/docs/")) or ("/" not in path and path.endswith(PAGES))


def is_outside(path: str) -> bool:
    """Say whether neither model nor service nor verdict can depend on a file."""
    return path.startswith(FOLDERS) or ("/" not in path and path.endswith(PAGES))
