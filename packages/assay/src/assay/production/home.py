"""The collection of outcomes, run in a project: files in, files out."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assay.contract.spec import load_contract
from assay.predictions.outcomes import joined
from assay.predictions.read import LogCounts
from assay.production.collect import collect
from assay.production.run import before
from assay.project.data import bring, record
from assay.project.params import load_params


def bring_home(log: Path, until: datetime | None = None) -> dict[str, Any]:
    """Make rows of the project's data from outcomes that are due by `until`, by default now; return what was done."""
    contract, params = load_contract(), load_params()
    bring(contract)
    due = before(datetime.now(UTC) if until is None else until.replace(tzinfo=UTC), params.outcomes.delay)
    batches = joined(log, LogCounts(), until=due, due=due, missing=params.outcomes.missing)
    try:
        return collect(batches, contract, params.collect, due, duplicates=params.validate_.duplicate_share)
    finally:
        # Also data that were changed by hand before: `bring` has promised it.
        record()
