"""Parity: the served model predicts the same as the scikit-learn pipeline, for any row that the contract allows."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import strategies as st

from assay.base.errors import with_type
from assay.base.files import read_json, sha256
from assay.base.outcomes import Outcome, combined
from assay.base.rounding import significant
from assay.contract.request import as_json
from assay.contract.spec import CONTRACT, Contract, Feature, Integer, Number, Time
from assay.data.columns import Columns, columns, from_rows
from assay.data.stored import Rows
from assay.gates.evidence import ModelEvidence
from assay.inference.scorer import Score, scorer
from assay.modelling.fitting import scores
from assay.modelling.store import load_pipeline
from assay.project.layout import MODELS, PARITY
from assay.project.room import Room
from assay.properties.counterexample import Failure, counterexample, decisive, draw
from assay.properties.expectations import listed
from assay.properties.strategies import Row, feature_cells, together

# Numbers of rows in the tables that the served model gets, in rotation.
SIZES = (1, 2, 4, 8, 16)
SPREAD_ROWS = 100
# These rows differ from those of the export's own check, so the tolerance is wider; a wrong export differs in the third
# decimal, not in the fifth.
SLACK = 5
# The bound of numbers that the contract leaves open. Beyond it even a correct model overflows in single precision,
# because it divides by the standard deviation.
FAR = 1e30


@dataclass(frozen=True)
class Pair:
    """Two ways to score rows of a contract, and the largest allowed difference.

    `tolerance` is absolute for probabilities; for numbers it is in standard deviations of the predictions.
    """

    reference: Score
    served: Score
    contract: Contract
    tolerance: float


def judge(evidence: ModelEvidence) -> Outcome:
    """Compare the package in models/ with the trained pipeline."""
    model, params, contract, champion = evidence.model, evidence.params, evidence.contract, evidence.champion
    about = read_json(MODELS / "model.json")
    whole = package(foreign_files(about, MODELS, contract=sha256(CONTRACT), threshold=model.threshold))
    if whole.verdict != "PROMOTE":
        return combined("parity", [whole])
    before = None if champion is None else read_json(champion.folder / MODELS / "model.json")["served"]
    kind = form(read_json(PARITY), before)
    tolerance = SLACK * params.export.tolerance
    pair = Pair(model.scores, _served(about["served"], contract, model.room), contract, tolerance)
    same = compare_models(
        pair, _extremes(evidence.data, contract), examples=params.gates.parity.examples or 1, seed=params.seed
    )
    # If the pipeline is served instead of the export, report that first.
    return combined("parity", [same, kind, whole] if about["served"] == "onnx" else [kind, same, whole])


def _served(form: str, contract: Contract, room: Room) -> Score:
    if form == "onnx":
        return scorer(MODELS / "model.onnx", contract, room)
    pipeline = load_pipeline(MODELS / "model.skops", room)
    return lambda data: scores(pipeline, data, contract, room)


def foreign_files(about: Mapping[str, Any], folder: Path, *, contract: str, threshold: float | None) -> list[str]:
    """Return the parts that model.json does not match: files, contract.yaml, threshold."""
    described = {f"model.{about['served']}": None, **about["files_sha256"]}
    wrong = [name for name, digest in described.items() if not _is(folder / name, digest)]
    if about["contract_sha256"] != contract:
        wrong.append("contract.yaml")
    if about["threshold"] != threshold:
        wrong.append("the threshold of the pipeline")
    return wrong


def _is(path: Path, digest: str | None) -> bool:
    return path.exists() and sha256(path) == digest


def package(wrong: Sequence[str]) -> Outcome:
    """Judge the result of `foreign_files`: the served files must be those that the pipeline wrote."""
    if not wrong:
        return Outcome("package", "PROMOTE", "models/model.json matches the files in models/")
    reason = f"models/model.json does not match {', '.join(wrong)}; run `dvc repro`"
    return Outcome("package", "REJECT", reason, {"wrong": list(wrong)})


def form(report: Mapping[str, Any], champion: str | None) -> Outcome:
    """Judge the form in which the model is served, from the report of the export and the champion's form, if any.

    If the export fails, the pipeline is served; that is fine for a project that never had an export. An export that
    predicts differently needs a person's attention.
    """
    measured = {"served": report["served"], "champion": champion}
    if report["served"] == "onnx":
        return Outcome("form", "PROMOTE", "the model is served as ONNX", measured)
    said = f"the scikit-learn pipeline is served because {report['reason']}"
    if report["parity"] is not None:
        return Outcome("form", "HOLD", said, measured)
    if champion == "onnx":
        return Outcome("form", "HOLD", f"{said}; the champion is served as ONNX", measured)
    other = "there is no champion yet" if champion is None else "so is the champion"
    return Outcome("form", "PROMOTE", f"{said}; {other}", measured)


def compare_models(pair: Pair, seen: Columns, *, examples: int, seed: int) -> Outcome:
    """Search `examples` tables for a row on which two models differ, and shrink it to the smallest such row.

    Half of the rows hold any values that the contract allows, half only values within the range of the `seen` data: far
    from the data most models saturate, which hides differences. Differences within the tolerance can change a decision
    only for rows at the decision boundary.
    """
    contract = pair.contract
    drawn = [feature_cells(closed(contract, columns)) for columns in (seen, {})]
    strategies = [together(cells) for cells in drawn]
    spreads = np.array([_spread(pair, strategy, seed) for strategy in strategies])
    either = st.one_of([st.tuples(st.just(which), strategy) for which, strategy in enumerate(strategies)])
    differences: list[float] = []

    def failures(tried: Sequence[tuple[int, Row]]) -> list[Failure | None]:
        rows = [row for _, row in tried]
        wanted = pair.reference(from_rows(rows, contract))
        found: list[Failure | None] = []
        for part in _tables(len(rows)):
            given = _answer(pair, rows[part], wanted.shape[1:])
            if isinstance(given, str):
                found += _blamed(pair, rows[part], wanted.shape[1:], given)
                continue
            for (which, _), mine, its in zip(tried[part], given, wanted[part], strict=True):
                apart = _apart(mine, its) / spreads[which]
                differences.append(apart)
                found.append(_differs(contract, mine, its) if apart > pair.tolerance else None)
        return found

    tried, found = counterexample(either, failures, examples=sum(islice(cycle(SIZES), examples)), seed=seed)
    limit = {"tolerance": pair.tolerance, "examples": examples}
    if found is None:
        largest = max(differences)
        reason = (
            f"the served model predicts the same as the pipeline: the largest difference on {tried} rows is "
            f"{largest:.2g} (limit {pair.tolerance:g})"
        )
        measured = {"rows": tried, "largest_difference": significant(largest, 3)}
        return Outcome("answers", "PROMOTE", reason, measured, limit)
    (which, row), failure = found
    values = decisive(row, drawn[which])
    where = f" where {listed(values)}" if values else ""
    alone = "" if failures([(which, row)])[0] else ", but not if it gets this row alone"
    return Outcome(
        "answers",
        "REJECT",
        f"{failure.reason}{where}{alone}",
        {"rows": tried, "row": as_json(row, contract), **failure.details},
        limit,
    )


def _answer(pair: Pair, rows: Sequence[Row], shape: tuple[int, ...]) -> np.ndarray | str:
    """Return the served model's output, each row of this shape, or an error message."""
    try:
        given = pair.served(from_rows(rows, pair.contract))
    # A runtime may raise its own errors; each means that there is no prediction.
    except Exception as error:
        return with_type(error)
    wanted = (len(rows), *shape)
    return given if given.shape == wanted else f"its output has shape {given.shape}, expected {wanted}"


def _blamed(pair: Pair, rows: Sequence[Row], shape: tuple[int, ...], error: str) -> list[Failure | None]:
    """Return the failures in a table that failed: the rows that also fail alone, else all rows."""
    alone = [_answer(pair, [row], shape) for row in rows]
    errors = [answer if isinstance(answer, str) else "" for answer in alone]
    if not any(errors):
        errors = [error] * len(rows)
    return [Failure("an error", f"the served model fails ({one})") if one else None for one in errors]


def _tables(rows: int) -> Iterator[slice]:
    """Yield slices that split `rows` rows into tables."""
    start = 0
    for size in cycle(SIZES):
        if start >= rows:
            return
        yield slice(start, start + size)
        start += size


def _apart(given: np.ndarray, wanted: np.ndarray) -> float:
    """Return the largest difference between two outputs for a row, infinity if one is NaN."""
    apart = float(np.abs(given - wanted).max())
    return math.inf if math.isnan(apart) else apart


def _differs(contract: Contract, given: np.ndarray, wanted: np.ndarray) -> Failure:
    if contract.task == "regression":
        what, before, after = contract.target.name, float(wanted), float(given)
    else:
        # The positive class, which is the last of two; of more classes, the one with the largest difference.
        which = -1 if contract.task == "binary" else int(np.abs(given - wanted).argmax())
        what = f"the probability of {contract.classes[which]}"
        before, after = float(wanted[which]), float(given[which])
    return Failure(
        "a difference",
        f"the served model differs from the pipeline: {what} is {after:.6g} instead of {before:.6g}",
        {"pipeline": _plain(before), "served": _plain(after)},
    )


def _plain(value: float) -> float | None:
    return significant(value) if math.isfinite(value) else None


def _spread(pair: Pair, strategy: st.SearchStrategy[Row], seed: int) -> float:
    """Return the unit of differences: 1 for probabilities, the standard deviation of numbers."""
    if pair.contract.task != "regression":
        return 1.0
    answers = pair.reference(from_rows(draw(strategy, SPREAD_ROWS, seed), pair.contract))
    return float(answers.std()) or 1.0


def closed(contract: Contract, seen: Columns) -> Contract:
    """Return the contract with ranges limited to those of the data; without data, open ends are limited to `FAR`."""
    columns = {
        name: _within(column, seen.get(name)) if isinstance(column, Number | Integer | Time) else column
        for name, column in contract.columns.items()
    }
    return contract.model_copy(update={"columns": columns})


def _extremes(rows: Rows, contract: Contract) -> Columns:
    """Return the smallest and largest value of each column that has such."""
    names = [name for name, column in contract.features.items() if isinstance(column, Number | Integer | Time)]
    found = {name: pc.min_max(rows[name]) for name in names}
    ends = {
        name: pa.array([one[end].as_py() for end in ("min", "max")], one["min"].type) for name, one in found.items()
    }
    return columns(pa.table(ends), contract, names)


def _within(column: Number | Integer | Time, seen: np.ndarray | None) -> Feature:
    known = None if seen is None else seen[~np.isnan(seen) if seen.dtype.kind == "f" else ~np.isnat(seen)]
    if known is not None and len(known):
        low, high = known.min().item(), known.max().item()
    elif isinstance(column, Number):
        low, high = np.clip(column.range or (-np.inf, np.inf), -FAR, FAR).tolist()
    else:
        return column
    if isinstance(column, Integer):
        low, high = int(low), int(high)
    return column.model_copy(update={"range": (low, high)})
