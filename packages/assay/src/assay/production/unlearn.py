"""Rows of a forgotten client leave the data of a project, as a change that a pull request shows."""

import json
from collections.abc import Container
from pathlib import Path

from assay.base.errors import InputError
from assay.base.files import replacing, sha256
from assay.contract.spec import load_contract
from assay.data.append import remove
from assay.data.reading import read_table
from assay.predictions.collected import COLLECTED, WORK, Record, alone, read_record, write_record
from assay.production.collect import places_by_row
from assay.project.data import bring, record


def unlearn(receipt: Path) -> tuple[int, int]:
    """Remove the rows of the client of a receipt from the data; return how many, and how many were not there any more.

    The data file comes first. A run that is killed leaves the record, so the next run does the rest. Raises InputError
    for another file than a receipt, if the file cannot be changed, or if nobody could find the rows in it.
    """
    client = _client(receipt)
    contract = load_contract()
    bring(contract)
    with alone():
        if not COLLECTED.exists():
            return 0, 0
        path = contract.data
        known = read_record(path)
        mine = [row for row in known.rows().values() if row.client == client]
        data, _ = read_table(path, contract)
        places = places_by_row(data, contract)
        made = WORK / f"removed{path.suffix}"
        # Otherwise a run that was killed has removed them.
        if not (made.exists() and sha256(made) == sha256(path)):
            _require_known(known, client, {row for row, _ in places}, path)
        found = {there.pop() for row in mine if (there := places[row.row, row.outcome])}
        if found:
            remove(path, made, found, contract)
            with replacing(path) as temporary:
                temporary.write_bytes(made.read_bytes())
        write_record(_without(known, client))
        made.unlink(missing_ok=True)
    record()
    return len(found), len(mine) - len(found)


def _require_known(known: Record, client: str, hashes: Container[str], path: Path) -> None:
    """Raise InputError if the data has no row of a collection that the client is in: its rows had other hashes then."""
    lost = [
        made
        for made in known.collections
        if any(row.client == client for row in made.rows) and not any(row.row in hashes for row in made.rows)
    ]
    if lost:
        rows = sum(row.client == client for made in lost for row in made.rows)
        raise InputError(
            f"{path}: {rows} rows of the client cannot be found, nor any that were collected with them: the features "
            "of contract.yaml, or their `log`, have changed since; run this with contract.yaml as it was then"
        )


def _client(receipt: Path) -> str:
    try:
        # `read_json` would say that the pipeline makes the file again.
        content = json.loads(receipt.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    client = content.get("key") if isinstance(content, dict) else None
    if not isinstance(client, str):
        raise InputError(f"{receipt}: not a receipt of `assay forget`")
    return client


def _without(known: Record, client: str) -> Record:
    """Return a record without the rows of a client."""
    left = [
        made.model_copy(
            update={
                "rows": tuple(row for row in made.rows if row.client != client),
                "corrected": tuple(row for row in made.corrected if row.client != client),
            }
        )
        for made in known.collections
    ]
    return Record(collections=tuple(left))
