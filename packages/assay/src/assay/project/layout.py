"""The files of the pipeline: one name for each file that a stage writes and another reads."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from assay.base.files import read_json, sha256

if TYPE_CHECKING:
    import pyarrow as pa

    from assay.project.params import ModelChoice

# The stages of dvc.yaml, in their order.
STAGES = ("validate", "prepare", "tune", "train", "evaluate", "analyse", "export")

SPLIT = Path("build/split")
CHOICE = Path("build/choice.json")
PIPELINE = Path("build/model/pipeline.skops")
# The same model fitted on the train rows alone, if the pipeline is fitted on the validation rows too.
TRAIN_ONLY = Path("build/model/train_only.skops")
THRESHOLD = Path("build/model/threshold.json")
# Which rows the pipeline is fitted on, if not on all.
DRAWN = Path("build/model/drawn.json")
# What a search has fitted so far; DVC, which removes the outs of a stage before it runs, does not know it.
SEARCHED = Path(".assay/search")
# The folder of the user's code.
SOURCE = Path("src")
METRICS = Path("metrics.json")
PLOTS = Path("plots")
CHECKS = Path("reports/validate.json")
TRIALS = Path("reports/trials.csv")
# The trials that the model in params.yaml comes from; kept in git.
EVIDENCE = Path("trials.csv")
ANALYSIS = Path("reports/analyse.json")
PARITY = Path("reports/parity.json")
MODELS = Path("models")
# Where the service writes its log, unless ASSAY_LOG says otherwise.
LOG = Path("monitoring")
# The requirements for serving a model, by its form.
LOCKS = {"onnx": "requirements/serve.txt", "skops": "requirements/serve-sklearn.txt"}
VERDICT = Path("reports/verdict.json")
REPORT = Path("reports/report.json")
# The format versions of these two files.
VERDICT_FORMAT = 1
REPORT_FORMAT = 1


def model_version(models: Path = MODELS) -> str:
    """Return the version of a model: a hash of model.json, which has hashes of its files, threshold and contract."""
    return sha256(models / "model.json")[:12]


def read_split(side: str) -> "pa.Table":
    """Read the rows of one side of the split: train, validation or test."""
    # Imported here because it is slow and most users of this module only need the paths.
    import pyarrow.parquet as pq

    return pq.read_table(SPLIT / f"{side}.parquet")


def read_choice() -> "ModelChoice":
    """Read the model family and parameters that were chosen."""
    from assay.project.params import ModelChoice

    # As JSON, where a list stands for a tuple.
    return ModelChoice.model_validate_json(json.dumps(read_json(CHOICE)))
