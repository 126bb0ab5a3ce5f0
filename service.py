"""What `bentoml serve` serves: the model in models/, as src/assay/serve/ answers it."""

import os
import sys
from pathlib import Path

# One worker has one processor; and nobody is told that it runs.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
sys.path.insert(0, str(Path(__file__).parent / "src"))

from assay.serve.service import Assay

__all__ = ["Assay"]
