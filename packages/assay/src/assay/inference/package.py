"""The package that is served: models/ as the pipeline left it, whose parts have to belong together."""

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
from assay.inference.rows import Rows
from assay.inference.scorer import Score, Scorer, scorer
from assay.project.layout import LOCKS, model_version
from assay.project.room import NO_ROOM, Room

# The format of the JSON files in models/.
PACKAGE_FORMAT = 1
# Those files that model.json has digests of.
PACKED_FILES = ("contract.json", "model.onnx", "model.skops")
# So often an example is answered to see how long that takes.
TIMED = 20
# What answers, in either form; the versions it was made with are in model.json.
LIBRARIES = {"onnx": ("onnxruntime",), "skops": ("scikit-learn", "skops")}


@dataclass(frozen=True)
class Package:
    """A model as it is served; `about` is its model.json, `version` tells it from every other model."""

    version: str
    about: Mapping[str, Any]
    card: str
    metrics: Mapping[str, Any]
    reader: Rows
    score: Score
    examples: list[dict[str, Any]]
    wanted: np.ndarray
    tolerance: float
    background: Columns

    def scoring(self, data: Columns) -> Callable[[], np.ndarray]:
        """Return what scores rows; all that can be done before is done."""
        score = self.score
        if not isinstance(score, Scorer):
            return lambda: score(data)
        packed = score.prepare(data)
        return lambda: score.run(packed)

    def apart(self, scores: np.ndarray) -> float:
        """Return by how much scores of the first examples differ from the pipeline's, in their spread for numbers."""
        scale = (float(self.wanted.std()) or 1.0) if self.contract.task == "regression" else 1.0
        return float(np.abs(scores - self.wanted[: len(scores)]).max()) / scale

    def answer_example(self) -> np.ndarray:
        """Return the scores of the first example, read as a request is."""
        body = msgspec.json.encode({"rows": self.examples[:1]})
        return self.score(self.reader.columns(self.reader.read(body)))

    def row_seconds(self) -> float:
        """Return what a request of one row takes, the median of some."""
        took = []
        for _ in range(TIMED):
            started = time.perf_counter()
            self.answer_example()
            took.append(time.perf_counter() - started)
        return sorted(took)[TIMED // 2]

    @property
    def contract(self) -> Contract:
        """What its rows keep to."""
        return self.reader.contract

    @property
    def threshold(self) -> float | None:
        """The probability of the positive class from which on it is answered."""
        value = self.about["threshold"]
        return None if value is None else float(value)


def load_package(
    models: Path, reader: Rows, contract_sha256: str | None, tolerance: float, room: Room = NO_ROOM
) -> Package:
    """Load the model in a folder.

    `reader` reads rows by its contract; the digest is that of contract.yaml, None where there is none to compare with.
    Raises InputError where the model's files, the contract or the libraries here are not those it was made with, or
    where it does not answer the examples that came with it as the scikit-learn pipeline did, within `tolerance` (of the
    spread of the answers, for numbers).
    """
    about = read_format(models / "model.json", PACKAGE_FORMAT)
    if contract_sha256 not in (None, about["contract_sha256"]):
        raise InputError(f"{CONTRACT}: is not the contract that {models} was made for; run `dvc repro`")
    for name, digest in about["files_sha256"].items():
        if not (models / name).exists():
            raise InputError(f"{models / name}: there is no such file, and model.json describes it; run `dvc repro`")
        if sha256(models / name) != digest:
            raise InputError(f"{models / name}: is not the file that model.json describes; run `dvc repro`")
    form = about["served"]
    _check_libraries(form, about["versions"])
    examples = read_format(models / "examples.json", PACKAGE_FORMAT)
    try:
        data, background = (_columns(examples[part], reader) for part in ("rows", "background"))
    except ValidationError:
        raise InputError(f"{models / 'examples.json'}: its rows do not keep to the contract; run `dvc repro`") from None
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
            raise InputError(f"the model is served by {library}, which is not installed: use {LOCKS[form]}") from None
        if here.split(".")[:2] != made_with[library].split(".")[:2]:
            raise InputError(
                f"the model was made with {library} {made_with[library]}, and here is {here}: use {LOCKS[form]}"
            )


def _check_answers(package: Package, data: Columns) -> None:
    """Compare the answers to the examples, together and one by one, with those of the pipeline."""
    together = package.score(data)
    alone = np.concatenate([package.score(take(data, np.array([row]))) for row in range(length(data))])
    # Written so that NaN fails too.
    apart = np.max([package.apart(together), package.apart(alone)])
    if not apart <= package.tolerance:
        raise InputError(
            f"the model answers the rows of examples.json otherwise than the pipeline did: by {apart:.3g}, where "
            f"{package.tolerance:g} is tolerated; run `dvc repro`"
        )


def _columns(rows: list[dict[str, Any]], reader: Rows) -> Columns:
    # One by one, for a request may hold fewer.
    return reader.columns([reader.read(msgspec.json.encode({"rows": [row]}))[0] for row in rows])
