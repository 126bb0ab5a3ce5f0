"""The package that is served: models/ as the pipeline wrote it, checked to be consistent."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from pydantic import ValidationError

from assay.base.errors import InputError
from assay.base.files import sha256
from assay.base.formats import read_format
from assay.contract.spec import CONTRACT, Contract
from assay.data.columns import Columns, length, take
from assay.inference.rows import RowReader, Values
from assay.inference.scorer import Score, Scorer, scorer
from assay.project.layout import LOCKS, model_version
from assay.project.room import NO_ROOM, Room

# The format of the JSON files in models/.
PACKAGE_FORMAT = 1
# The files whose hashes are in model.json.
PACKED_FILES = ("contract.json", "model.onnx", "model.skops", "reference.json")
# The header of a smoke test, which asks for the predictions of all examples, or as many as a request may hold.
IS_CHECK = b"x-assay-check"
# How often an example is scored to measure its latency.
TIMED = 20
# The libraries that score in each form; model.json has the versions that the model was built with.
LIBRARIES = {"onnx": ("onnxruntime",), "skops": ("scikit-learn", "skops")}


@dataclass(frozen=True)
class Package:
    """A model as it is served; `about` is its model.json, `version` identifies the model."""

    version: str
    about: Mapping[str, Any]
    card: str
    metrics: Mapping[str, Any]
    reader: RowReader
    score: Score
    examples: list[dict[str, Any]]
    wanted: np.ndarray
    tolerance: float
    background: Columns
    # Where the code of its features is.
    room: Room

    def scoring(self, data: Columns) -> Callable[[], np.ndarray]:
        """Return a function that scores rows, with all preparation already done."""
        score = self.score
        if not isinstance(score, Scorer):
            return lambda: score(data)
        packed = score.prepare(data)
        return lambda: score.run(packed)

    def deviation(self, scores: np.ndarray) -> float:
        """Return the largest difference between scores of the first examples and those of the pipeline.

        For regression it is relative to the standard deviation of the scores.
        """
        scale = (float(self.wanted.std()) or 1.0) if self.contract.task == "regression" else 1.0
        return float(np.abs(scores - self.wanted[: len(scores)]).max()) / scale

    def example_rows(self) -> list[Values]:
        """Return the rows of a smoke test, read as a request is."""
        return self.reader.read(msgspec.json.encode({"rows": self.examples[: self.reader.max_rows]}))

    def score_example(self) -> np.ndarray:
        """Return the scores of the first example, read as a request is."""
        body = msgspec.json.encode({"rows": self.examples[:1]})
        return self.score(self.reader.columns(self.reader.read(body)))

    def row_seconds(self) -> float:
        """Return the median seconds of a request with one row."""
        took = []
        for _ in range(TIMED):
            started = time.perf_counter()
            self.score_example()
            took.append(time.perf_counter() - started)
        return sorted(took)[TIMED // 2]

    @property
    def contract(self) -> Contract:
        """The contract of its rows."""
        return self.reader.contract

    @property
    def threshold(self) -> float | None:
        """The probability from which the positive class is decided for; None without one."""
        value = self.about["threshold"]
        return None if value is None else float(value)


def load_package(
    models: Path, reader: RowReader, contract_sha256: str | None, tolerance: float, room: Room = NO_ROOM
) -> Package:
    """Load the model in a folder.

    `reader` reads rows by its contract. `contract_sha256` is the hash of contract.yaml, None to skip the comparison.
    Raises InputError if the model's files, the contract or the installed libraries are not those it was built with, or
    if its scores of the packed examples differ from those of the scikit-learn pipeline by more than `tolerance`
    (for regression relative to the standard deviation of the scores).
    """
    about = read_format(models / "model.json", PACKAGE_FORMAT)
    if contract_sha256 not in (None, about["contract_sha256"]):
        raise InputError(f"{CONTRACT}: is not the contract that {models} was built with; run `dvc repro`")
    for name, digest in about["files_sha256"].items():
        if not (models / name).exists():
            raise InputError(f"{models / name}: there is no such file, but model.json lists it; run `dvc repro`")
        if sha256(models / name) != digest:
            raise InputError(f"{models / name}: differs from the file that model.json lists; run `dvc repro`")
    form = about["served"]
    _check_libraries(form, about["versions"])
    examples = read_format(models / "examples.json", PACKAGE_FORMAT)
    try:
        data, background = (_columns(examples[part], reader) for part in ("rows", "background"))
    except ValidationError:
        raise InputError(f"{models / 'examples.json'}: its rows break the contract; run `dvc repro`") from None
    package = Package(
        version=model_version(models),
        about=about,
        card=(models / "card.md").read_text(encoding="utf-8"),
        metrics=read_format(models / "metrics.json", PACKAGE_FORMAT)["test"],
        reader=reader,
        score=_score(form, models, reader.contract, room),
        examples=examples["rows"],
        wanted=np.array(examples["scores"]),
        tolerance=tolerance,
        background=background,
        room=room,
    )
    _check_answers(package, data)
    return package


def _score(form: str, models: Path, contract: Contract, room: Room) -> Score:
    if form == "onnx":
        return scorer(models / "model.onnx", contract, room)
    from assay.modelling.fitting import scores
    from assay.modelling.store import load_pipeline

    pipeline = load_pipeline(models / "model.skops", room)
    return lambda data: scores(pipeline, data, contract, room)


def _check_libraries(form: str, made_with: Mapping[str, str]) -> None:
    for library in LIBRARIES[form]:
        try:
            here = version(library)
        except PackageNotFoundError:
            raise InputError(f"the model needs {library}, which is not installed: install {LOCKS[form]}") from None
        if here.split(".")[:2] != made_with[library].split(".")[:2]:
            raise InputError(
                f"the model was built with {library} {made_with[library]}, but {here} is installed: "
                f"install {LOCKS[form]}"
            )


def _check_answers(package: Package, data: Columns) -> None:
    """Compare the scores of the examples, in one batch and one by one, with those of the pipeline."""
    together = package.score(data)
    alone = np.concatenate([package.score(take(data, np.array([row]))) for row in range(length(data))])
    # A NaN has to fail too, so the condition is negated.
    apart = np.max([package.deviation(together), package.deviation(alone)])
    if not apart <= package.tolerance:
        raise InputError(
            f"predictions for examples.json differ from those of the pipeline by {apart:.3g} "
            f"(tolerance {package.tolerance:g}); run `dvc repro`"
        )


def _columns(rows: list[dict[str, Any]], reader: RowReader) -> Columns:
    # One by one, since `max_rows` may be smaller than the number of rows.
    return reader.columns([reader.read(msgspec.json.encode({"rows": [row]}))[0] for row in rows])
