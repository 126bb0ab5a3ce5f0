"""The service of the model in models/, for `bentoml serve`."""

import gc
import os
from pathlib import Path

# One processor per worker, and no telemetry.
for name, value in {"OMP_NUM_THREADS": "1", "BENTOML_DO_NOT_TRACK": "True", "ORT_DISABLE_TELEMETRY": "1"}.items():
    os.environ.setdefault(name, value)

# Imported objects stay: Python's default garbage collection would take 5 % of the start-up.
gc.set_threshold(200_000)
from assay.serve.service import service  # noqa: E402

Assay = service(Path(__file__).resolve().parent)
