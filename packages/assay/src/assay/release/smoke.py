"""Ask a running service what its model was asked when it was exported: is it up, and does it answer the same?

`python -m assay.release.smoke URL SECONDS` is how an image, which has no `assay` command, asks its own service.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from assay.base.errors import InputError
from assay.base.formats import read_format
from assay.inference.package import PACKAGE_FORMAT
from assay.project.layout import MODELS, model_version

# The libraries of an image need not be compiled alike.
TOLERANCE = 1e-4


def smoke(url: str, seconds: float, models: Path = MODELS) -> str:
    """Wait until the service at `url` is ready, and compare its answers to the examples of a model with those then.

    It is asked with the key in ASSAY_API_KEY, where there is one. Returns what was seen; raises InputError if it does
    not get ready in time, or answers otherwise.
    """
    wanted, examples = model_version(models), read_format(models / "examples.json", PACKAGE_FORMAT)
    key = os.environ.get("ASSAY_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=url, headers=headers, timeout=10) as client:
        _wait(client, seconds)
        answer = client.post("/predict", json={"rows": examples["rows"]})
        if answer.status_code != 200:
            raise InputError(f"{url}: answers {answer.status_code} to the examples of the model")
        found = answer.json()
    if found["model_version"] != wanted:
        raise InputError(f"{url}: serves model {found['model_version']}, and {models} holds {wanted}")
    pairs = zip(map(_scores, found["predictions"]), examples["scores"], strict=True)
    apart = max(abs(a - b) for told, then in pairs for a, b in zip(told, _listed(then), strict=True))
    # Written so that NaN fails too.
    if not apart <= TOLERANCE * max(1.0, *(abs(value) for then in examples["scores"] for value in _listed(then))):
        raise InputError(f"{url}: answers the examples of the model otherwise than then: by {apart:.3g}")
    return f"{url} serves model {wanted} and answers {len(examples['rows'])} examples as it did when it was exported"


def _wait(client: httpx.Client, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if client.get("/readyz").status_code == 200:
                return
            said = "is not ready"
        except httpx.HTTPError as error:
            said = type(error).__name__
        if time.monotonic() > end:
            raise InputError(f"{client.base_url}: {said} after {seconds:g} s")
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
