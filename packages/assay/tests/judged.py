"""Evidence to try gates on: two models' made-up answers to the rows of `patients`."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from assay.base.outcomes import Outcome
from assay.contract.spec import Contract
from assay.evaluation.metrics import ScoredRows, measure, metrics_for
from assay.gates.evidence import Champion, ModelEvidence, ModelPredictions, dependent
from assay.gates.obstacle import NO_CHAMPION
from assay.gates.repository import Repository
from assay.gates.retraining import Retrained
from assay.project.change import Change, NoChampion
from assay.project.params import Params, load_params
from patients import contract, patients
from places import ROOT

GATES = ROOT / "params.yaml"
ROWS = 400


@cache
def _of_this_project() -> Params:
    return load_params(GATES)


def params(**limits: dict[str, Any]) -> Params:
    """Return the parameters of this project, with other limits: `quality={"margin": 0.5}`."""
    made = _of_this_project()
    gates = {name: getattr(made.gates, name).model_copy(update=values) for name, values in limits.items()}
    return made.model_copy(update={"gates": made.gates.model_copy(update=gates)})


def table(rows: int = ROWS, task: str = "binary", seed: int = 0) -> pa.Table:
    made = contract(task)
    data, target = patients(rows, task, seed)
    labels = target if task == "regression" else [made.classes[i] for i in target]
    return pa.table({**data, made.target.name: labels})


def answers(scores: np.ndarray, target: np.ndarray, perturbed: np.ndarray | None = None) -> ModelPredictions:
    """Return what a model with these scores answers, to test and validation rows alike."""
    if scores.ndim == 1:
        rows = ScoredRows(target, scores, scores)
        return ModelPredictions(rows, rows.decision if perturbed is None else perturbed, rows)
    decision = scores.argmax(axis=1)
    rows = ScoredRows(target, scores, decision)
    return ModelPredictions(rows, decision if perturbed is None else perturbed, rows)


def scores(target: np.ndarray, noise: float, seed: int = 0) -> np.ndarray:
    """Return the calibrated probabilities of a binary model that sees the target through so much noise."""
    sign = 2 * target - 1
    seen = sign + np.random.default_rng(seed).normal(0, noise, len(target))
    positive = 1 / (1 + np.exp(-2 * seen / noise**2))
    return np.stack([1 - positive, positive], axis=1)


def evidence(
    candidate: ModelPredictions,
    champion_predictions: ModelPredictions | None,
    spec: Contract | None = None,
    rows: pa.Table | None = None,
    **changes: Any,
) -> ModelEvidence:
    """Return evidence in which all that is not given is as it should be."""
    spec = spec or contract()
    rows = table(len(candidate.test.target), spec.task) if rows is None else rows
    commit = None if champion_predictions is None else "c" * 40
    champion = None if commit is None else Champion(commit, Path(), spec, {"test": {}}, rows)
    metrics = metrics_for(spec)
    found = measure(candidate.test, metrics) if candidate.test.target is not None else {}
    made = ModelEvidence(
        change=Change("d" * 40, "c" * 40, commit, None if commit else NoChampion.NO_MODEL, ()),
        params=params(),
        contract=spec,
        checks=[],
        metrics={"test": {name: {"value": value} for name, value in found.items()}, "dummy": {"roc_auc": 0.5}},
        model=None,  # type: ignore[arg-type]
        champion=champion,
        changes=None,
        added=None,
        champion_test=None,
        obstacle=None if commit else NO_CHAMPION,
        repository=Repository(),
        held=Outcome("contract", "PROMOTE", "keeps to it"),
        same_service=False,
        loadtest="reports/loadtest.json: there is no such file",
        unjudged="",
        failed=False,
        data=rows,
        split={"test": rows},
        test=rows,
        validation=rows,
        units=dependent(rows, spec),
        candidate=candidate,
        champion_predictions=champion_predictions,
        retrained=Retrained([], ""),
    )
    return replace(made, **changes)
