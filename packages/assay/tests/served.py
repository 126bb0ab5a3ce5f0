"""Models as the pipeline leaves them for the service, made from the small problem of `patients`."""

import io
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
from ruamel.yaml import YAML

from assay.base.files import sha256, write_json
from assay.contract.request import as_json
from assay.contract.spec import CONTRACT, Contract, load_contract
from assay.data.columns import Columns, length, take
from assay.data.training_ranges import training_ranges
from assay.export.onnx import convert
from assay.inference.package import PACKED_FILES, Package, load_package
from assay.inference.rows import RowReader
from assay.modelling.fitting import build, fit, scores
from assay.modelling.store import save_pipeline
from assay.project.params import ModelChoice, load_params
from assay.project.settings import PARAMS, write_packed
from patients import COLUMNS, TARGETS, contract, patients
from places import ROOT

SOURCE = ROOT


def served_project(
    root: Path, task: str = "binary", family: str = "linear", form: str = "onnx", seed: int = 0
) -> Contract:
    """Make a folder with contract.yaml and a whole models/; return the contract."""
    made = contract(task)
    data, target = patients(400, task, seed)
    pipeline = fit(build(ModelChoice(family=family, parameters={}), made, seed), data, target, made)
    root.mkdir(parents=True, exist_ok=True)
    content = {"name": "patients", "data": "data/x.csv", "task": task, "target": TARGETS[task], "columns": COLUMNS}
    YAML().dump(json.loads(json.dumps(content)), root / "contract.yaml")
    write_models(root, made, data, pipeline, form)
    return made


def load(project: Path, max_rows: int = 1000) -> Package:
    """Load the models of a project, for requests of so many rows."""
    reader = RowReader(load_contract(project / CONTRACT), max_rows)
    return load_package(project / "models", reader, sha256(project / CONTRACT), tolerance=1e-5)


def write_models(root: Path, made: Contract, data: Columns, pipeline: object, form: str, *, log: str = "off") -> None:
    models = root / "models"
    models.mkdir(exist_ok=True)
    if form == "onnx":
        (models / "model.onnx").write_bytes(convert(pipeline, data, made))  # type: ignore[arg-type]
    save_pipeline(pipeline, models / "model.skops")  # type: ignore[arg-type]
    few = take(data, np.arange(12))
    rows = as_rows(few, made)
    write_json(
        models / "examples.json",
        {"format": 1, "rows": rows, "scores": scores(pipeline, few, made).tolist(), "background": rows[:8]},  # type: ignore[arg-type]
    )
    settings = load_params(SOURCE / PARAMS)
    write_packed(made, settings.export, settings.serve.model_copy(update={"log": log}), models)
    write_json(models / "metrics.json", {"format": 1, "test": {}})
    table = pa.table({name: pa.array(values, from_pandas=True) for name, values in data.items()})
    (models / "card.md").write_text("# A model\n\n| metric | test |\n|---|---|\n| roc_auc | 0.9 |\n")
    about = {
        "format": 1,
        "name": made.name,
        "task": made.task,
        "classes": list(made.classes),
        "threshold": 0.3 if made.task == "binary" else None,
        "choice": {"family": "linear", "parameters": {}},
        "served": form,
        "reason": "" if form == "onnx" else "the export failed",
        "contract_sha256": sha256(root / "contract.yaml"),
        "files_sha256": {name: sha256(models / name) for name in PACKED_FILES if (models / name).exists()},
        "seen": training_ranges(table, made),
        "versions": {name: version(name) for name in ("scikit-learn", "numpy", "skl2onnx", "onnxruntime", "skops")},
    }
    write_json(models / "model.json", about)


def as_rows(data: Columns, made: Contract) -> list[dict[str, object]]:
    """Return columns as rows that a request may hold."""
    kinds = {name: column.kind for name, column in made.features.items()}

    def value(name: str, given: object) -> object:
        if given is None or str(given) in ("nan", "NaT"):
            return None
        if kinds[name] == "boolean":
            return bool(given)
        if kinds[name] == "integer":
            return int(given)  # type: ignore[call-overload]
        if kinds[name] == "time":
            return given.astype("datetime64[us]").item()  # type: ignore[attr-defined]
        return given.item() if hasattr(given, "item") else given

    rows = [{name: value(name, values[row]) for name, values in data.items()} for row in range(length(data))]
    return [as_json(row, made) for row in rows]


def sent(table: pa.Table) -> bytes:
    """Return a table as the body of a request."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()
