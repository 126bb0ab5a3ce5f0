"""The same work on several engines, for `make bench-scale`: engines.py ENGINE score|check FILE, in a project.

`score` predicts a file as `assay score` does. `check` reads each column of a file and checks it against the contract,
as stage validate does for large data. Ray is no engine of Assay: here it gets the same pieces of work as the others.
Each engine has two workers; only the local check is one process, as it is in the stage.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from assay.contract.spec import load_contract
from assay.data import check, engine
from assay.data.reading import Typed
from assay.data.stored import Stored

WORKERS = 2
ATTEMPTS = 3


def on_ray(work: Any, items: Sequence[Any], *_: object) -> Iterator[Any]:
    """Yield what `work` returns for each item, from workers of Ray."""
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    # It gives up when its own processes do not start within 30 seconds, as on a busy machine.
    for attempt in range(ATTEMPTS):
        try:
            ray.init(num_cpus=WORKERS, _node_ip_address="127.0.0.1", **quiet)
            break
        except Exception:
            ray.shutdown()
            if attempt == ATTEMPTS - 1:
                raise

    def do(item: Any) -> Any:
        return work(item)

    # Ray takes a function only, and no partial one.
    there = ray.remote(num_cpus=1)(do)
    yield from map(ray.get, [there.remote(item) for item in items])
    ray.shutdown()


def run(name: str, work: Any, items: Sequence[Any]) -> list[Any]:
    """Return what `work` returns for each item, by an engine; locally in this process."""
    if name == "ray":
        return list(on_ray(work, items))
    if name == "local":
        return list(map(work, items))
    return list(engine.map_write(work, items, name, "local[2]" if name == "spark" else None, WORKERS))  # type: ignore[arg-type]


def violations(rows: Typed, name: str) -> tuple[int, ...]:
    """Return how many violations a column has."""
    return (len(rows.read(name)[1]) + len(check.check_named(rows.contract, rows, name)),)


def main(name: str, what: str, file: str) -> None:
    """Do the work, and print how much there was."""
    if what == "check":
        contract = load_contract()
        print(run(name, partial(violations, Typed(Stored(Path(file)), contract)), [*contract.all_columns]))
        return
    from assay.cli.score import score
    from assay.inference import pieces

    options = {
        "local": ["--processes", str(WORKERS)],
        "dask": ["--engine", "dask", "--processes", str(WORKERS)],
        "spark": ["--engine", "spark", "--address", f"local[{WORKERS}]"],
        "ray": ["--engine", "dask"],
    }
    if name == "ray":
        pieces.map_write = on_ray  # type: ignore[assignment]
    score.main([file, "out.parquet", *options[name]], standalone_mode=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
