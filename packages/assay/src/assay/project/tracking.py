"""Logging of runs to MLflow, in addition to DVC."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.base.config import flat, read_yaml
from assay.base.errors import InputError, one_line
from assay.base.files import read_json
from assay.base.progress import say
from assay.contract.spec import load_contract
from assay.project.history import dirty_files, head
from assay.project.layout import ANALYSIS, CHECKS, METRICS, MODELS, PARITY
from assay.project.params import load_params

SERVER = "MLFLOW_TRACKING_URI"
REPORTS = (CHECKS, ANALYSIS, PARITY)
# Used unless the user sets them. By default MLflow sends usage data, prints to stdout, and retries for minutes if the
# server is down.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}


def track() -> None:
    """Log the current results as a new run to the MLflow server in MLFLOW_TRACKING_URI.

    Raises InputError if the variable is not set, MLflow is not installed, or the server rejects the run.
    """
    if not os.environ.get(SERVER):
        raise InputError(f"{SERVER} is not set; set it to the URL of the MLflow server, such as http://127.0.0.1:5000")
    contract, about = load_contract(), read_json(MODELS / "model.json")
    lock = read_yaml(Path("dvc.lock"))
    parameters = parameters_of(load_params().model_dump(by_alias=True), about["choice"])
    tags = {**commit(), **versions_of(about, data_md5(lock, contract.data))}
    name = log_run(contract.name, parameters, numbers(read_json(METRICS)), tags)
    say(f"MLflow: logged as run {name} at {_public(os.environ[SERVER])}")


def track_if_asked() -> None:
    """Log the results if MLFLOW_TRACKING_URI is set; an error is only a warning because the results exist."""
    if os.environ.get(SERVER):
        try:
            track()
        except InputError as error:
            say(f"warning: the run was not logged: {error}; `assay track` tries again")


def log_run(experiment: str, parameters: Mapping[str, str], metrics: Mapping[str, float], tags: dict[str, str]) -> str:
    """Log one run with the files of the pipeline as plain artifacts, and return its name.

    The run goes to `experiment`, unless MLFLOW_EXPERIMENT_NAME or MLFLOW_EXPERIMENT_ID is set. Raises InputError if
    MLflow is not installed or the run could not be logged.
    """
    for variable, value in SETTINGS.items():
        os.environ.setdefault(variable, value)
    try:
        import mlflow
    except ImportError:
        raise InputError(
            f"{SERVER} is set but MLflow is not installed; install it with `pip install -r requirements/mlflow.txt`"
        ) from None
    try:
        if not {"MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"} & os.environ.keys():
            mlflow.set_experiment(experiment)
        with mlflow.start_run(tags=tags) as run:
            mlflow.log_params(parameters)
            mlflow.log_metrics(metrics)
            mlflow.log_artifact(METRICS)
            for path in REPORTS:
                mlflow.log_artifact(path, path.parent.name)
            mlflow.log_artifacts(MODELS, MODELS.name)
    # Errors of network, server, database and file store have no common type.
    except Exception as error:
        raise InputError(f"MLflow at {_public(os.environ[SERVER])}: {first_cause(error)}") from None
    return str(run.info.run_name)


def parameters_of(params: Mapping[str, Any], choice: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters as text, with the chosen model, which after a search differs from params.yaml."""
    parameters = flat({**params, "choice": choice})
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in parameters.items()}


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers among the metrics."""
    return {
        key: float(value)
        for key, value in flat(metrics).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def versions_of(about: Mapping[str, Any], data: str | None) -> dict[str, str]:
    """Return tags with the hashes of contract and model (SHA-256) and data (DVC's MD5)."""
    tags = {"contract": about["contract_sha256"], "model": about["files_sha256"][f"model.{about['served']}"]}
    return tags if data is None else {**tags, "data": data}


def data_md5(lock: Mapping[str, Any], data: Path) -> str | None:
    """Return the MD5 of the data of the last run, or of its folder, from the content of dvc.lock."""
    for stage in lock["stages"].values():
        for dep in stage.get("deps", []):
            if data.is_relative_to(dep["path"]):
                return str(dep["md5"])
    return None


def commit() -> dict[str, str]:
    """Return tags with the commit and whether files differ from it; empty outside of git."""
    found = head()
    if found is None:
        return {}
    # MLflow itself would set this tag from the folder in which `assay` is installed.
    return {"commit": found, "dirty": json.dumps(bool(dirty_files())), "mlflow.source.git.commit": found}


def first_cause(error: BaseException) -> str:
    """Return the root cause in one line: MLflow wraps a refused connection into a page of text."""
    while (inner := error.__cause__ or (None if error.__suppress_context__ else error.__context__)) is not None:
        error = inner
    # Cut afterwards: half an address would not be known as one.
    return f"{type(error).__name__}: {one_line(_public(str(error)))}"


def _public(text: str) -> str:
    """Return `text` without user names and passwords in URLs."""
    return re.sub(r"//[^/\s]*@", "//", text)
