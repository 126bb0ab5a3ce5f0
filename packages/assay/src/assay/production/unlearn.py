"""Rows of a forgotten client leave the data of a project, as a change that a pull request shows."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from assay.base.errors import InputError
from assay.base.files import read_json, replacing
from assay.contract.spec import load_contract
from assay.data.append import remove
from assay.data.reading import read_table
from assay.predictions.collected import Record, read_record, write_record
from assay.production.collect import WORK, alone, row_hashes
from assay.project.data import bring, record


def unlearn(receipt: Path) -> tuple[int, int]:
    """Remove the rows of the client of a receipt from the data; return how many, and how many were not there any more.

    The data file comes first. A run that is killed leaves the record, so the next run does the rest. Raises InputError
    for another file than a receipt, or if the file cannot be changed.
    """
    client = _client(receipt)
    contract = load_contract()
    bring(contract)
    with alone():
        path = contract.data
        known = read_record(path)
        mine = [row for row in known.rows().values() if row.client == client]
        if not mine:
            return 0, 0
        data, _ = read_table(path, contract)
        places: defaultdict[tuple[str, Any], list[int]] = defaultdict(list)
        targets = data[contract.target.name].to_pylist()
        for place, one in enumerate(zip(row_hashes(data, contract), targets, strict=True)):
            places[one].append(place)
        found = {there.pop() for row in mine if (there := places[row.row, row.outcome])}
        if found:
            made = WORK / f"removed{path.suffix}"
            remove(path, made, found, contract)
            with replacing(path) as temporary:
                temporary.write_bytes(made.read_bytes())
            made.unlink()
        write_record(_without(known, client))
    record()
    return len(found), len(mine) - len(found)


def _client(receipt: Path) -> str:
    content = read_json(receipt)
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
