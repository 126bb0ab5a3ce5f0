"""LightGBM on a cluster: each worker holds a part of the rows, and together they make the trees."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from joblib import cpu_count
from sklearn.pipeline import Pipeline

from assay.base.errors import InputError
from assay.contract.spec import Contract
from assay.data.cluster import at_once
from assay.data.columns import columns, target
from assay.data.sample import sample
from assay.data.stored import Stored
from assay.modelling.estimators import is_lightgbm
from assay.modelling.fitting import fit, inputs
from assay.project.room import NO_ROOM, Room

# Rows that the steps before the trees are fitted on.
FITTED_ROWS = 200_000
# The minutes that LightGBM waits until another worker connects, by default two hours. To connect, it tries two minutes.
MINUTES = 10
# What LightGBM writes into a model of the machines that made it: other ports would make it another file.
MACHINES = re.compile(r"^\[(machines|local_listen_port|num_threads): .*\]\n", re.MULTILINE)


@dataclass(frozen=True)
class Job:
    """What a worker needs to know to make trees with others: the fitted steps before them, and the parts of all."""

    features: Pipeline
    parts: Sequence[Stored]
    settings: dict[str, Any]
    contract: Contract
    room: Room


def fit_on_workers(
    pipeline: Pipeline, rows: Stored, contract: Contract, room: Room = NO_ROOM, *, cluster: str, workers: int
) -> Pipeline:
    """Fit a pipeline with LightGBM on some workers of a Dask cluster, and return it.

    The steps before the trees are fitted on a sample of the rows, on this machine. Then each worker makes its part of
    the rows into their columns, and LightGBM's data-parallel learner adds up the histograms of all workers. The same
    rows and the same number of workers give the same trees. Raises InputError for a model that cannot be fitted so, for
    rows in fewer parts than workers, and if a worker is lost.
    """
    if wrong := _unsuitable(pipeline):
        raise InputError(f"params.yaml: train.workers: {wrong}")
    if len(parts := rows.parts()) < workers:
        raise InputError(
            f"params.yaml: train.workers: {workers} workers cannot share {rows.num_rows} rows, which are stored in "
            f"{len(parts)} parts; take fewer, or null to fit here"
        )
    estimator = pipeline[-1]
    some = sample(rows, FITTED_ROWS, estimator.random_state)
    known = target(some, contract)
    if absent := sorted(set(range(len(contract.classes))) - set(known.tolist())):
        raise InputError(
            f"params.yaml: train.workers: a sample of {some.num_rows} rows has none of class "
            f"{contract.classes[absent[0]]!r}; fit here, with null"
        )
    rounds = estimator.n_estimators
    # One round settles what LightGBM knows of the columns and of the classes.
    fit(pipeline.set_params(estimator__n_estimators=1), columns(some, contract), known, contract, room)
    estimator.set_params(n_estimators=rounds)
    settings = {**estimator.booster_.params, "num_iterations": rounds}
    job = Job(pipeline[:-1], parts, settings, contract, room)
    made = at_once(partial(_grown, job), workers, cluster)
    estimator._Booster = type(estimator.booster_)(model_str=MACHINES.sub("", made[0]))
    return pipeline


def _unsuitable(pipeline: Pipeline) -> str:
    """Say why an unfitted pipeline cannot be fitted on several workers, if it cannot."""
    if len(pipeline) == 1 or not is_lightgbm(pipeline[-1]):
        return (
            "only the family lightgbm is fitted on a cluster, without calibration, log_target or a mean; "
            "`assay freeze --family lightgbm` takes the best lightgbm of the last search"
        )
    if pipeline[-1].class_weight is not None:
        return "class_weight is not used on a cluster; scale_pos_weight is"
    if means := next((names for part, _, names in pipeline[0].transformers if part == "mean"), None):
        return f"column {means[0]!r} becomes means of the target, for its many categories, and these need all rows"
    return ""


def _grown(job: Job, number: int, machines: Sequence[str]) -> str:
    """Make the trees with the other workers, from each of their shares of the parts; return them from the first one."""
    import lightgbm

    rows, labels = [], []
    for part in job.parts[number :: len(machines)]:
        for batch in part.batches():
            encoded = inputs(columns(batch, job.contract), job.contract, job.room)
            rows.append(np.asarray(job.features.transform(encoded)))
            labels.append(target(batch, job.contract))
    settings = job.settings | {"num_threads": threads(number, machines)}
    if len(machines) > 1:
        settings |= {
            "tree_learner": "data",
            "pre_partition": True,
            "num_machines": len(machines),
            "machines": ",".join(machines),
            "local_listen_port": int(machines[number].rpartition(":")[2]),
            "time_out": MINUTES,
        }
    booster = lightgbm.train(settings, lightgbm.Dataset(rows, label=np.concatenate(labels)))
    try:
        return str(booster.model_to_string()) if number == 0 else ""
    finally:
        booster.free_network()


def threads(number: int, machines: Sequence[str]) -> int:
    """Return the threads of a worker: the processors of its machine, shared by those of the workers that are there.

    Dask's nanny would leave it one.
    """
    hosts = [one.rpartition(":")[0] for one in machines]
    return max(1, int(cpu_count()) // hosts.count(hosts[number]))
