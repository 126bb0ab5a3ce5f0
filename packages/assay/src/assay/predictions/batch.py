"""The prediction log of a batch: in the log once the output of the batch is complete.

Until then its segments are in a folder that no reader looks at. So a batch that was killed, and is predicted again, is
in the log once.
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assay.base.files import locked, writes_to
from assay.data.columns import Columns
from assay.inference.package import Package
from assay.inference.predictor import PredictionBatch
from assay.predictions.entry import CHAMPION
from assay.predictions.segments import PREDICTIONS
from assay.predictions.write import PredictionLog

# The open logs of this process.
_LOGS: dict[Path, PredictionLog] = {}


@contextmanager
def unpublished(log: Path, output: Path) -> Iterator[Path]:
    """Yield a folder of the log for the predictions that go to an output; what is in it at the end is deleted.

    Raises InputError if there can be none.
    """
    name = hashlib.sha256(str(output.resolve()).encode()).hexdigest()[:16]
    folder = log / PREDICTIONS / f".batch-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    # Rows of a batch that was killed would stay: neither the age of a segment nor `assay forget` meets them.
    for abandoned in folder.parent.glob(".batch-*"):
        with locked(abandoned) as is_ours:
            if is_ours:
                shutil.rmtree(abandoned, ignore_errors=True)
    try:
        with writes_to(log):
            folder.mkdir(parents=True)
        with locked(folder):
            yield folder
    finally:
        if written := _LOGS.pop(folder, None):
            written.close()
        shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path) -> None:
    """Move the segments of a folder of `unpublished` into the log; raises InputError if that is impossible."""
    with writes_to(folder.parent.parent):
        for segment in sorted(folder.iterdir()):
            segment.replace(folder.parent / segment.name)


def write(folder: Path, package: Package, batch: PredictionBatch, data: Columns) -> None:
    """Write predictions to a folder of `unpublished`; raises InputError if that is impossible."""
    if folder not in _LOGS:
        digest = package.about["contract_sha256"]
        _LOGS[folder] = PredictionLog(folder.parent.parent, package.contract, digest, days=None, segments=folder)
    with writes_to(folder.parent.parent):
        _LOGS[folder].predictions(package.version, CHAMPION, batch, data)
