"""Which files can affect a verdict."""

from collections.abc import Sequence

from assay.base.outcomes import Outcome
from assay.gates.gate import GATES
from assay.project.change import Change

# Neither pipeline, service nor gates read these. Any other file may change the model or the verdict.
FOLDERS = (
    "docs/",
    "schemas/",
    "tests/",
    ".github/",
    *(f"packages/assay/{part}/" for part in ("docs", "tests", "bench")),
)
PAGES = (".md", "LICENSE")


def changes_no_model(change: Change) -> bool:
    """Return whether a change cannot affect the verdict; False without a champion or without changed files."""
    return change.champion is not None and bool(change.files) and all(map(is_outside, change.files))


def outcomes(paths: Sequence[str]) -> list[Outcome]:
    """Return the outcome of each gate for a change of these files, none of which affects the model."""
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    reason = f"the change cannot affect the model, its code or its data: it touches only {paths[0]}{more}"
    return [Outcome(gate.name, "PROMOTE", reason) for gate in GATES]


def is_page(path: str) -> bool:
    """Return whether a file is documentation that neither lint nor tests of the project read."""
    return path.startswith(("docs/", "packages/assay/docs/")) or ("/" not in path and path.endswith(PAGES))


def is_outside(path: str) -> bool:
    """Return whether a file affects neither model, service nor verdict."""
    return path.startswith(FOLDERS) or ("/" not in path and path.endswith(PAGES))
