"""What `bentoml serve` serves: the model in models/, answered by Assay."""

import gc
import os
from pathlib import Path

# One worker has one processor; and nobody is told that it runs.
for name, value in {"OMP_NUM_THREADS": "1", "BENTOML_DO_NOT_TRACK": "True", "ORT_DISABLE_TELEMETRY": "1"}.items():
    os.environ.setdefault(name, value)

# What is imported stays: to look for garbage in it as often as Python does would take a twentieth of the start.
gc.set_threshold(200_000)
from assay.serve.service import service  # noqa: E402

Assay = service(Path(__file__).resolve().parent)
