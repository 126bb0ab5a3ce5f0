"""The model on disk: a skops file that contains no code."""

import io
import json
import re
import zipfile
from collections.abc import Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import skops.io
from sklearn.pipeline import Pipeline
from skops.io._utils import SaveContext, get_state
from skops.io.exceptions import UntrustedTypesFoundException

from assay.base.errors import InputError
from assay.base.files import read_json, write_bytes
from assay.project.layout import DRAWN, PIPELINE, THRESHOLD, TRAIN_ONLY
from assay.project.room import NO_ROOM, Room

# The types in the estimators of Assay, scikit-learn and LightGBM; a file with any other type is refused.
TRUSTED = (
    "assay.modelling.estimators.LogBoosting",
    "assay.modelling.estimators.LogTarget",
    "assay.modelling.estimators.SingleScaler",
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.feature_selection._univariate_selection.f_regression",
    "sklearn.model_selection._split.KFold",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
)


@dataclass(frozen=True)
class Drawn:
    """The sample of rows that the served pipeline was fitted on: their number, and their share of all."""

    rows: int
    share: float


@dataclass(frozen=True)
class Trained:
    """What stage train left: the served pipeline and its threshold.

    `other` is the file of the pipeline that was fitted on the train rows alone; None if the served one was, too.
    """

    pipeline: Pipeline
    threshold: float | None
    drawn: Drawn | None
    other: Path | None
    room: Room

    @cached_property
    def train_only(self) -> Pipeline:
        """The pipeline that was fitted on the train rows alone. It may be the served one."""
        # Loaded on first use: thousands of trees take a second.
        return load_pipeline(self.other, self.room) if self.other else self.pipeline

    @property
    def saw_validation(self) -> bool:
        """Whether the served pipeline was fitted on the validation rows, too."""
        return self.other is not None

    @property
    def sides(self) -> tuple[str, ...]:
        """The sides of the split that the served pipeline was fitted on."""
        return ("train", "validation") if self.saw_validation else ("train",)


def load_trained(room: Room = NO_ROOM) -> Trained:
    """Read what stage train left in the current folder."""
    drawn = Drawn(**read_json(DRAWN)) if DRAWN.exists() else None
    other = TRAIN_ONLY.resolve() if TRAIN_ONLY.exists() else None
    return Trained(load_pipeline(PIPELINE, room), read_json(THRESHOLD), drawn, other, room)


def save_pipeline(pipeline: Pipeline, path: Path) -> None:
    """Write a pipeline; the same pipeline gives the same bytes."""
    write_bytes(path, dumped(pipeline))


def load_pipeline(path: Path, room: Room = NO_ROOM) -> Pipeline:
    """Read a pipeline; raises InputError for a type that neither Assay nor the room trusts."""
    trusted = {*TRUSTED, *room.trusted}
    try:
        return skops.io.load(path, trusted=sorted(trusted))
    except UntrustedTypesFoundException:
        unknown = sorted(set(skops.io.get_untrusted_types(file=path)) - trusted)
        raise InputError(
            f"{path}: contains the type {unknown[0]}, which could run code, so it is not loaded; "
            "if it is yours, add it to TRUSTED in src/model/estimators.py"
        ) from None


def libraries(path: Path) -> set[str]:
    """Return the names of the packages whose types are in a stored pipeline."""
    with zipfile.ZipFile(path) as stored:
        schema = stored.read("schema.json").decode()
    return set(re.findall(r'"__module__": "(\w+)', schema))


class _Files(dict[str, bytes]):
    """The files of a dump. skops wants a ZipFile, where its time is quadratic in the number of trees."""

    namelist = dict.keys

    def writestr(self, name: str, content: memoryview) -> None:
        self[name] = bytes(content)


def dumped(pipeline: Pipeline) -> bytes:
    """Return what `skops.io.dumps` does, without memory addresses and timestamps, which differ from run to run."""
    files = _Files()
    context = SaveContext(zip_file=files)
    state = get_state(pipeline, context)
    state |= {"protocol": context.protocol, "_skops_version": skops.__version__}
    # A copy in which no two places share a node, since each is renumbered once.
    schema = json.loads(json.dumps(state))
    names: dict[str, str] = {}
    _renumber(schema, {}, names, files.keys())
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as result:
        for old, new in sorted(names.items(), key=lambda pair: pair[1]):
            _add(result, new, files[old])
        _add(result, "schema.json", json.dumps(schema).encode())
    return made.getvalue()


def _renumber(node: Any, ids: dict[int, int], names: dict[str, str], files: Set[str]) -> None:
    """Replace object ids, and the names of files, which are ids or random, by numbers in order of appearance."""
    if isinstance(node, list):
        for item in node:
            _renumber(item, ids, names, files)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "__id__":
                node[key] = ids.setdefault(value, len(ids))
            elif key == "file" and isinstance(value, str) and value in files:
                node[key] = names.setdefault(value, f"{len(names):05d}{Path(value).suffix}")
            else:
                _renumber(value, ids, names, files)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
