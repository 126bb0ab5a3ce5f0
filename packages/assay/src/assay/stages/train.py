"""Fit the chosen model on the train rows, set its threshold on the validation rows, and fit it again on both."""

from dataclasses import asdict
from pathlib import Path

import psutil
from sklearn.pipeline import Pipeline

from assay.base.files import write_json
from assay.base.progress import say
from assay.contract.spec import Contract, load_contract
from assay.data.columns import columns, target
from assay.data.engine import cluster_at
from assay.data.sample import drawn
from assay.data.split import stored
from assay.data.stored import Rows, Stored
from assay.modelling.fitting import (
    build,
    constraints,
    fit,
    megabytes_for,
    rows_that_fit,
    set_threshold,
    with_rounds,
)
from assay.modelling.scoring import scores_of_rows
from assay.modelling.store import Drawn, save_pipeline
from assay.project.layout import DRAWN, PIPELINE, THRESHOLD, TRAIN_ONLY, read_choice
from assay.project.params import ModelChoice, Params, load_params
from assay.project.room import Room, load_room

# Where Linux says what a container may take, in version 2 of control groups.
CONTAINER = Path("/sys/fs/cgroup")


def main() -> None:
    """Write the pipeline that is served, its threshold, and the pipeline fitted on the train rows alone."""
    params, contract, room, choice = load_params(), load_contract(), load_room(), read_choice()
    cluster = cluster_at(params.engine.address)
    validation, available = stored("validation", cluster=cluster), stored(*params.train.sides).num_rows
    share, limit = 1.0, params.train.max_memory
    if limit is not None:
        share = min(1.0, rows_that_fit(limit, contract) / available)
    elif not params.train.workers and (needed := megabytes_for(available, contract)) > (free := free_megabytes()):
        say(f"  fitting takes about {needed} MB, and {free} MB are free: train.max_memory in params.yaml limits it")
    train = drawn(stored("train", cluster=cluster), share, contract)
    if held := constraints(_unfitted(choice, params, contract, room), contract, room):
        say(f"  {held}")
    fitted, pipeline = train.num_rows, _fitted(train, choice, params, contract, room)
    given = scores_of_rows(pipeline, validation, contract, room)
    threshold = set_threshold(given, target(validation, contract), contract)
    if params.train.refit:
        save_pipeline(pipeline, TRAIN_ONLY)
        both = drawn(stored("train", "validation", cluster=cluster), share, contract)
        choice = with_rounds(choice, both.num_rows / fitted, contract, room)
        fitted, pipeline = both.num_rows, _fitted(both, choice, params, contract, room)
    else:
        TRAIN_ONLY.unlink(missing_ok=True)
    save_pipeline(pipeline, PIPELINE)
    write_json(THRESHOLD, threshold)
    if share < 1:
        write_json(DRAWN, asdict(Drawn(fitted, share)))
        say(f"  train.max_memory leaves {fitted} of {available} rows, drawn by a hash")
    else:
        DRAWN.unlink(missing_ok=True)
    say(
        f"  fitted on {fitted} rows ({' and '.join(params.train.sides)})"
        + ("" if threshold is None else f"; threshold {threshold:g}")
    )


def free_megabytes(container: Path = CONTAINER) -> int:
    """Return the memory that this machine has free, or the container if that is less."""
    free = psutil.virtual_memory().available
    try:
        limit = (container / "memory.max").read_text(encoding="ascii").strip()
        used = int((container / "memory.current").read_text(encoding="ascii"))
    except OSError:
        limit, used = "max", 0
    return int(min(free, free if limit == "max" else int(limit) - used) / 1e6)


def _unfitted(choice: ModelChoice, params: Params, contract: Contract, room: Room) -> Pipeline:
    return build(choice, contract, params.seed, calibrate=params.train.calibrate, room=room)


def _fitted(train: Rows, choice: ModelChoice, params: Params, contract: Contract, room: Room) -> Pipeline:
    pipeline = _unfitted(choice, params, contract, room)
    if workers := params.train.workers:
        # `max_memory`, with which rows are drawn into memory, is refused beside it.
        if not isinstance(train, Stored):
            raise TypeError("workers fit stored rows")
        if train.cluster:
            from assay.modelling.distributed import fit_on_workers

            cluster = str(params.engine.address)
            say(f"  {workers} workers of {cluster} fit {train.num_rows} rows")
            return fit_on_workers(pipeline, train, contract, room, cluster=cluster, workers=workers)
        say("  the rows take less than 256 MB, so they are fitted here and not by train.workers")
    fit(pipeline, columns(train, contract), target(train, contract), contract, room)
    return pipeline
