"""Smoke test of a running service: is it ready, and does it predict the examples as recorded at export?

`python -m assay.release.smoke URL SECONDS` is how an image, which has no `assay` command, tests its own service.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from assay.base.errors import InputError
from assay.base.formats import read_format
from assay.inference.package import IS_CHECK, PACKAGE_FORMAT
from assay.project.layout import MODELS, model_version
from assay.project.settings import load_settings

# The libraries in an image may be compiled differently.
TOLERANCE = 1e-4


def smoke(url: str, seconds: float, models: Path = MODELS) -> str:
    """Wait until the service at `url` is ready, and compare its predictions for the examples with those at export.

    Uses the key in ASSAY_API_KEY if it is set. Returns the result in one line; raises InputError if the service is not
    ready in time, or predicts differently.
    """
    wanted, examples = model_version(models), read_format(models / "examples.json", PACKAGE_FORMAT)
    most = load_settings(models).serve.max_rows
    rows, scores = examples["rows"][:most], examples["scores"][:most]
    key = os.environ.get("ASSAY_API_KEY")
    # The log of predictions keeps it apart.
    headers = {IS_CHECK.decode(): "1", **({"Authorization": f"Bearer {key}"} if key else {})}
    with httpx.Client(base_url=url, headers=headers, timeout=10) as client:
        _wait(client, seconds)
        answer = client.post("/predict", json={"rows": rows})
        if answer.status_code != 200:
            raise InputError(f"{url}: returned status {answer.status_code} for the examples of the model")
        served = answer.json()
    if served["model_version"] != wanted:
        raise InputError(f"{url}: serves model {served['model_version']}, but {models} holds {wanted}")
    pairs = zip(map(_scores, served["predictions"]), scores, strict=True)
    difference = max(abs(a - b) for found, then in pairs for a, b in zip(found, _listed(then), strict=True))
    # A NaN has to fail too, so the condition is negated.
    if not difference <= TOLERANCE * max(1.0, *(abs(value) for then in scores for value in _listed(then))):
        raise InputError(f"{url}: predictions differ from those recorded at export by {difference:.3g}")
    return f"{url} serves model {wanted}; its answers to {len(rows)} examples are those recorded at export"


def _wait(client: httpx.Client, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if client.get("/readyz").status_code == 200:
                return
            message = "is not ready"
        except httpx.HTTPError as error:
            message = type(error).__name__
        if time.monotonic() > end:
            raise InputError(f"{client.base_url}: {message} after {seconds:g} s")
        time.sleep(0.2)


def _scores(answer: dict[str, Any]) -> list[float]:
    return list(answer["probabilities"].values()) if "probabilities" in answer else [answer["prediction"]]


def _listed(score: Any) -> list[float]:
    return score if isinstance(score, list) else [score]


if __name__ == "__main__":
    try:
        print(smoke(sys.argv[1], float(sys.argv[2])))
    except InputError as error:
        sys.exit(f"assay: {error}")
