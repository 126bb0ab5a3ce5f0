"""Make the package that is served: the model as ONNX if it predicts the same, its description and its card."""

import shutil
from importlib.metadata import version
from typing import Any

import pyarrow as pa
from sklearn.pipeline import Pipeline

from assay.base.errors import with_type
from assay.base.files import read_json, replacing, sha256, write_bytes, write_json, write_text
from assay.base.progress import say
from assay.contract.request import as_json
from assay.contract.spec import CONTRACT, Contract, load_contract
from assay.data.columns import columns, target
from assay.data.sample import drawn, sample
from assay.data.split import stored
from assay.data.training_ranges import training_ranges
from assay.export.card import card
from assay.export.onnx import agrees, convert, hard_rows, parity
from assay.export.reference import REFERENCE, Scored, days_of, independent_rows, make_reference
from assay.inference.package import PACKAGE_FORMAT, PACKED_FILES
from assay.inference.scorer import scorer
from assay.modelling.fitting import decide, scores
from assay.modelling.store import Trained, libraries, load_trained
from assay.project.layout import ANALYSIS, CHECKS, METRICS, MODELS, PARITY, PIPELINE, read_choice
from assay.project.params import load_params
from assay.project.room import Room, load_room
from assay.project.settings import Limits, write_packed

VERSIONS = ("scikit-learn", "numpy", "skl2onnx", "onnxruntime", "skops")
# Libraries whose version counts too if the model has a part of one.
BOOSTING = {"lightgbm", "xgboost", "catboost"}
# Rows that the service scores when it starts, and background rows for explanations.
EXAMPLES, BACKGROUND = 16, 8
# The most rows that production is compared with.
COMPARED_ROWS = 100_000


def main() -> None:
    """Write models/ and the parity report."""
    params, contract, room = load_params(), load_contract(), load_room()
    trained = load_trained(room)
    pipeline, threshold = trained.pipeline, trained.threshold
    rows = columns(sample(stored("test"), params.export.parity_rows, params.seed), contract)
    rows = hard_rows(rows, contract, params.seed)
    found: dict[str, Any] | None = None
    exported: bytes | None = None
    reason = ""
    try:
        exported = convert(pipeline, rows, contract, room)
        found = parity(
            lambda data: scores(pipeline, data, contract, room),
            scorer(exported, contract, room),
            rows,
            contract,
            threshold=threshold,
            limits=params.export,
        )
    # The converter and the runtime raise errors of many kinds; all mean the same: serve the pipeline itself.
    except Exception as error:
        reason = f"the export failed ({with_type(error)})"
    if found is not None and not agrees(found, params.export.tolerance):
        worst = max(part["largest_difference"] for part in found.values())
        other = max(part["other_answers"] for part in found.values())
        reason = f"the export differs by {worst:g} (limit {params.export.tolerance:g}), with {other} different answers"
    served = "onnx" if not reason else "skops"
    if served == "onnx" and exported is not None:
        write_bytes(MODELS / "model.onnx", exported)
    else:
        (MODELS / "model.onnx").unlink(missing_ok=True)
    with replacing(MODELS / "model.skops") as temporary:
        shutil.copyfile(PIPELINE, temporary)
    gate = params.gates.service
    limits = Limits(errors=gate.errors, median_ms=gate.median_ms, p99_ms=gate.p99_ms)
    write_packed(contract, params.export, params.serve, outcomes=params.outcomes, limits=limits)
    write_json(MODELS / REFERENCE, _reference(trained, contract, room, params.seed))
    metrics = read_json(METRICS)
    write_json(MODELS / "metrics.json", {"format": PACKAGE_FORMAT, "test": metrics["test"]})
    seen = drawn(stored(*trained.sides), trained.drawn.share if trained.drawn else 1.0, contract)
    about = {
        "format": PACKAGE_FORMAT,
        "name": contract.name,
        "task": contract.task,
        "classes": list(contract.classes),
        "threshold": threshold,
        "choice": read_choice().model_dump(),
        "served": served,
        "reason": reason,
        "contract_sha256": sha256(CONTRACT),
        "files_sha256": {name: sha256(MODELS / name) for name in PACKED_FILES if (MODELS / name).exists()},
        "seen": training_ranges(seen, contract),
        "versions": {name: version(name) for name in (*VERSIONS, *sorted(BOOSTING & libraries(PIPELINE)))},
    }
    write_json(MODELS / "examples.json", _examples(pipeline, contract, room, params.seed))
    write_json(MODELS / "model.json", about)
    write_json(PARITY, {"served": served, "reason": reason, "parity": found})
    analysis, checks = read_json(ANALYSIS), read_json(CHECKS)
    write_text(MODELS / "card.md", card(contract, about, metrics, analysis, checks))
    if found is None or reason:
        say(f"  serving the scikit-learn pipeline: {reason}")
    else:
        say(f"  ONNX matches the pipeline: largest difference {found['batch']['largest_difference']:g}")


def _reference(trained: Trained, contract: Contract, room: Room, seed: int) -> dict[str, Any]:
    """Return what the monitor compares production with; its scores are those of rows that the model has not seen."""

    def scored(table: pa.Table) -> Scored:
        given = scores(trained.pipeline, columns(table, contract), contract, room)
        return Scored(given, decide(given, contract, trained.threshold))

    features = sample(stored("train", "validation"), COMPARED_ROWS, seed)
    unseen, judged = (
        sample(stored(*(("test",) if trained.saw_validation else ("validation", "test"))), COMPARED_ROWS, seed),
        sample(stored("test"), COMPARED_ROWS, seed),
    )
    tables = {"features": features, "scores": unseen, "losses": judged}
    made = make_reference(
        contract,
        features,
        scored(unseen),
        (scored(judged), target(judged, contract)),
        {name: independent_rows(table, contract) for name, table in tables.items()},
        (days_of(features, contract), days_of(unseen, contract), days_of(judged, contract)),
    )
    return made.model_dump(exclude_none=True)


def _examples(pipeline: Pipeline, contract: Contract, room: Room, seed: int) -> dict[str, Any]:
    """Return rows as in a request, with the scores of the pipeline, and background rows."""
    rows = sample(stored("test"), EXAMPLES, seed)
    background = sample(stored("train"), BACKGROUND, seed)
    return {
        "format": PACKAGE_FORMAT,
        "rows": [as_json(row, contract) for row in rows.to_pylist()],
        "scores": scores(pipeline, columns(rows, contract), contract, room).tolist(),
        "background": [as_json(row, contract) for row in background.to_pylist()],
    }
