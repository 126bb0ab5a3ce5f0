"""The requests of the load test, generated from the contract, and the check of responses."""

import random
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from assay.base.formats import read_format
from assay.contract.request import as_json
from assay.inference.package import PACKAGE_FORMAT
from assay.project.layout import MODELS
from assay.project.settings import load_packed_contract, load_settings
from assay.properties.counterexample import draw
from assay.properties.strategies import feature_rows

# Rows per request, and the number of requests of that size per request of the largest size.
SIZES = {1: 189, 10: 10, 100: 1}
DRAWN = 150
# Prime, so that a periodic fault, say in every 50th request, does not always affect the same payloads.
PAYLOADS = 397
# In standard deviations of the predictions; the served model differs from the pipeline by much less.
TOLERANCE = 1e-3


# Compared by identity, because it is a dictionary key for every response.
@dataclass(frozen=True, eq=False)
class Payload:
    """A request: its body, its number of rows, and the model's scores for them, if known."""

    name: str
    body: bytes
    rows: int
    scores: tuple[Any, ...] | None = None
    tolerance: float = TOLERANCE


def payloads(project: Path, seed: int = 0) -> list[Payload]:
    """Return requests in sending order, the same for the same contract, examples and seed.

    The rows are the model's stored examples, whose scores are known, and rows that Hypothesis draws from the contract.
    """
    contract = load_packed_contract(project / MODELS)
    most = load_settings(project / MODELS).serve.max_rows
    examples = read_format(project / MODELS / "examples.json", PACKAGE_FORMAT)
    known = dict(enumerate(examples["scores"]))
    rows = [*examples["rows"], *(as_json(row, contract) for row in draw(feature_rows(contract), DRAWN, seed))]
    scale = 1.0 if contract.classes else float(np.std(examples["scores"])) or 1.0
    chance = random.Random(seed)  # noqa: S311
    sizes = [min(size, most) for size, times in SIZES.items() for _ in range(times)]
    made = []
    for number in range(PAYLOADS):
        if number % len(sizes) == 0:
            chance.shuffle(sizes)
        chosen = chance.choices(range(len(rows)), k=sizes[number % len(sizes)])
        scores = tuple(known.get(place) for place in chosen)
        made.append(
            Payload(
                name=f"/predict, {len(chosen)} row{'s' * (len(chosen) > 1)}",
                body=msgspec.json.encode({"rows": [rows[place] for place in chosen]}),
                rows=len(chosen),
                scores=None if all(score is None for score in scores) else scores,
                tolerance=TOLERANCE * scale,
            )
        )
    return made


def problem(payload: Payload, status: int, body: bytes, before: MutableMapping[Any, Any]) -> str:
    """Return the error in a response, "" if it is correct; `before` stores predictions, which must not change."""
    if status != 200:
        return f"status {status}"
    try:
        answer = msgspec.json.decode(body)
        version, predictions = answer["model_version"], answer["predictions"]
        if not (isinstance(version, str) and version):
            return "no model_version"
        if len(predictions) != payload.rows:
            return f"{len(predictions)} predictions for {payload.rows} rows"
        ids = [one.pop("prediction_id") for one in predictions]
        if not all(ids) or len(set(ids)) < len(ids) or before.get(payload.name) == ids[0]:
            return "a prediction_id is missing or repeated"
        before[payload.name] = ids[0]
        wanted = before.get((payload, version))
        if wanted is not None:
            return "" if predictions == wanted else "different predictions than before for the same rows"
        if not _fits(payload, predictions):
            return "scores differ from those stored with the model's examples"
        before[payload, version] = predictions
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"not a valid response ({type(error).__name__})"
    return ""


def _fits(payload: Payload, predictions: list[dict[str, Any]]) -> bool:
    for one, score in zip(predictions, payload.scores or [None] * len(predictions), strict=True):
        given = list(one.get("probabilities", {}).values()) or one["prediction"]
        if isinstance(given, str):
            continue
        given = np.array(given, dtype=float)
        if not np.isfinite(given).all():
            return False
        if score is not None and not np.allclose(given, score, rtol=1e-4, atol=payload.tolerance):
            return False
    return True
